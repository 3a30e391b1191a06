"""Graphs through the engine: branches beside each other, joins, what a stop and a retry mean in them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations
from fta.healing.kind import ExecutionKind, StepKind
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome, StepContext
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _gate(settings: Any) -> Iterator[None]:
    settings.FTA_APPROVAL_GATE = stage.GATE
    FakeGate.reset()
    factories.host()
    yield
    FakeGate.reset()


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    made = Actor()
    monkeypatch.setitem(RUNNERS, "act", made)
    return made


def _order(execution: Any, turn: int = 1) -> list[int]:
    return [number for number, iteration, _state in stage.steps(execution) if iteration == turn]


def test_branches_of_one_execution_act_on_its_host_at_the_same_time(actor: Actor) -> None:
    execution = stage.ready(node(1, success=[2, 3]), node(2), node(3))
    within: list[str] = []

    def while_it_runs(ctx: StepContext) -> Outcome:
        other = execution.steps.exclude(pk=ctx.step.pk).get(node__in=(2, 3), state="ready")
        StepKind().do(other.pk)
        within.append(execution.steps.get(pk=ctx.step.pk).state)
        return Outcome("succeeded")

    actor.outcomes = [Outcome("succeeded"), while_it_runs, Outcome("succeeded")]
    stage.drain()
    assert (stage.state(execution), within, len(actor.seen)) == ("succeeded", ["running"], 3)


@pytest.mark.parametrize(("join", "starts"), [("all", [1, 2, 3, 4]), ("any", [1, 2, 3, 4])])
def test_a_join_starts_once_whichever_branch_is_first(actor: Actor, join: str, starts: list[int]) -> None:
    slow = {"params": {"seconds": 2}}  # within the tolerance of its clock once it is woken
    execution = stage.ready(
        node(1, success=[2, 3]), node(2, success=4), node(3, "sleep", success=4, **slow), node(4, join=join)
    )
    stage.drain()
    assert _order(execution) == (starts if join == "any" else starts[:3])
    execution.steps.filter(state="waiting").update(not_before=timezone.now() - timedelta(milliseconds=100))
    stage.drain()
    assert (stage.state(execution), _order(execution)) == ("succeeded", starts)


def test_a_stop_lets_no_branch_begin_anything_more(actor: Actor) -> None:
    execution = stage.ready(
        node(1, success=[2, 3]), node(2, success=4), node(3, "sleep", success=4, params={"seconds": 60}), node(4)
    )
    boss = factories.person("boss", "operator").user

    def stopped_meanwhile(ctx: StepContext) -> Outcome:
        operations.abort(execution, boss, "误报", timezone.now())
        assert ctx.cancelled()
        return Outcome("succeeded")

    actor.outcomes = [Outcome("succeeded"), stopped_meanwhile]
    stage.drain()
    assert stage.state(execution) == "cancelled"
    assert {step.node: step.state for step in execution.steps.all()} == {1: "succeeded", 2: "succeeded", 3: "cancelled"}


def test_a_retry_in_one_branch_leaves_the_other_alone_and_joins_again(actor: Actor) -> None:
    execution = stage.ready(node(1, success=[2, 3]), node(2, success=4), node(3, success=4), node(4))
    boss = factories.person("boss", "operator").user
    outcomes = {1: "succeeded", 2: "failed", 3: "succeeded", 4: "succeeded"}
    actor.outcomes = [lambda ctx: Outcome("failed" if outcomes[ctx.step.node] == "failed" else "succeeded")]
    stage.drain()
    assert stage.state(execution) == "failed"
    outcomes[2] = "succeeded"
    operations.retry(execution, boss, "磁盘换好了", None, False, timezone.now())
    stage.drain()
    assert (stage.state(execution), _order(execution, 2)) == ("succeeded", [2, 4])


def test_a_failed_branch_is_handled_while_the_other_goes_on(actor: Actor) -> None:
    execution = stage.ready(node(1, success=[2, 3]), node(2, failure=4), node(3, always=5), node(4), node(5))
    outcomes = {2: "failed"}
    actor.outcomes = [lambda ctx: Outcome("failed" if outcomes.get(ctx.step.node) == "failed" else "succeeded")]
    stage.drain()
    assert (stage.state(execution), sorted(_order(execution))) == ("succeeded", [1, 2, 3, 4, 5])


def test_a_node_has_its_own_time_and_never_more_than_the_execution(actor: Actor) -> None:
    execution = stage.ready(node(1, success=2, timeout="30s"), node(2, timeout="24h"))
    ExecutionKind().do(execution.pk)
    stage.drain()
    own, rest = (ctx.timeout for ctx in actor.seen)
    left = (execution.deadline_at - timezone.now()).total_seconds()
    assert own == 30
    assert left <= rest < left + 60
