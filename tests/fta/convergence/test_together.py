"""Several incidents at once: which are shown, which verdict holds, who is woken, what a broken rule does to the others."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta.convergence import FUNCTIONS, Verdict, converge, visibility
from fta.convergence.kind import IncidentKind
from fta.healing.ending import end_execution
from fta.models import ConfigVersion, ConvergenceRule, Execution, Incident, Member
from tests import factories
from tests.fta.stage import GATE

State = Execution.State


@pytest.fixture
def now(game: Any, settings: Any) -> datetime:
    settings.FTA_APPROVAL_GATE = GATE
    factories.host()
    factories.host("127.0.0.11", "web-11")
    return timezone.now()


def rule(name: str, function: str = "relate", **fields: Any) -> ConvergenceRule:
    made = factories.convergence_rule(name, function=function, **fields)
    ConfigVersion.bump("convergence")
    return made


def arrive(at: datetime, target: str = "127.0.0.10", state: str = State.RUNNING, **alert: Any) -> Execution:
    made = factories.alert(target=target, received_at=at, **alert)
    run = factories.execution(alert=made, received_at=at)
    run.verdict = converge(run, at).kind  # as the test's note of what was said
    Execution.objects.filter(pk=run.pk).update(state=state)
    run.state = state
    return run


def shown() -> dict[str, bool]:
    return {incident.rule.name: incident.visible for incident in Incident.objects.select_related("rule")}


def test_it_hides_an_incident_that_is_a_part_of_another(now: datetime) -> None:
    rule("business", dimensions=["business"])
    rule("host", dimensions=["host"])
    arrive(now, "127.0.0.11")
    arrive(now)
    assert shown() == {"business": True}
    arrive(now)
    assert shown() == {"business": True, "host": False}
    hidden = Incident.objects.get(visible=False)
    assert hidden.findings["hidden_by"] == Incident.objects.get(visible=True).pk


@pytest.mark.parametrize(
    ("targets", "count", "visible"),
    [
        ((10, 10, 11), 2, {"business": [True], "host": [False]}),  # the one that opens the larger is in no part of it
        ((10, 10, 11, 11, 12), 4, {"business": [True], "host": [False, False]}),
        (
            (10, 10, 10, 11),
            2,
            {"business": [True], "host": [False]},
        ),  # equal at first; the older is shown until outgrown
    ],
)
def test_it_hides_what_an_opening_takes_in(
    now: datetime, targets: tuple[int, ...], count: int, visible: dict[str, list[bool]]
) -> None:
    factories.host("127.0.0.12", "web-12")
    rule("host", dimensions=["host"])
    rule("business", dimensions=["business"], count=count)
    for last in targets:
        arrive(now, f"127.0.0.{last}")
    found: dict[str, list[bool]] = {}
    for incident in Incident.objects.select_related("rule").order_by("id"):
        found.setdefault(incident.rule.name, []).append(incident.visible)
    assert found == visible


def test_it_shows_one_that_reaches_beyond_what_an_opening_takes_in(now: datetime) -> None:
    rule("host", dimensions=["host"])
    rule("business", dimensions=["business", "alert_type"], count=2)
    arrive(now, alert_type="other")
    arrive(now)
    arrive(now)
    arrive(now, "127.0.0.11")
    assert shown() == {"business": True, "host": True}


def test_it_asks_as_much_however_many_parts_an_opening_takes_in(
    now: datetime, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    rule("host", dimensions=["host"])
    rule("business", dimensions=["business"], count=20)
    for number in range(20):
        if number % 2 == 0:
            factories.host(f"127.0.0.{50 + number}", f"web-{50 + number}")
        arrive(now, f"127.0.0.{50 + number // 2 * 2}")
    run = factories.execution(alert=factories.alert(target="127.0.0.11", received_at=now), received_at=now)
    with django_assert_max_num_queries(30):
        converge(run, now)
    assert list(Incident.objects.order_by("id").values_list("visible", flat=True)) == [False] * 10 + [True]


def test_it_shows_the_older_of_two_equal_ones_until_one_is_larger(now: datetime) -> None:
    rule("first", dimensions=["host"], priority=1)
    rule("second", dimensions=["business"], priority=2)
    arrive(now)
    arrive(now)
    assert shown() == {"first": True, "second": False}
    arrive(now, "127.0.0.11")  # joins the second alone, which outgrows the first
    assert shown() == {"first": False, "second": True}


def test_it_shows_again_what_goes_on_without_the_one_before_it(now: datetime) -> None:
    rule("business", dimensions=["business"])
    rule("type", dimensions=["alert_type"])
    for target in ("127.0.0.10", "127.0.0.11"):
        arrive(now, target, alert_type="other")
    for _ in range(2):
        arrive(now)
    names = {row.dimensions.get("alert_type", "business"): row.visible for row in Incident.objects.all()}
    assert names == {"business": True, "other": False, "disk_full": False}
    foreign = factories.business("pay", "支付")
    factories.host("127.0.0.30", "pay-1", business=foreign)
    arrive(now, "127.0.0.30")
    names = {row.dimensions.get("alert_type", "business"): row.visible for row in Incident.objects.all()}
    assert names == {"business": True, "other": False, "disk_full": True}


def test_it_shows_incidents_that_only_overlap(now: datetime) -> None:
    rule("host", dimensions=["host"])
    rule("type", dimensions=["alert_type"])
    arrive(now, alert_type="cpu")
    arrive(now, "127.0.0.11")
    arrive(now)
    assert shown() == {"host": True, "type": True}


def test_it_does_not_look_at_the_rows_while_a_storm_joins(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    rule("business", dimensions=["business"])
    rule("host", dimensions=["host"])
    for target in ("127.0.0.11", "127.0.0.10", "127.0.0.10"):
        arrive(now, target)

    def refuse(*_: Any) -> bool:
        raise AssertionError("compared")

    monkeypatch.setattr(visibility, "_covers", refuse)
    arrive(now)
    assert shown() == {"business": True, "host": False}


def test_it_keeps_the_mark_when_the_incident_is_analysed(now: datetime) -> None:
    rule("business", dimensions=["business"])
    rule("host", "common_cause", dimensions=["host"])
    for target in ("127.0.0.11", "127.0.0.10", "127.0.0.10"):
        arrive(now, target)
    Incident.objects.update(opened_at=now - timedelta(minutes=6))
    kind = IncidentKind()
    for pk in kind.due(10, timezone.now()):
        kind.do(pk)
    hidden = Incident.objects.get(visible=False)
    assert {"hidden_by", "shared", "looked_at"} <= set(hidden.findings)


@pytest.mark.parametrize(
    ("functions", "kind"),
    [
        (("wait_when_running", "relate", "notify"), "wait"),
        (("wait_when_running", "defense", "collect"), "skip"),
        (("wait_when_running", "defense", "relate"), "approve"),
        (("trigger", "wait_when_running", "defense"), "skip"),
        (("skip_when_running", "approve_when_failed", "common_cause"), "skip"),
    ],
)
def test_it_combines_what_several_incidents_say(now: datetime, functions: tuple[str, ...], kind: str) -> None:
    for number, function in enumerate(functions):
        rule(function, function, dimensions=[["host"], ["business"], ["alert_type"]][number])
    arrive(now)
    arrive(now)
    third = arrive(now)
    assert third.verdict == kind
    assert third.memberships.exclude(incident=None).count() == 3


BROKEN = [
    ("skip_when_success", "proceed"),
    ("approve_when_failed", "approve"),
    ("skip_when_running", "proceed"),
    ("wait_when_running", "proceed"),
    ("trigger", "approve"),
    ("collect", "proceed"),
    ("notify", "proceed"),
    ("defense", "approve"),
    ("common_cause", "proceed"),
]


@pytest.mark.parametrize(("function", "kind"), BROKEN)
def test_it_fails_closed_for_what_was_to_hold(
    now: datetime, function: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(FUNCTIONS, function, replace(FUNCTIONS[function], verdict=broken))  # type: ignore[arg-type]
    made = rule("broken", function, priority=1)
    other = rule("other", "relate", priority=2)
    first, second = arrive(now), arrive(now)
    assert first.verdict in ("proceed", "below")
    assert second.verdict == kind
    assert Incident.objects.get().rule == other  # the rule that works goes on; the broken one's place is rolled back
    assert Member.objects.filter(rule=made, incident=None).count() == 2


def test_it_says_skip_although_another_rule_is_broken(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(FUNCTIONS, "defense", replace(FUNCTIONS["defense"], verdict=broken))  # type: ignore[arg-type]
    rule("broken", "defense")
    rule("works", "skip_when_running")
    arrive(now)
    assert arrive(now).verdict == "skip"


def ended(run: Execution, now: datetime) -> None:
    Execution.objects.filter(pk=run.pk).update(state=State.RUNNING)
    run.refresh_from_db()
    end_execution(run, State.SUCCEEDED, "", now)


@pytest.mark.parametrize(
    ("dimensions", "wakes"),
    [(["business"], True), ([{"name": "severity", "values": ["critical"]}], True), (["host"], False)],
)
def test_it_wakes_those_of_the_group_when_one_ends(now: datetime, dimensions: list[Any], wakes: bool) -> None:
    rule("wait", "wait_when_running", dimensions=dimensions)
    first = arrive(now)
    second = arrive(now, "127.0.0.11", state=State.SLEEPING)
    late = now + timedelta(minutes=1)
    Execution.objects.filter(pk=second.pk).update(wake_at=late)
    ended(first, now)
    second.refresh_from_db()
    assert second.wake_at == (now if wakes else late)


def test_it_wakes_one_that_waits_for_the_incident_before(now: datetime) -> None:
    rule("wait", "wait_when_running", dimensions=["business"])
    first = arrive(now)
    arrive(now, "127.0.0.11", state=State.SUCCEEDED)
    Incident.objects.update(opened_at=now - timedelta(hours=25))  # the cap ends it; the window still reaches back
    second = arrive(now + timedelta(seconds=5), "127.0.0.11", state=State.SLEEPING)
    assert second.verdict == "wait"
    assert Incident.objects.filter(state="open").count() == 1
    Execution.objects.filter(pk=second.pk).update(wake_at=now + timedelta(minutes=1))
    ended(first, now)
    second.refresh_from_db()
    assert second.wake_at == now


def test_it_says_nothing_without_rules(now: datetime) -> None:
    run = factories.execution(alert=factories.alert())
    assert converge(run, now) == Verdict()
    assert not Member.objects.exists()


def test_it_asks_as_much_in_a_storm_of_several_incidents(
    now: datetime, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for number, function in enumerate(("skip_when_success", "defense", "collect")):
        rule(function, function, dimensions=[["host"], ["business"], ["alert_type"]][number])
    for _ in range(60):
        arrive(now, state=State.SKIPPED)
    run = factories.execution(alert=factories.alert())
    with django_assert_max_num_queries(30):
        converge(run, now)
