"""The way of an alert: shield, match, converge, hold or hand on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from fta import pipeline, signals
from fta.convergence import Verdict
from fta.models import Alert, Business, ConfigVersion, Execution, Incident, Member, Package, Shield
from fta.models.engine import NotInState
from tests import factories
from tests.fta.deciding import asked, become, begin, converge_by, fire, heal, make_rule

State = Execution.State


@pytest.fixture(autouse=True)
def _stage(settings: Any) -> None:
    begin(settings)


@pytest.fixture
def now(game: Any) -> datetime:
    factories.host()
    return timezone.now()


@pytest.fixture
def package(now: datetime) -> Package:
    return factories.package()


def test_it_hands_on_what_a_rule_and_its_package_allow(package: Package, now: datetime) -> None:
    rule = make_rule(package=package, timeout=600, parameters={}, approval_policy="default")
    told: list[tuple[str, str]] = []

    def listen(frm: str, to: str, **_: Any) -> None:
        told.append((frm, to))

    signals.execution_changed.connect(listen)
    alert, execution = fire(now)
    signals.execution_changed.disconnect(listen)
    assert (alert.outcome, alert.outcome_detail) == ("matched", rule.name)
    assert execution is not None
    assert (execution.state, execution.mode, execution.verdict) == ("ready", "auto", "proceed")
    assert (execution.rule, execution.package, execution.version) == (rule, package, package.current)
    assert execution.host is not None
    assert (execution.host.ip, execution.approval_policy) == ("127.0.0.10", "default")
    assert execution.deadline_at == now + timedelta(seconds=600)
    assert execution.plan["package"]["key"] == package.key
    assert len(execution.plan_sha256) == 64
    assert not execution.needs_approval
    assert told == [("converging", "ready")]
    assert execution.history.filter(kind="execution.created").exists()
    assert asked == []


def test_it_decides_about_an_alert_once(package: Package, now: datetime) -> None:
    make_rule(package=package)
    alert, first = fire(now)
    assert pipeline.process(alert, now) == first
    assert Execution.objects.count() == 1


def test_it_keeps_an_alert_without_a_rule(package: Package, now: datetime) -> None:
    make_rule(package=package, match={"alert_type": "cpu"})
    alert, execution = fire(now)
    assert execution is None
    assert alert.outcome == "unmatched"


def test_it_records_what_a_shield_covers(package: Package, now: datetime) -> None:
    make_rule(package=package)
    shield = Shield.objects.create(
        name="发布", match={"business": "game"}, starts_at=now, ends_at=now + timedelta(hours=1), reason="发布窗口"
    )
    ConfigVersion.bump("shields")
    alert, execution = fire(now)
    assert execution is not None
    assert (alert.outcome, execution.state, execution.shield) == ("shielded", "shielded", shield)
    assert execution.ended_at == now
    assert not Member.objects.exists()
    later, execution = fire(now + timedelta(hours=1))
    assert execution is not None
    assert (later.outcome, execution.state) == ("matched", "ready")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"target": "127.0.0.1", "target_kind": "loopback"}, "unusable_target"),
        ({"target": "::1", "target_kind": "loopback"}, "unusable_target"),
        ({"target": "", "target_kind": "", "host": None}, "unusable_target"),
        ({"target": "i-0abc", "target_kind": "cloud", "host": None}, "unusable_target"),
        ({"target": "10.9.9.9", "registered": False}, "unusable_target"),
    ],
)
def test_it_never_heals_an_unusable_target(
    package: Package, now: datetime, fields: dict[str, Any], outcome: str
) -> None:
    make_rule(package=package)
    alert, execution = fire(now, **fields)
    assert execution is not None
    assert (alert.outcome, execution.state) == (outcome, "recorded")
    assert execution.reason == alert.outcome_detail != ""
    assert execution.ended_at == now


def test_it_leaves_a_stale_alert_alone(package: Package, now: datetime) -> None:
    make_rule(package=package, stale_after=600)
    alert, execution = fire(now, starts_at=now - timedelta(seconds=601))
    assert execution is not None
    assert (alert.outcome, execution.state) == ("stale", "recorded")
    assert "10 分钟前" in execution.reason
    assert heal(now, starts_at=now - timedelta(seconds=600)).state == "ready"


def test_it_records_only_without_a_package(now: datetime) -> None:
    make_rule(package=None)
    converge_by("relate")
    alert, execution = fire(now)
    assert execution is not None
    assert (alert.outcome, execution.state) == ("matched", "recorded")
    second = heal(now)
    assert second.incident == Incident.objects.get()  # what is only recorded is grouped all the same


UNFIT = [
    {"target": "10.9.9.9", "host": None},
    {"starts_at": datetime(2026, 1, 1, tzinfo=UTC)},
    {"alert_type": "cpu"},
    {},
]


@pytest.mark.parametrize("fields", UNFIT)
def test_it_counts_what_it_only_records(package: Package, now: datetime, settings: Any, fields: dict[str, Any]) -> None:
    make_rule(package=package, match={"alert_type": "disk_full"}, stale_after=600)
    make_rule(name="只记录", package=None, match={"alert_type": "cpu"})
    converge_by("defense", count=3, dimensions=["business"])
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = 0 if fields else 1
    heal(now)
    recorded = [heal(now, business=Business.objects.get(), **fields) for _ in range(3)]
    assert [run.state for run in recorded] == ["recorded"] * 3
    assert recorded[-1].verdict == ("approve" if fields else "flow_rate")
    assert set(Execution.objects.values_list("incident", flat=True)) == {Incident.objects.get().pk}
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = 0
    assert heal(now).state == "held"
    assert Incident.objects.get().execution_count == 5
    assert len(asked) == 1  # about none of those that were recorded


def test_it_runs_one_that_acts_when_those_before_it_are_recorded(package: Package, now: datetime) -> None:
    make_rule(package=package)
    converge_by("trigger", count=2, dimensions=["business"])
    heal(now)
    recorded = [heal(now, target="10.9.9.9", host=None, business=Business.objects.get()) for _ in range(2)]
    assert {run.state for run in recorded} == {"recorded"}
    assert [heal(now).state for _ in range(2)] == ["ready", "skipped"]
    assert Incident.objects.get().execution_count == 4  # the three by which it was opened, and the last


def test_it_does_not_wait_for_what_is_only_recorded(package: Package, now: datetime) -> None:
    make_rule(package=package)
    converge_by("skip_when_running", dimensions=["business"])
    heal(now, target="10.9.9.9", host=None, business=Business.objects.get())
    assert heal(now).state == "ready"


@pytest.mark.parametrize(
    ("rule_mode", "package_mode", "state"),
    [
        ("auto", "auto", "ready"),
        ("auto", "approval", "held"),
        ("approval", "auto", "held"),
        ("auto", "shadow", "shadowed"),
        ("shadow", "approval", "shadowed"),
        ("auto", "off", "recorded"),
        ("off", "auto", "recorded"),
    ],
)
def test_it_lets_the_stricter_mode_hold(now: datetime, rule_mode: str, package_mode: str, state: str) -> None:
    make_rule(package=factories.package(mode=package_mode), mode=rule_mode)
    execution = heal(now)
    assert execution.state == state
    assert execution.needs_approval is (state == "held")
    assert (execution.ended_at is None) is (state in {"ready", "held"})
    assert [pk for pk, _ in asked] == ([execution.pk] if state == "held" else [])


def test_it_acts_on_a_package_edit_at_the_next_alert(package: Package, now: datetime) -> None:
    make_rule(package=package)
    assert heal(now).state == "ready"
    Package.objects.filter(pk=package.pk).update(mode="approval")
    ConfigVersion.bump("packages")
    assert heal(now).state == "held"


def test_it_records_for_an_archived_package(package: Package, now: datetime) -> None:
    make_rule(package=package)
    Package.objects.filter(pk=package.pk).update(archived=True)
    ConfigVersion.bump("packages")
    assert heal(now).state == "recorded"


def test_it_ends_what_cannot_run_as_it_is(now: datetime) -> None:
    package = factories.package(parameters=[{"name": "path", "type": "string", "required": True}])
    make_rule(package=package)
    execution = heal(now)
    assert execution.state == "failed"
    assert "path" in execution.reason


def test_it_holds_a_storm(package: Package, now: datetime) -> None:
    make_rule(package=package)
    converge_by("defense", count=2)
    states = [heal(now + timedelta(seconds=number)).state for number in range(4)]
    assert states == ["ready", "ready", "held", "held"]
    held = Execution.objects.filter(state=State.HELD)
    assert {pk for pk, _ in asked} == set(held.values_list("pk", flat=True))  # each one has an approval of its own
    for execution in held:
        assert (execution.verdict, execution.needs_approval) == ("approve", True)
        assert execution.incident == Incident.objects.get()
        assert "defense" in execution.hold_reasons[0]


def test_it_skips_and_names_the_rule(package: Package, now: datetime) -> None:
    make_rule(package=package)
    converge_by("skip_when_running")
    heal(now)
    second = heal(now)
    assert (second.state, second.verdict) == ("skipped", "skip")
    assert second.ended_at is not None
    assert "skip_when_running" in second.reason
    assert second.verdict_rule is not None


def test_it_waits_for_the_threshold(package: Package, now: datetime) -> None:
    make_rule(package=package)
    converge_by("trigger", count=2)
    executions = [heal(now + timedelta(seconds=number)) for number in range(4)]
    assert [item.state for item in executions] == ["below_threshold", "below_threshold", "ready", "skipped"]
    assert executions[0].ended_at is not None
    assert "trigger" in executions[0].reason


def test_it_tells_what_would_have_happened_in_shadow(package: Package, now: datetime) -> None:
    make_rule(package=package, mode="shadow")
    converge_by("defense")
    heal(now)
    second = heal(now)
    assert (second.state, second.verdict) == ("shadowed", "approve")
    assert "defense" in second.reason
    assert asked == []


def test_it_holds_a_package_that_failed_three_times(package: Package, now: datetime) -> None:
    make_rule(package=package)
    Package.objects.filter(pk=package.pk).update(failures_in_a_row=2)
    assert heal(now).state == "ready"
    Package.objects.filter(pk=package.pk).update(failures_in_a_row=3)
    assert heal(now).state == "held"
    assert "连续失败 3 次" in asked[0][1][0]


def test_it_holds_what_goes_over_the_budget_of_hosts(now: datetime) -> None:
    make_rule(package=factories.package(budget={"max_hosts": 2, "window": "10m"}))
    for number in range(1, 4):
        factories.host(f"127.0.3.{number}", f"h{number}")
    early = now - timedelta(minutes=11)
    become(heal(early, target="127.0.3.3"), State.SUCCEEDED, started_at=early)
    assert [heal(now, target=f"127.0.3.{number}").state for number in (1, 2, 1, 3)] == ["ready"] * 3 + ["held"]
    assert "第 3 台主机，最多 2 台" in asked[0][1][0]


def test_it_holds_what_goes_over_the_share_of_a_module(now: datetime) -> None:
    make_rule(package=factories.package(budget={"max_percent": 50, "window": 600, "scope": "module"}))
    for number in range(1, 4):
        factories.host(f"127.0.3.{number}", f"h{number}", module="db")
    factories.host("127.0.3.9", "spare", module="db", is_spare=True)
    assert heal(now).state == "held"  # the only host of its module
    assert [heal(now, target=f"127.0.3.{number}").state for number in (1, 2)] == ["ready", "held"]
    assert "共 3 台，最多 50%" in asked[1][1][0]


def test_it_does_not_move_what_somebody_else_moved(package: Package, now: datetime) -> None:
    make_rule(package=package)
    execution = heal(now)
    execution.state = State.CONVERGING
    with pytest.raises(NotInState):
        pipeline.settle(execution, Verdict(), now)
    execution.refresh_from_db()
    assert execution.state == "ready"


def test_it_never_runs_an_alert_twice(package: Package, now: datetime) -> None:
    make_rule(package=package)
    alert, _ = fire(now)
    stale = Alert.objects.get(pk=alert.pk)
    stale.outcome = Alert.Outcome.PENDING  # as a second worker would have loaded it
    with pytest.raises(IntegrityError), transaction.atomic():
        pipeline.process(stale, now)
    assert Execution.objects.count() == 1
