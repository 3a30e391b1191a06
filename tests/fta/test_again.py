"""Done again, or settled: what the operator's retry does and asks, and what came of an unknown step."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations
from fta.healing.kind import ExecutionKind
from fta.healing.runners.base import Outcome
from fta.models import (
    Execution,
    Package,
    Person,
)
from fta.models.engine import NotInState
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("actor", "host")]
NOW = timezone.now()


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
    execution, step = stage.asked()
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


@pytest.mark.parametrize("approval", [False, True])
def test_it_does_nothing_again_that_the_rule_does_not_want_any_more(operator: Person, approval: bool) -> None:
    alert = factories.alert(status="resolved")
    execution = stage.ready(node(1), alert=alert, rule=factories.rule(void_when_resolved=True), needs_approval=approval)
    stage.drain()
    assert stage.state(execution) == "skipped"
    with pytest.raises(operations.NotRetryable, match="告警已恢复，规则要求不再执行，不能重试"):
        operations.retry(execution, operator.user, "再来", None, False, timezone.now())
    assert (stage.state(execution), FakeGate.told("execution")) == ("skipped", [])
