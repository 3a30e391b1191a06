"""Which rules are asked, whose verdict holds, and what a broken rule does."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from fta.convergence import FUNCTIONS, validate_rule
from fta.models import ConfigVersion, Incident
from tests.fta.convergence.storm import State, arrive, rule


def test_it_looks_at_the_alert_types_of_the_rule_only(now: datetime) -> None:
    rule("defense", count=1, dimensions=["host"], alert_types=["cpu", "mem"])
    arrive(now)
    assert arrive(now)[1].kind == "proceed"
    arrive(now, alert_type="cpu")
    assert arrive(now, alert_type="mem")[1].kind == "approve"


def test_it_keeps_a_rule_to_its_business(now: datetime, pay: Any) -> None:
    rule("defense", count=1, business=pay)
    arrive(now)
    assert arrive(now)[1].kind == "proceed"


def test_it_lets_a_business_block_a_global_rule(now: datetime, game: Any) -> None:
    blocked = rule("defense", count=1)
    blocked.blocked_by.add(game)
    ConfigVersion.bump("convergence")
    arrive(now)
    assert arrive(now)[1].kind == "proceed"


def test_it_leaves_disabled_and_archived_rules_out(now: datetime) -> None:
    rule("defense", count=1, enabled=False)
    rule("defense", count=1, archived=True)
    arrive(now)
    assert arrive(now)[1].kind == "proceed"


@pytest.mark.parametrize(
    ("functions", "kind"),
    [
        (["relate", "wait_when_running", "defense", "skip_when_running"], "skip"),
        (["relate", "wait_when_running", "defense"], "approve"),
        (["relate", "wait_when_running"], "wait"),
        (["relate", "notify", "common_cause"], "proceed"),
    ],
)
def test_it_lets_the_strictest_verdict_hold(now: datetime, functions: list[str], kind: str) -> None:
    made = {function: rule(function, count=1, priority=10) for function in functions}
    arrive(now)
    verdict = arrive(now)[1]
    assert verdict.kind == kind
    assert Incident.objects.count() == len(functions)  # every rule was asked
    decisive = made[functions[-1]] if kind != "proceed" else made["relate"]
    assert Incident.objects.get(pk=verdict.incident_id).rule == decisive


@pytest.mark.parametrize("other", ["wait_when_running", "defense"])
def test_what_is_below_a_threshold_neither_waits_nor_is_asked_about(now: datetime, other: str) -> None:
    rule("trigger", count=5)
    rule(other, count=1)
    arrive(now)
    verdict = arrive(now)[1]
    assert verdict.kind == "below"
    assert Incident.objects.get(pk=verdict.incident_id).function == other


def test_it_runs_one_again_in_the_next_incident(now: datetime) -> None:
    rule("trigger", count=1, window=60)
    kinds = [arrive(now + timedelta(seconds=at))[1].kind for at in (0, 1, 2, 63, 64, 65)]
    assert kinds == ["below", "proceed", "skip"] * 2


def test_it_names_the_first_of_equal_rules(now: datetime) -> None:
    rule("defense", count=1, priority=50)
    first = rule("defense", count=1, priority=10)
    arrive(now)
    assert arrive(now)[1].rule_id == first.pk


def test_it_names_the_storm_among_equal_rules(now: datetime) -> None:
    rule("approve_when_failed", count=1, priority=1)
    storm = rule("defense", count=1, priority=2)
    rule("defense", count=1, priority=3)
    arrive(now, state=State.FAILED)
    verdict = arrive(now, state=State.HELD)[1]
    assert (verdict.kind, verdict.rule_id) == ("approve", storm.pk)
    assert Incident.objects.get(pk=verdict.incident_id).rule == storm


@pytest.mark.parametrize(
    ("raises", "minutes", "joins"), [("verdict", 29, True), ("place", 29, True), ("place", 31, False)]
)
def test_a_defence_that_raises_names_the_storm_that_is_open(
    now: datetime, monkeypatch: pytest.MonkeyPatch, raises: str, minutes: int, joins: bool
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("boom")

    rule("defense", count=1)
    arrive(now)
    storm = arrive(now)[1]
    if raises == "place":
        monkeypatch.setattr("fta.convergence.engine.place", broken)
    else:
        monkeypatch.setitem(FUNCTIONS, "defense", replace(FUNCTIONS["defense"], verdict=broken))  # type: ignore[arg-type]
        ConfigVersion.bump("convergence")
    run, verdict = arrive(now + timedelta(minutes=minutes))
    assert (verdict.kind, verdict.incident_id) == ("approve", storm.incident_id if joins else None)
    assert storm.incident_id is not None
    assert Incident.objects.get().execution_count == 2  # its place was rolled back
    assert not run.memberships.exclude(incident=None).exists()


def test_it_ignores_others_that_never_were_to_act(now: datetime) -> None:
    rule("wait_when_running", count=1)
    arrive(now, state=State.SHIELDED)
    arrive(now, state=State.RECORDED)
    arrive(now, state=State.RUNNING, mode="shadow")
    assert arrive(now)[1].kind == "proceed"
    assert arrive(now)[1].kind == "wait"


@pytest.mark.parametrize(
    ("function", "kind"), [("defense", "approve"), ("approve_when_failed", "approve"), ("relate", "proceed")]
)
def test_it_asks_a_person_when_a_holding_rule_fails(
    now: datetime, heard: list[Any], monkeypatch: pytest.MonkeyPatch, function: str, kind: str
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setitem(FUNCTIONS, function, replace(FUNCTIONS[function], verdict=broken))  # type: ignore[arg-type]
    made = rule(function, count=1)
    arrive(now)
    _, verdict = arrive(now)
    assert (verdict.kind, verdict.rule_id) == (kind, made.pk)
    [fault] = [kwargs for name, kwargs in heard if name == "system_fault"]
    assert fault["subject"] == f"convergence:{made.pk}"
    assert made.name in fault["text"]


def test_it_leaves_a_broken_rule_out_and_tells(now: datetime, heard: list[Any]) -> None:
    made = rule("defense", count=1, dimensions=["colour"])
    rule("defense", count=1)
    arrive(now)
    assert arrive(now)[1].kind == "approve"
    assert [kwargs["subject"] for name, kwargs in heard if name == "system_fault"] == [f"convergence:{made.pk}"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"function": "ignore"}, "function"),
        ({"window": 0}, "window"),
        ({"count": 0}, "count"),
        ({"dimensions": []}, "dimensions"),
        ({"dimensions": ["host", "colour"]}, "dimensions[1]"),
        ({"dimensions": [{"name": "host", "values": []}]}, "dimensions[0]"),
    ],
)
def test_it_names_what_is_wrong_with_a_rule(change: dict[str, Any], path: str) -> None:
    good = {"function": "defense", "window": 300, "count": 1, "dimensions": ["host"]}
    assert validate_rule(good) == []
    assert [where for where, _ in validate_rule(good | change)] == [path]
