"""Convergence: windows, dimensions, incidents, precedence."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from fta import signals
from fta.convergence import FUNCTIONS, Verdict, common_cause, converge, rules, validate_rule
from fta.convergence import engine as convergence_engine
from fta.convergence.kind import IncidentKind
from fta.models import ConfigVersion, ConvergenceRule, Execution, Inbox, Incident, Member
from tests import factories
from tests.conftest import on_postgres

State = Execution.State


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    rules._compiled.cache_clear()
    yield
    rules._compiled.cache_clear()


@pytest.fixture
def now(game: Any) -> datetime:
    factories.host()
    return timezone.now()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What the signals of incidents and faults said."""
    told: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for name in ("incident_opened", "incident_joined", "incident_closed", "system_fault"):

        def listen(name: str = name, **kwargs: Any) -> None:
            told.append((name, kwargs))

        receivers.append((getattr(signals, name), listen))
        getattr(signals, name).connect(listen)
    yield told
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def rule(function: str = "wait_when_running", **fields: Any) -> ConvergenceRule:
    name = fields.pop("name", f"规则{ConvergenceRule.objects.count()}")
    made = factories.convergence_rule(name, function=function, **fields)
    ConfigVersion.bump("convergence")
    return made


def arrive(
    at: datetime, state: str = State.RUNNING, target: str = "127.0.0.10", **fields: Any
) -> tuple[Execution, Verdict]:
    """Let an alert come in, converge its execution and leave it in `state`."""
    made = {key: fields.pop(key) for key in ("labels", "severity", "alert_type") if key in fields}
    alert = factories.alert(target=target, received_at=at, **made)
    execution = factories.execution(alert=alert, received_at=at, **fields)
    verdict = converge(execution, at)
    ended = at if state in Execution.ENDED else None
    Execution.objects.filter(pk=execution.pk).update(state=state, ended_at=ended)
    execution.refresh_from_db()
    return execution, verdict


def kinds(verdicts: list[tuple[Execution, Verdict]]) -> list[str]:
    return [verdict.kind for _, verdict in verdicts]


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
        (["host", "alert_type"], {"alert_type": "cpu"}, False),
        (["package"], {}, False),
    ],
)
def test_it_groups_by_dimensions(now: datetime, dimensions: list[Any], other: dict[str, Any], together: bool) -> None:
    factories.host("127.0.0.11", "web-11")
    factories.host("127.0.0.12", "db-12", module="db")
    rule("defense", count=1, dimensions=dimensions)
    arrive(now, labels={"env": "prod"})
    assert arrive(now, **({"labels": {"env": "prod"}} | other))[1].kind == ("approve" if together else "proceed")


def test_it_groups_by_package(now: datetime) -> None:
    rule("defense", count=1, dimensions=["package"])
    one, two = factories.package("one"), factories.package("two")
    arrive(now, state=State.FAILED, package=one)
    assert arrive(now, package=two)[1].kind == "proceed"
    assert arrive(now, package=one)[1].kind == "approve"


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


def test_it_names_the_first_of_equal_rules(now: datetime) -> None:
    rule("defense", count=1, priority=50)
    first = rule("defense", count=1, priority=10)
    arrive(now)
    assert arrive(now)[1].rule_id == first.pk


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


def test_it_closes_an_incident_that_was_quiet_and_opens_another(now: datetime, heard: list[Any]) -> None:
    rule("relate", count=1, window=60)
    arrive(now)
    arrive(now)
    arrive(now + timedelta(seconds=50))
    arrive(now + timedelta(seconds=111))
    arrive(now + timedelta(seconds=112))
    old, new = Incident.objects.order_by("id")
    assert (old.state, old.execution_count) == ("closed", 3)
    assert (new.state, new.execution_count) == ("open", 2)
    names = [name for name, _ in heard]
    assert names == ["incident_opened", "incident_joined", "incident_closed", "incident_opened"]


def test_it_caps_an_incident_at_a_day_and_remembers_who_came_before(now: datetime) -> None:
    rule("wait_when_running", count=1)
    arrive(now)
    arrive(now)
    later = now + timedelta(hours=24, seconds=1)
    Incident.objects.update(last_joined_at=later - timedelta(seconds=10))
    Member.objects.update(received_at=later - timedelta(seconds=10))
    _, verdict = arrive(later)
    assert verdict.kind == "wait"
    assert list(Incident.objects.order_by("id").values_list("state", "execution_count")) == [("closed", 2), ("open", 1)]


def test_it_joins_a_storm_within_half_an_hour(now: datetime) -> None:
    rule("defense", count=1, window=60)
    arrive(now)
    arrive(now)
    assert arrive(now + timedelta(minutes=29))[1].kind == "approve"
    assert arrive(now + timedelta(minutes=58))[1].kind == "approve"
    assert Incident.objects.get().execution_count == 4
    assert arrive(now + timedelta(minutes=89))[1].kind == "proceed"


def test_it_gives_an_incident_of_one_business_to_that_business(now: datetime, game: Any) -> None:
    rule("relate", count=1, dimensions=["business", "alert_type"])
    rule("relate", count=1, dimensions=["alert_type"])
    arrive(now)
    arrive(now)
    assert [incident.business for incident in Incident.objects.order_by("id")] == [game, None]


def test_it_never_has_two_open_incidents_of_one_group(now: datetime) -> None:
    rule("relate", count=1)
    arrive(now)
    arrive(now)
    incident = Incident.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.create(
            rule=incident.rule, group_key=incident.group_key, function="relate", opened_at=now, last_joined_at=now
        )


def test_it_asks_the_database_the_same_in_a_storm_as_in_quiet(
    now: datetime, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    rule("skip_when_success", count=1)
    for second in range(150):
        arrive(now + timedelta(seconds=second), state=State.SKIPPED)
    with django_assert_max_num_queries(30):
        assert arrive(now + timedelta(seconds=151))[1].kind == "skip"


def make_incident(now: datetime, function: str = "relate", **fields: Any) -> Incident:
    fields.setdefault("opened_at", now)
    fields.setdefault("last_joined_at", now)
    key = hashlib.sha256(str(Incident.objects.count()).encode()).hexdigest()
    made = rule(function, window=60)
    return Incident.objects.create(rule=made, group_key=key, function=function, **fields)


def run_due() -> None:
    kind = IncidentKind()
    for pk in kind.due(100, timezone.now()):
        kind.do(pk)


def test_it_closes_what_nobody_joins_any_more(now: datetime, heard: list[Any]) -> None:
    quiet = make_incident(now, last_joined_at=now - timedelta(seconds=61))
    busy = make_incident(now, last_joined_at=now - timedelta(seconds=30))
    storm = make_incident(now, "defense", last_joined_at=now - timedelta(minutes=29))
    day = make_incident(now, opened_at=now - timedelta(hours=25))
    run_due()
    run_due()
    states = {item.pk: item.state for item in Incident.objects.all()}
    assert states == {quiet.pk: "closed", busy.pk: "open", storm.pk: "open", day.pk: "closed"}
    assert [name for name, _ in heard] == ["incident_closed"] * 2


def test_it_closes_nothing_while_alerts_wait_to_be_read(now: datetime) -> None:
    incident = make_incident(now, last_joined_at=now - timedelta(minutes=10))
    Inbox.objects.create(source=factories.source(), kind="rest", raw=b"{}", received_at=now - timedelta(minutes=10))
    run_due()
    incident.refresh_from_db()
    assert incident.state == "open"


def test_it_finds_the_common_cause_after_five_minutes(now: datetime) -> None:
    rule("common_cause", count=2, dimensions=["business"])
    for number in range(4):
        factories.host(f"127.0.2.{number}", f"h{number}", set_name="s1" if number else "s2", module=f"m{number}")
        arrive(now, target=f"127.0.2.{number}", labels={"rack": "r7" if number < 2 else str(number)})
    run_due()
    assert "shared" not in Incident.objects.get().findings
    Incident.objects.update(opened_at=now - timedelta(minutes=5, seconds=1))
    run_due()
    found = Incident.objects.get().findings
    shared = {(item["name"], item["value"]): item["share"] for item in found["shared"]}
    assert shared[("set", "s1")] == 0.75
    assert shared[("label:rack", "r7")] == 0.5
    assert not {"business", "module", "host"} & {name for name, _ in shared}
    assert IncidentKind().due(10, timezone.now()) == []


def test_it_counts_a_third_as_common() -> None:
    rows = [{"rack": "r1"}] * 34 + [{"rack": str(number)} for number in range(100, 166)]
    assert [item["value"] for item in common_cause.shared_values(rows)] == ["r1"]
    assert common_cause.shared_values([*rows[1:], {"rack": "x"}]) == []
    assert common_cause.shared_values([{"rack": "r1"}]) == []


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


def test_it_takes_its_locks_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Cursor:
        def __enter__(self) -> "Cursor":
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def execute(self, _: str, params: list[int]) -> None:
            taken.extend(params)

    class Connection:
        vendor = "postgresql"

        def cursor(self) -> Cursor:
            return Cursor()

    monkeypatch.setattr(convergence_engine, "connection", Connection())
    keys = [hashlib.sha256(word.encode()).hexdigest() for word in "abcdef"]
    convergence_engine.lock(keys)
    assert taken == sorted(taken)
    assert all(-(1 << 63) <= number < 1 << 63 for number in taken)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_it_opens_one_incident_when_many_come_at_once() -> None:
    if not on_postgres():
        pytest.skip("postgres: SQLite has one writer")
    factories.host()
    at = timezone.now()
    rule("defense", count=1)
    rule("skip_when_running", count=3)
    runs = [factories.execution(alert=factories.alert(received_at=at), received_at=at) for _ in range(40)]

    def one(execution: Execution) -> str:
        try:
            return converge(Execution.objects.get(pk=execution.pk), at).kind
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        said = sorted(pool.map(one, runs))
    assert said == ["approve"] * 2 + ["proceed"] + ["skip"] * 37
    for incident in Incident.objects.all():
        assert sorted(incident.members.values_list("ordinal", flat=True)) == list(range(1, 41))
        assert incident.execution_count == 40
    assert Incident.objects.count() == 2
