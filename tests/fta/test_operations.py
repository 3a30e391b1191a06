"""The operators' verbs, and how an execution starts, is held, drifts, is refused, stopped."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations, signals
from fta.models import (
    Execution,
    Host,
    Inbox,
    Incident,
    Package,
    PackageVersion,
    Person,
    StepRun,
    Switch,
)
from fta.models.engine import NotInState
from tests import factories
from tests.fta import stage
from tests.fta.stage import ACT, Actor, FakeGate, node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("actor", "host")]
NOW = timezone.now()


def _held(*nodes: dict[str, Any], **fields: Any) -> Execution:
    return stage.ready(*nodes, state="held", needs_approval=True, hold_reasons=["套餐的模式是审批"], **fields)


# --- release, refuse -------------------------------------------------------------------------------------------------


def test_it_runs_a_held_execution_once_it_was_approved(actor: Actor) -> None:
    execution = _held()
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("held", [])
    FakeGate.yes.add(execution.plan_sha256)
    operations.release(execution, NOW, "lisi", "同意（微信审批）")
    assert stage.state(execution) == "ready"
    stage.drain()
    assert (stage.state(execution), len(actor.seen)) == ("succeeded", 1)
    assert stage.audited("execution.release") == ["lisi"]
    with pytest.raises(NotInState):
        operations.release(execution, NOW, "lisi", "again")


@pytest.mark.parametrize(("outcome", "word"), [("refused", "驳回"), ("expired", "过期")])
def test_it_skips_a_refused_execution(actor: Actor, outcome: str, word: str) -> None:
    execution = _held()
    operations.refuse(execution, NOW, "lisi", outcome, "不合适")
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("skipped", [])
    assert word in execution.reason
    assert execution.ended_at is not None
    assert stage.audited("execution.refuse") == ["lisi"]
    with pytest.raises(NotInState):
        operations.refuse(execution, NOW, "lisi", outcome, "again")


def test_it_asks_instead_of_running_when_nobody_has_approved(actor: Actor) -> None:
    execution = stage.ready(needs_approval=True)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("held", [])
    assert [entry[0] for entry in FakeGate.told("execution")] == [execution.pk]


@pytest.mark.parametrize("change", ["package", "parameters", "host"])
def test_it_asks_again_when_what_was_approved_has_changed(actor: Actor, change: str) -> None:
    package = factories.package("act", nodes=[ACT], parameters=[{"name": "path", "type": "string"}])
    rule = factories.rule(package=package, parameters={"path": "/tmp"})
    execution = _held(package=package, rule=rule)
    old = execution.plan_sha256
    FakeGate.yes.add(old)
    operations.release(execution, NOW, "lisi", "同意")
    if change == "package":
        package.current = PackageVersion.objects.create(
            package=package, number=2, nodes=[ACT, node(2)], sha256="2" * 64
        )
        package.save()
    elif change == "parameters":
        rule.parameters = {"path": "/"}
        rule.save()
    else:
        Host.objects.update(connection="ssh")
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("held", [])
    assert execution.plan_sha256 != old
    assert len(FakeGate.told("supersede")) == 1
    (pk, reasons, sha256) = FakeGate.told("execution")[0]
    assert (pk, sha256) == (execution.pk, execution.plan_sha256)
    assert reasons == execution.hold_reasons
    words = {"package": "v1 → v2", "parameters": "参数已修改", "host": "连接方式"}
    assert words[change] in reasons[0]
    assert stage.audited("execution.refreeze") == ["system"]
    assert execution.version == Package.objects.get().current


def test_it_freezes_anew_without_asking_when_no_approval_is_needed(actor: Actor) -> None:
    execution = stage.ready()
    old = execution.plan_sha256
    Host.objects.update(connection="ssh")
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert execution.plan_sha256 != old
    assert actor.seen[0].host is not None
    assert actor.seen[0].host["connection"] == "ssh"
    assert FakeGate.told("execution") == []


def test_it_does_not_start_what_was_switched_off_meanwhile(actor: Actor) -> None:
    off, ask = stage.ready(key="off"), stage.ready(key="ask", alert=factories.alert())
    Package.objects.filter(key="off").update(mode="shadow")
    Package.objects.filter(key="ask").update(mode="approval")
    stage.drain()
    assert (stage.state(off), stage.state(ask), actor.seen) == ("skipped", "held", [])


def test_it_fails_a_plan_whose_parameters_do_not_fit(actor: Actor) -> None:
    package = factories.package("act", nodes=[ACT], parameters=[{"name": "n", "type": "integer", "required": True}])
    execution = stage.ready(package=package)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("failed", [])
    assert "必填" in execution.reason


# --- approval nodes --------------------------------------------------------------------------------------------------


def test_it_waits_at_an_approval_node_and_goes_on_with_its_permit(actor: Actor) -> None:
    execution, step = stage.asked()
    assert step.state == "waiting"
    assert FakeGate.told("step") == [(step.pk, "重启 127.0.0.10", "default")]
    FakeGate.passed.add(step.pk)
    operations.settle_approval_step(step.pk, True, "approved", "lisi", "同意（微信审批）", NOW)
    acting = execution.steps.get(node=2)
    assert acting.permit_id == step.pk
    stage.drain()
    assert (stage.state(execution), len(actor.seen)) == ("succeeded", 1)
    step.refresh_from_db()
    assert (step.state, step.outcome, step.result["decided_by"]) == ("succeeded", "approved", "lisi")
    assert stage.audited("step.settle_approval") == ["lisi"]
    with pytest.raises(NotInState):
        operations.settle_approval_step(step.pk, True, "approved", "lisi", "again", NOW)


def test_it_does_not_act_on_a_permit_that_was_not_given(actor: Actor) -> None:
    execution, step = stage.asked()
    operations.settle_approval_step(step.pk, True, "approved", "mallory", "forged", NOW)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("running", [])


def test_it_takes_the_failure_edge_of_a_refused_node_and_ends_skipped(actor: Actor) -> None:
    execution, step = stage.asked()
    operations.settle_approval_step(step.pk, False, "refused", "lisi", "驳回（微信审批）", NOW)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("skipped", [])
    assert stage.steps(execution) == [(1, 1, "failed"), (3, 1, "succeeded")]


def test_it_settles_an_approval_that_was_answered_before_the_step_was_parked(actor: Actor) -> None:
    execution, step = stage.asked()
    StepRun.objects.update(state="running", lease_until=timezone.now() + timedelta(seconds=60))
    fence = step.fence
    FakeGate.passed.add(step.pk)
    operations.settle_approval_step(step.pk, True, "approved", "lisi", "", NOW)
    step.refresh_from_db()
    assert (step.state, step.fence) == ("succeeded", fence + 1)
    stage.drain()
    assert stage.state(execution) == "succeeded"


# --- abort -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["held", "sleeping", "ready", "converging"])
def test_it_stops_an_execution_that_has_not_started(actor: Actor, operator: Person, state: str) -> None:
    execution = stage.ready(state=state)
    operations.abort(execution, operator.user, "误报", NOW)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("cancelled", [])
    assert "误报" in execution.reason
    assert [entry[0] for entry in FakeGate.told("withdraw")] == [execution.pk]
    assert stage.audited("execution.abort") == ["lisi"]
    with pytest.raises(NotInState):
        operations.abort(execution, operator.user, "误报", NOW)


def test_it_cancels_waiting_steps_at_once_and_wants_a_reason(actor: Actor, operator: Person) -> None:
    execution, step = stage.asked()
    with pytest.raises(operations.ReasonMissing):
        operations.abort(execution, operator.user, "  ", NOW)
    assert stage.state(execution) == "running"
    operations.abort(execution, operator.user, "误报", NOW)
    step.refresh_from_db()
    assert (step.state, stage.state(execution)) == ("cancelled", "cancelled")


# --- halt, resume ------------------------------------------------------------------------------------------------------


def test_it_halts_and_resumes_healing(actor: Actor, operator: Person) -> None:
    execution = stage.ready()
    until = timezone.now() + timedelta(minutes=30)
    switch = operations.halt("business", "game", "变更窗口", until, operator.user, timezone.now())
    stage.drain()
    assert stage.state(execution) == "ready"
    operations.resume(switch, operator.user, timezone.now())
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert (stage.audited("switch.halt"), stage.audited("switch.resume")) == (["lisi"], ["lisi"])
    with pytest.raises(operations.NotInForce):
        operations.resume(switch, operator.user, timezone.now())


@pytest.mark.parametrize(
    ("scope", "key", "minutes"), [("host", "", 5), ("business", "nobody", 5), ("all", "game", 5), ("all", "", -5)]
)
def test_it_refuses_a_switch_that_makes_no_sense(operator: Person, scope: str, key: str, minutes: int) -> None:
    with pytest.raises(operations.InvalidSwitch):
        operations.halt(scope, key, "原因", NOW + timedelta(minutes=minutes), operator.user, NOW)
    assert not Switch.objects.exists()


# --- by hand, records --------------------------------------------------------------------------------------------------


def test_it_replays_a_rejected_request_and_no_other(operator: Person) -> None:
    source = factories.source()
    rejected = Inbox.objects.create(source=source, kind="rest", raw=b"x", received_at=NOW, state="poison", attempts=5)
    operations.replay(rejected, operator.user, NOW)
    rejected.refresh_from_db()
    assert (rejected.state, rejected.attempts) == ("new", 0)
    assert stage.audited("inbox.replay") == ["lisi"]
    with pytest.raises(NotInState):
        operations.replay(rejected, operator.user, NOW)


def test_it_closes_an_incident_once(operator: Person) -> None:
    rule = factories.convergence_rule()
    incident = Incident.objects.create(
        rule=rule, group_key="k", function=rule.function, opened_at=NOW, last_joined_at=NOW
    )
    closed: list[int] = []

    def hear(incident: Incident, **kwargs: Any) -> None:
        closed.append(incident.pk)

    signals.incident_closed.connect(hear)
    operations.close_incident(incident, operator.user, "处理完了", NOW)
    signals.incident_closed.disconnect(hear)
    incident.refresh_from_db()
    assert (incident.state, closed) == ("closed", [incident.pk])
    assert stage.audited("incident.close") == ["lisi"]
    with pytest.raises(NotInState):
        operations.close_incident(incident, operator.user, "再来", NOW)
