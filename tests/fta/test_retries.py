"""Retries that end before they begin, and those after them: what acts once acts once for each yes."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from fta import operations, pipeline
from fta.engine.claim import NotClaimed
from fta.engine.loop import Engine
from fta.healing import claims, ending
from fta.healing.kind import ExecutionKind, StepKind
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome, StepContext
from fta.healing.steps import fail_altered
from fta.models import Alert, Execution, Package, Person, StepRun, Switch
from tests import factories
from tests.conftest import only_on_postgres
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node


def _drain() -> None:
    Engine(threads=2, work=["step", "execution", "sleeper"]).drain()


def _agree(execution: Execution) -> None:
    execution.refresh_from_db()
    FakeGate.yes.add(execution.plan_sha256)
    operations.release(execution, timezone.now(), "lisi", "同意")


def _off(execution: Execution) -> None:
    _agree(execution)
    Package.objects.update(mode="off")
    _drain()
    Package.objects.update(mode="auto")


def _halted(execution: Execution) -> None:
    _agree(execution)
    Switch.objects.create(scope="all", reason="演习", created_by="boss")
    Execution.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    _drain()
    Switch.objects.update(ended_at=timezone.now())


def _resolved(execution: Execution) -> None:
    _agree(execution)
    rival = stage.ready(key="rival", state="running", acting=True)
    _drain()
    assert stage.state(execution) == "sleeping"
    Alert.objects.filter(pk=execution.alert_id).update(status="resolved", resolved_at=timezone.now())
    pipeline.resolved(Alert.objects.get(pk=execution.alert_id))
    _drain()
    Execution.objects.filter(pk=rival.pk).update(state="failed", acting=False)


def _unanswered(execution: Execution) -> None:
    Execution.objects.update(deadline_at=timezone.now() - timedelta(minutes=2))
    _drain()


@pytest.mark.django_db
@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("end", [_off, _halted, _resolved, _unanswered])
def test_a_retry_that_ended_before_it_began_does_not_act_beside_the_next_one(
    actor: Actor, operator: Person, end: Callable[[Execution], None]
) -> None:
    actor.outcomes = [Outcome("succeeded"), Outcome("unknown"), Outcome("succeeded")]
    execution = stage.ready(node(1, success=2), node(2, policy="once"))
    _drain()
    operations.retry(execution, operator.user, "看过了", None, False, timezone.now())
    end(execution)
    assert stage.state(execution) in Execution.ENDED
    left = execution.steps.get(iteration=2)
    assert (left.node, left.state, left.error != "", left.ended_at is None) == (2, "cancelled", True, False)
    assert execution.history.filter(kind="step.cancelled").count() == 1
    operations.retry(execution, operator.user, "再来", 2, False, timezone.now())
    _agree(execution)
    _drain()
    assert stage.state(execution) == "succeeded"
    assert [ctx.step.node for ctx in actor.seen] == [1, 2, 2], "once at first, and once for the one yes that was used"


@pytest.mark.django_db
@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("again", [2, 1], ids=["the same node", "one before it"])
def test_nothing_of_an_earlier_round_is_claimed(actor: Actor, again: int) -> None:
    execution = stage.ready(node(1, success=2), node(2))
    ExecutionKind().do(execution.pk)
    StepKind().do(execution.steps.get().pk)
    left = execution.steps.get(node=2)
    later = factories.step(execution, again, type="act", iteration=2)
    with pytest.raises(NotClaimed):
        claims.claim_step(left, True, timezone.now())
    assert claims.claim_step(later, True, timezone.now())


@pytest.mark.django_db
@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("state", ["running", "ready"], ids=["claimed", "woken"])
def test_a_step_that_moves_while_its_execution_is_stopped_does_not_undo_the_stop(
    actor: Actor, operator: Person, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    execution = stage.ready(node(1, success=[2, 3]), node(2), node(3))
    ExecutionKind().do(execution.pk)
    StepKind().do(execution.steps.get().pk)
    execution.steps.filter(node=3).update(state="waiting")

    def told(*args: Any, **kwargs: Any) -> None:  # the first step is cancelled: another worker moves the second one
        execution.steps.filter(node=3, state="waiting").update(state=state, lease_until=timezone.now())

    monkeypatch.setattr(ending, "tell", told)
    operations.abort(execution, operator.user, "误报", timezone.now())
    goes_on = state == "running"
    assert stage.steps(execution)[1:] == [(2, 1, "cancelled"), (3, 1, "running" if goes_on else "cancelled")]
    assert (stage.state(execution), execution.cancel_requested) == ("running" if goes_on else "cancelled", True)
    assert stage.audited("execution.abort") == ["lisi"]


@pytest.mark.django_db
@pytest.mark.usefixtures("host")
def test_a_step_is_not_made_ready_again_once_its_execution_has_ended(actor: Actor, faults: list[str]) -> None:
    execution = stage.ready(node(1, retries={"count": 3}))

    def altered(ctx: StepContext) -> Outcome:
        fail_altered(execution.pk, timezone.now())
        return Outcome("failed", outcome="not_sent", retryable=True)

    actor.outcomes = [altered]
    stage.drain()
    assert (stage.state(execution), stage.steps(execution)) == ("failed", [(1, 1, "cancelled")])


@pytest.mark.django_db(transaction=True)
def test_who_stops_an_execution_waits_for_a_claim_that_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    only_on_postgres("SQLite lets one at a time begin")
    monkeypatch.setitem(RUNNERS, "act", Actor())
    operator = factories.person("lisi", "operator")
    execution = stage.ready(node(1, success=[2, 3]), node(2), node(3))
    ExecutionKind().do(execution.pk)
    StepKind().do(execution.steps.get().pk)
    taken, stopping = threading.Event(), threading.Event()
    monkeypatch.setattr(ending, "tell", lambda *args, **kwargs: stopping.set())

    def take() -> None:
        try:
            with transaction.atomic():
                claims.claim_step(execution.steps.get(node=3), False, timezone.now())
                taken.set()
                stopping.wait(10)  # the first step was cancelled, and this one seen as ready
        finally:
            connection.close()

    worker = threading.Thread(target=take)
    worker.start()
    taken.wait(10)
    operations.abort(execution, operator.user, "误报", timezone.now())
    worker.join(10)
    assert stage.steps(execution)[1:] == [(2, 1, "cancelled"), (3, 1, "running")]
    assert (stage.state(execution), execution.cancel_requested) == ("running", True)


@pytest.mark.django_db(transaction=True)
def test_the_end_of_an_execution_waits_for_no_step_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    only_on_postgres("SQLite lets one at a time begin")
    monkeypatch.setitem(RUNNERS, "act", Actor())
    factories.host()
    first, *others = (stage.ready(key=key, state="running") for key in ("one", "two", "three"))
    looked_at, free = (factories.step(each, type="act", not_before=timezone.now()) for each in others)
    taken, ended = threading.Event(), threading.Event()

    def take() -> None:
        try:
            with transaction.atomic():
                StepRun.objects.filter(pk=looked_at.pk).update(not_before=None)
                taken.set()
                ended.wait(10)
        finally:
            connection.close()

    worker = threading.Thread(target=take)
    worker.start()
    taken.wait(10)
    try:
        with transaction.atomic():
            ending.end_execution(first, "failed", "", timezone.now())
    finally:
        ended.set()
        worker.join(10)
    assert StepRun.objects.get(pk=free.pk).not_before is None
