"""Which executions a rule counts together, and when they become an incident."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from fta.convergence import Verdict, converge, engine
from fta.healing.ending import end_execution
from fta.healing.history import shift
from fta.models import Execution, Incident, Member
from tests import factories
from tests.fta.convergence.storm import State, arrive, kinds, rule


def test_it_fires_on_the_second_with_a_count_of_one(now: datetime) -> None:
    made = rule("defense", count=1)
    first, verdict = arrive(now)
    assert verdict == Verdict("proceed")
    assert not Incident.objects.exists()
    second, verdict = arrive(now + timedelta(seconds=1))
    incident = Incident.objects.get()
    assert (verdict.kind, verdict.rule_id, verdict.incident_id) == ("approve", made.pk, incident.pk)
    assert made.name in verdict.reason
    assert incident.execution_count == 2
    assert list(incident.members.order_by("ordinal").values_list("execution", "ordinal")) == [
        (first.pk, 1),
        (second.pk, 2),
    ]
    first.refresh_from_db()
    assert first.incident == incident


def test_it_needs_strictly_more_than_the_count(now: datetime) -> None:
    rule("defense", count=3)
    found = [arrive(now + timedelta(seconds=second)) for second in range(5)]
    assert kinds(found) == ["proceed"] * 3 + ["approve"] * 2
    assert Incident.objects.get().execution_count == 5


def test_it_counts_within_the_window_only(now: datetime) -> None:
    rule("defense", count=1, window=300)
    arrive(now)
    assert arrive(now + timedelta(seconds=301))[1].kind == "proceed"
    assert arrive(now + timedelta(seconds=601))[1].kind == "approve"  # the edge belongs to the window


def test_it_keeps_its_place_when_it_is_asked_again(now: datetime) -> None:
    rule("wait_when_running", count=1)
    first, _ = arrive(now)
    second, verdict = arrive(now + timedelta(seconds=1), state=State.SLEEPING)
    assert verdict.kind == "wait"
    arrive(now + timedelta(seconds=2))
    Execution.objects.filter(pk=first.pk).update(state=State.SUCCEEDED, ended_at=now)
    assert converge(second, now + timedelta(minutes=1)).kind == "proceed"
    assert Member.objects.get(execution=second).ordinal == 2
    assert Incident.objects.get().execution_count == 3


def test_it_opens_nothing_when_the_first_is_asked_again(now: datetime) -> None:
    rule("defense", count=1, dimensions=["host"])
    first, _ = arrive(now)
    assert converge(first, now).kind == "proceed"
    assert not Incident.objects.exists()


@pytest.mark.parametrize(
    ("dimensions", "other", "together"),
    [
        (["host"], {"alert_type": "cpu"}, True),
        (["host"], {"target": "127.0.0.11"}, False),
        (["set"], {"target": "127.0.0.11"}, True),
        (["module"], {"target": "127.0.0.12"}, False),
        (["business"], {"target": "127.0.0.12"}, True),
        (["alert_type"], {"alert_type": "cpu"}, False),
        (["source"], {"alert_type": "cpu"}, True),
        (["severity"], {"severity": "warning"}, False),
        (["label:env"], {"labels": {"env": "prod"}}, True),
        (["label:env"], {"labels": {"env": "test"}}, False),
        (["label:rack"], {}, False),
        ([{"name": "host", "values": "self"}], {}, True),
        ([{"name": "module", "values": ["web", "db"]}], {"target": "127.0.0.12"}, True),
        ([{"name": "module", "values": ["db", "cache"]}], {}, False),
        ([{"name": "label:env", "values": ["prod", "test"]}], {"labels": {"env": "test"}}, True),
        ([{"name": "label:env", "values": ["prod", "test"]}], {"labels": {"env": "dev"}}, False),
        ([{"name": "business", "values": ["game", "pay"]}], {"target": "127.0.0.13"}, True),
        ([{"name": "business", "values": ["game"]}], {"target": "127.0.0.13"}, False),
        ([{"name": "host", "values": ["127.0.0.10", "127.0.0.12"]}], {"target": "127.0.0.12"}, True),
        ([{"name": "host", "values": ["127.0.0.10"]}], {"target": "127.0.0.12"}, False),
        (["host", "alert_type"], {"alert_type": "cpu"}, False),
        (["package"], {}, False),
    ],
)
def test_it_groups_by_dimensions(now: datetime, dimensions: list[Any], other: dict[str, Any], together: bool) -> None:
    factories.host("127.0.0.11", "web-11")
    factories.host("127.0.0.12", "db-12", module="db")
    factories.host("127.0.0.13", "pay-13", business=factories.business("pay", "支付"))
    rule("defense", count=1, dimensions=dimensions)
    arrive(now, labels={"env": "prod"})
    assert arrive(now, **({"labels": {"env": "prod"}} | other))[1].kind == ("approve" if together else "proceed")


def test_it_groups_by_package(now: datetime) -> None:
    rule("defense", count=1, dimensions=["package"])
    one, two = factories.package("one"), factories.package("two")
    arrive(now, state=State.FAILED, package=one)
    assert arrive(now, package=two)[1].kind == "proceed"
    assert arrive(now, package=one)[1].kind == "approve"


OLD = [
    # function, how the first one is, whether it goes on or ended some minutes ago; what is said of the last, and of one later
    ("skip_when_running", None, "skip", "skip"),
    ("skip_when_running", 1, "skip", "proceed"),
    ("wait_when_running", None, "wait", "wait"),
    ("wait_when_running", 1, "proceed", "proceed"),
    ("skip_when_success", None, "wait", "wait"),
]


@pytest.mark.parametrize(("function", "minutes", "kind", "later"), OLD)
def test_it_sees_an_old_one_that_goes_on_or_ended_just_now_behind_many(
    now: datetime, monkeypatch: pytest.MonkeyPatch, function: str, minutes: int | None, kind: str, later: str
) -> None:
    monkeypatch.setattr(engine, "MOST_OTHERS", 3)
    rule(function, count=1, window=1800)
    first, _verdict = arrive(now)
    for _number in range(4):
        arrive(now, state=State.SKIPPED)
    at = now + timedelta(minutes=12)
    if minutes:
        end_execution(first, State.FAILED, "", at - timedelta(minutes=minutes))
    assert arrive(at, state=State.SHIELDED)[1].kind == kind
    assert arrive(at + timedelta(minutes=5), state=State.SHIELDED)[1].kind == later
    if minutes:
        shift(first, State.RUNNING, at, "")  # as a person retries it
        assert set(first.memberships.values_list("ended_at", flat=True)) == {None}


def test_it_asks_the_database_the_same_in_a_storm_as_in_quiet(
    now: datetime, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    rule("skip_when_success", count=1)
    for second in range(150):
        arrive(now + timedelta(seconds=second), state=State.SKIPPED)
    with django_assert_max_num_queries(30):
        assert arrive(now + timedelta(seconds=151))[1].kind == "skip"
