"""The operators' verbs, and how an execution starts, is held, drifts, is refused, stopped, done again."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations, signals
from fta.healing.kind import ExecutionKind
from fta.healing.runners.base import Outcome
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


def _asked(**fields: Any) -> tuple[Execution, StepRun]:
    nodes = [node(1, "approval", success=2, failure=3, params={"message": "重启 ${ip}", "policy": "default"})]
    execution = stage.ready(*nodes, node(2), node(3, "mark_almost_success"), **fields)
    stage.drain()
    return execution, execution.steps.get()


def test_it_waits_at_an_approval_node_and_goes_on_with_its_permit(actor: Actor) -> None:
    execution, step = _asked()
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
    execution, step = _asked()
    operations.settle_approval_step(step.pk, True, "approved", "mallory", "forged", NOW)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("running", [])


def test_it_takes_the_failure_edge_of_a_refused_node_and_ends_skipped(actor: Actor) -> None:
    execution, step = _asked()
    operations.settle_approval_step(step.pk, False, "refused", "lisi", "驳回（微信审批）", NOW)
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("skipped", [])
    assert stage.steps(execution) == [(1, 1, "failed"), (3, 1, "succeeded")]


def test_it_settles_an_approval_that_was_answered_before_the_step_was_parked(actor: Actor) -> None:
    execution, step = _asked()
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
    execution, step = _asked()
    with pytest.raises(operations.ReasonMissing):
        operations.abort(execution, operator.user, "  ", NOW)
    assert stage.state(execution) == "running"
    operations.abort(execution, operator.user, "误报", NOW)
    step.refresh_from_db()
    assert (step.state, stage.state(execution)) == ("cancelled", "cancelled")


# --- retry -----------------------------------------------------------------------------------------------------------


def _failed(actor: Actor, *outcomes: Outcome, **fields: Any) -> Execution:
    actor.outcomes = [Outcome("succeeded"), *outcomes, Outcome("succeeded")]
    nodes = [node(1, success=2, **fields), node(2, success=3, **fields), node(3, **fields)]
    execution = stage.ready(*nodes)
    stage.drain()
    assert stage.state(execution) in ("failed", "unknown")
    return execution


def test_it_retries_from_the_node_that_failed(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("failed"))
    operations.retry(execution, operator.user, "已修好", None, False, timezone.now())
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert stage.steps(execution) == [(1, 1, "succeeded"), (2, 1, "failed"), (2, 2, "succeeded"), (3, 2, "succeeded")]
    assert len({step.idem_key for step in execution.steps.all()}) == 4
    assert stage.audited("execution.retry") == ["lisi"]
    with pytest.raises(operations.NotRetryable):
        operations.retry(execution, operator.user, "再来", None, False, timezone.now())


def test_it_does_everything_after_the_named_node_again(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("succeeded"), Outcome("failed"))
    operations.retry(execution, operator.user, "从头来", 1, False, timezone.now())
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert [(n, i) for n, i, _ in stage.steps(execution)] == [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)]


def test_it_retries_only_one_node(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("failed"))
    operations.retry(execution, operator.user, "只做这一步", 2, True, timezone.now())
    stage.drain()
    assert stage.steps(execution) == [(1, 1, "succeeded"), (2, 1, "failed"), (2, 2, "succeeded")]
    assert stage.state(execution) == "succeeded"


def test_it_asks_again_when_an_approval_node_is_retried(actor: Actor, operator: Person) -> None:
    execution, step = _asked()
    operations.settle_approval_step(step.pk, False, "refused", "lisi", "不行", NOW)
    stage.drain()
    operations.retry(execution, operator.user, "请再看看", 1, False, timezone.now())
    stage.drain()
    again = execution.steps.get(node=1, iteration=2)
    assert (again.state, stage.state(execution)) == ("waiting", "running")
    assert [entry[0] for entry in FakeGate.told("step")] == [step.pk, again.pk]


@pytest.mark.parametrize("answer", [True, False])
def test_it_wants_a_fresh_approval_to_do_an_unknown_once_step_again(
    actor: Actor, operator: Person, answer: bool
) -> None:
    execution = _failed(actor, Outcome("unknown", error="连接中断"))
    assert stage.state(execution) == "unknown"
    operations.retry(execution, operator.user, "看过了", None, False, timezone.now())
    stage.drain()
    assert (stage.state(execution), len(actor.seen)) == ("held", 2)
    assert execution.needs_approval
    assert execution.requested_by == operator.user, "who retries must not approve it"
    assert "结果未知" in FakeGate.told("execution")[0][1][0]
    if answer:
        FakeGate.yes.add(execution.plan_sha256)
        operations.release(execution, timezone.now(), "lisi", "同意")
        stage.drain()
        assert (stage.state(execution), len(actor.seen)) == ("succeeded", 4)
    else:
        operations.refuse(execution, timezone.now(), "lisi", "refused", "不行")
        stage.drain()
        assert (stage.state(execution), len(actor.seen)) == ("failed", 2)
        assert execution.steps.get(iteration=2).state == "cancelled"
        assert Package.objects.get().failures_in_a_row == 0, "a no is no failure of the package"


@pytest.mark.parametrize(("only", "ends"), [(False, "held"), (True, "unknown")])
def test_it_wants_one_too_when_a_node_before_the_unknown_step_is_retried(
    actor: Actor, operator: Person, only: bool, ends: str
) -> None:
    execution = _failed(actor, Outcome("unknown", error="连接中断"))
    FakeGate.yes.add(execution.plan_sha256)  # its plan was approved at the beginning
    operations.retry(execution, operator.user, "从头来", 1, only, timezone.now())
    stage.drain()
    assert (stage.state(execution), len(actor.seen)) == (ends, 2 + only)
    assert [("节点 2「节点2」的结果未知" in reasons[0]) for _pk, reasons, _sha in FakeGate.told("execution")] == (
        [] if only else [True]
    )


def test_a_no_to_a_retry_does_not_make_an_unknown_step_known(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("unknown"))
    FakeGate.yes.add(execution.plan_sha256)
    for node_again in (2, 1, None):
        operations.retry(execution, operator.user, "再来", node_again, False, timezone.now())
        stage.drain()
        assert (stage.state(execution), len(actor.seen)) == ("held", 2), node_again
        operations.refuse(execution, timezone.now(), "lisi", "refused", "不行")
    operations.resolve_unknown(execution.steps.get(state="unknown"), operator.user, False, "没有做", timezone.now())
    operations.retry(Execution.objects.get(), operator.user, "再来", None, False, timezone.now())
    stage.drain()
    assert stage.state(execution) == "succeeded"


def test_it_asks_before_a_retry_that_is_over_the_budget(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("failed"))
    package = Package.objects.get()
    Package.objects.update(budget={"max_hosts": 1, "window": "10m"})
    elsewhere = factories.host("127.0.0.11", "other")
    other = factories.execution(package=package, host=elsewhere, state="running")
    operations.retry(execution, operator.user, "已修好", None, False, timezone.now())
    assert (stage.state(execution), len(actor.seen)) == ("held", 2)
    assert ["第 2 台主机" in reasons[0] for _pk, reasons, _sha in FakeGate.told("execution")] == [True]
    operations.refuse(execution, timezone.now(), "lisi", "refused", "等一等")
    Execution.objects.filter(pk=other.pk).delete()
    FakeGate.yes.add(execution.plan_sha256)
    operations.retry(execution, operator.user, "轮到了", None, False, timezone.now())
    assert stage.state(execution) == "running"


def test_it_gives_a_retry_its_time_again(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("failed"))
    Execution.objects.update(deadline_at=timezone.now() - timedelta(hours=1))
    operations.retry(execution, operator.user, "已修好", None, False, timezone.now())
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert execution.deadline_at > timezone.now() + timedelta(minutes=39)


def test_it_refuses_a_retry_that_makes_no_sense(actor: Actor, operator: Person) -> None:
    execution = _failed(actor, Outcome("failed"))
    with pytest.raises(operations.ReasonMissing):
        operations.retry(execution, operator.user, "", None, False, timezone.now())
    with pytest.raises(operations.NotRetryable):
        operations.retry(execution, operator.user, "节点 3 没跑过", 3, False, timezone.now())
    rival = stage.ready(package=execution.package)
    ExecutionKind().do(rival.pk)
    with pytest.raises(operations.PlaceTaken):
        operations.retry(execution, operator.user, "抢着来", None, False, timezone.now())
    Execution.objects.filter(pk=execution.pk).update(plan=execution.plan | {"mode": "x"})
    with pytest.raises(operations.NotRetryable):
        operations.retry(execution, operator.user, "改过了", None, False, timezone.now())
    assert stage.state(execution) == "failed"
    assert execution.steps.count() == 2


# --- resolve unknown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("done", "ends", "ran"), [(True, "succeeded", 3), (False, "failed", 2)])
def test_it_goes_on_once_a_person_has_said_what_came_of_a_step(
    actor: Actor, operator: Person, done: bool, ends: str, ran: int
) -> None:
    execution = _failed(actor, Outcome("unknown"))
    step = execution.steps.get(node=2)
    operations.resolve_unknown(step, operator.user, done, "登录看过", timezone.now())
    stage.drain()
    step.refresh_from_db()
    assert (stage.state(execution), len(actor.seen)) == (ends, ran)
    assert (step.state, step.outcome) == ("succeeded" if done else "failed", "resolved")
    assert stage.audited("step.resolve_unknown") == ["lisi"]
    with pytest.raises(NotInState):
        operations.resolve_unknown(step, operator.user, done, "again", timezone.now())


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
