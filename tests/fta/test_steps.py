"""Steps through the engine: claims, policies, retries, waits, joins, deadlines, tampering, switches."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from fta import operations, signals
from fta.healing import claims, steps
from fta.healing.ending import end_execution
from fta.healing.kind import ExecutionKind, StepKind
from fta.healing.runners.base import Outcome, StepContext
from fta.lib.secrets import remember
from fta.models import Execution, Package, StepRun, Switch
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("actor")]


@pytest.fixture
def moves() -> Iterator[list[tuple[str, str]]]:
    heard: list[tuple[str, str]] = []

    def hear(execution: Execution, frm: str, to: str, **kwargs: Any) -> None:
        heard.append((frm, to))

    signals.execution_changed.connect(hear)
    yield heard
    signals.execution_changed.disconnect(hear)


def test_it_runs_an_execution_from_ready_to_succeeded(actor: Actor, host: Any, moves: list[tuple[str, str]]) -> None:
    execution = stage.ready(node(1, success=2), node(2, params={"to": "${ip} ${node.1.x}"}))
    actor.outcomes = [Outcome("succeeded", result={"x": "7"}, output="fine"), Outcome("succeeded")]
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert moves == [("ready", "running"), ("running", "succeeded")]
    assert stage.steps(execution) == [(1, 1, "succeeded"), (2, 1, "succeeded")]
    assert actor.seen[1].params == {"to": "127.0.0.10 7"}
    assert actor.seen[1].host is not None
    assert actor.seen[1].host["ip"] == "127.0.0.10"
    step = execution.steps.get(node=1)
    assert (step.attempt, step.output, step.lease_until) == (1, "fine", None)
    assert list(step.attempts.values_list("number", "state")) == [(1, "succeeded")]
    assert execution.healed == "pending"
    kinds = list(execution.history.values_list("kind", flat=True))
    assert kinds == ["execution.running", "step.succeeded", "step.succeeded", "execution.succeeded"]
    assert FakeGate.told("withdraw") == [(execution.pk, "成功")]


def test_it_retries_a_failed_idempotent_step_with_delay_and_then_gives_up(actor: Actor, host: Any) -> None:
    retries = {"count": 1, "delay": 30, "backoff": 2}
    execution = stage.ready(node(1, policy="idempotent", retries=retries))
    actor.outcomes = [Outcome("failed", error="exit 1")]
    stage.drain()
    step = execution.steps.get()
    assert (step.state, step.attempt) == ("ready", 1)
    assert step.not_before is not None
    assert timedelta(seconds=25) < step.not_before - timezone.now() < timedelta(seconds=31)
    assert len(actor.seen) == 1
    StepRun.objects.update(not_before=None)
    stage.drain()
    step.refresh_from_db()
    assert (step.state, step.attempt, stage.state(execution)) == ("failed", 2, "failed")
    assert {ctx.step.idem_key for ctx in actor.seen} == {step.idem_key}
    assert "exit 1" in execution.reason


def test_it_retries_a_once_step_only_when_nothing_was_sent(actor: Actor, host: Any) -> None:
    execution = stage.ready(node(1, policy="once", retries={"count": 3}))
    actor.outcomes = [Outcome("failed", outcome="not_sent", retryable=True), Outcome("failed", error="exit 1")]
    stage.drain()
    step = execution.steps.get()
    assert (step.state, step.attempt, len(actor.seen)) == ("failed", 2, 2)


@pytest.mark.parametrize(
    ("policy", "expected", "ends"),
    [("once", "unknown", "unknown"), ("probe", "unknown", "unknown"), ("idempotent", "succeeded", "succeeded")],
)
def test_it_settles_a_step_whose_worker_vanished_by_its_policy(
    actor: Actor, host: Any, faults: list[str], policy: str, expected: str, ends: str
) -> None:
    execution = stage.ready(node(1, policy=policy))
    ExecutionKind().do(execution.pk)
    step = execution.steps.get()
    fence = claims.claim_step(step, True, timezone.now())
    StepRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    stage.drain()
    step.refresh_from_db()
    assert (step.state, stage.state(execution)) == (expected, ends)
    assert step.fence > fence
    assert len(actor.seen) == (1 if policy == "idempotent" else 0)
    assert faults == ([] if policy == "idempotent" else [f"step:{step.pk}:unknown"])


def test_it_fails_an_idempotent_step_that_keeps_losing_its_worker(actor: Actor, host: Any) -> None:
    execution = stage.ready(node(1, policy="idempotent"))
    ExecutionKind().do(execution.pk)
    step = execution.steps.get()
    StepRun.objects.update(
        state="running", attempt=steps.CRASHES, fence=9, lease_until=timezone.now() - timedelta(seconds=1)
    )
    stage.drain()
    step.refresh_from_db()
    assert (step.state, stage.state(execution)) == ("failed", "failed")


def test_it_records_nothing_for_a_ghost(actor: Actor, host: Any) -> None:
    execution = stage.ready()

    def lose(ctx: StepContext) -> Outcome:
        StepRun.objects.filter(pk=ctx.step.pk).update(fence=ctx.step.fence + 1)
        return Outcome("succeeded", output="from a ghost")

    actor.outcomes = [lose]
    ExecutionKind().do(execution.pk)
    StepKind().do(execution.steps.get().pk)
    step = execution.steps.get()
    assert (step.state, step.output, stage.state(execution)) == ("running", "", "running")


@pytest.mark.django_db(transaction=True)  # as for a worker: a connection that broke is left, with all that it had begun
def test_it_records_what_is_known_once_the_database_is_back(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = stage.ready(node(1, success=2, policy="once"), node(2))
    left: list[Exception] = [OperationalError("deadlock detected"), InterfaceError("connection already closed")]
    real = steps.tell

    def troubled(*args: Any, **kwargs: Any) -> None:  # in the transaction that writes the end of a step
        if left:
            raise left.pop()
        real(*args, **kwargs)

    monkeypatch.setattr(steps, "tell", troubled)
    monkeypatch.setattr(steps, "RECORD_PAUSE_SECONDS", 0)
    stage.drain()
    assert (stage.state(execution), left) == ("succeeded", [])
    assert stage.steps(execution) == [(1, 1, "succeeded"), (2, 1, "succeeded")]
    assert len(actor.seen) == 2, "it was recorded again, not done again"


def test_it_gives_up_to_record_when_its_lease_is_over(
    actor: Actor, host: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def gone(*args: Any) -> None:
        raise OperationalError("the database system is starting up")

    execution = stage.ready()
    ExecutionKind().do(execution.pk)
    settings.FTA_LEASE_SECONDS = 0
    monkeypatch.setattr(steps, "record", gone)
    with pytest.raises(OperationalError):
        StepKind().do(execution.steps.get().pk)
    assert stage.steps(execution) == [(1, 1, "running")], "whoever takes it over settles it"


def test_it_says_unknown_when_a_runner_raises(actor: Actor, host: Any) -> None:
    execution = stage.ready()

    def burst(ctx: StepContext) -> Outcome:
        raise RuntimeError("boom")

    actor.outcomes = [burst]
    stage.drain()
    assert stage.state(execution) == "unknown"
    assert execution.steps.get().error == "RuntimeError: boom"


def test_it_parks_a_sleep_and_wakes_it_in_time(host: Any) -> None:
    execution = stage.ready(node(1, "sleep", params={"seconds": 60}))
    stage.drain()
    step = execution.steps.get()
    assert (step.state, step.attempt) == ("waiting", 0)
    past = timezone.now() - timedelta(seconds=1)
    StepRun.objects.update(not_before=past, result={"until": past.isoformat()})
    stage.drain()
    assert stage.state(execution) == "succeeded"


def test_it_ends_skipped_with_the_words_of_a_guard(actor: Actor, host: Any) -> None:
    execution = stage.ready(node(1, "guard", success=2, params={"count": 1, "minutes": 5}), node(2))
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("skipped", [])
    assert "不再处理" in execution.reason


def test_it_starts_a_join_once_when_its_branches_end(actor: Actor, host: Any) -> None:
    execution = stage.ready(node(1, success=[2, 3]), node(2, success=4), node(3, success=4), node(4))
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert sorted(stage.steps(execution)) == [(n, 1, "succeeded") for n in (1, 2, 3, 4)]


def test_it_lets_a_second_execution_of_the_package_on_the_host_wait_its_turn(actor: Actor, host: Any) -> None:
    execution = stage.ready()
    rival = stage.ready(package=execution.package)
    ExecutionKind().do(execution.pk)
    ExecutionKind().do(rival.pk)
    assert stage.state(rival) == "sleeping"
    assert rival.wake_at is not None
    assert rival.wake_at > timezone.now()
    stage.drain()
    assert stage.state(execution) == "succeeded"
    rival.refresh_from_db()
    assert rival.wake_at <= timezone.now(), "the end of the first wakes the second"


def test_it_lets_one_execution_at_a_time_act_on_a_host(actor: Actor, host: Any) -> None:
    first, second = stage.ready(key="one"), stage.ready(key="two")
    ExecutionKind().do(first.pk)
    ExecutionKind().do(second.pk)
    claims.claim_step(first.steps.get(), True, timezone.now())
    first.refresh_from_db()
    StepKind().do(second.steps.get().pk)
    waiting = second.steps.get()
    assert (waiting.state, actor.seen) == ("ready", [])
    assert waiting.not_before is not None
    assert waiting.not_before > timezone.now()
    assert second.history.filter(kind="step.host_busy").count() == 1
    end_execution(first, "failed", "", timezone.now())
    waiting.refresh_from_db()
    assert waiting.not_before is None, "the end of the first wakes the second"
    stage.drain()
    assert stage.state(second) == "succeeded"


def test_it_lets_an_execution_sleep_while_another_acts_on_its_host(actor: Actor, host: Any) -> None:
    first, second = stage.ready(key="one"), stage.ready(key="two")
    harmless = stage.ready(node(1, "mark_almost_success"), key="three")
    ExecutionKind().do(first.pk)
    claims.claim_step(first.steps.get(), True, timezone.now())
    for execution in (second, harmless):
        ExecutionKind().do(execution.pk)
    assert (stage.state(second), stage.state(harmless)) == ("sleeping", "running")
    assert second.wake_at is not None
    assert second.wake_at > timezone.now()
    first.refresh_from_db()
    end_execution(first, "failed", "", timezone.now())
    second.refresh_from_db()
    assert second.wake_at <= timezone.now()


def test_the_end_of_another_does_not_cut_the_delay_of_a_retry_short(actor: Actor, host: Any) -> None:
    first, second = stage.ready(key="one"), stage.ready(key="two")
    ExecutionKind().do(second.pk)
    later = timezone.now() + timedelta(minutes=5)
    second.steps.update(attempt=1, not_before=later)
    first.state = "running"
    Execution.objects.filter(pk=first.pk).update(state="running")
    end_execution(first, "failed", "", timezone.now())
    assert second.steps.get().not_before == later


def test_it_ends_an_execution_at_its_deadline(actor: Actor, host: Any) -> None:
    running, unstarted = stage.ready(node(1, "sleep", params={"seconds": 600})), stage.ready(key="two")
    held = stage.ready(key="three", state="held", needs_approval=True)
    Switch.objects.create(scope="package", key="two", reason="演习", created_by="boss")
    stage.drain()
    past = timezone.now() - timedelta(seconds=120)
    Execution.objects.update(deadline_at=past)
    stage.drain()
    assert (stage.state(running), stage.state(unstarted), stage.state(held)) == ("failed", "failed", "skipped")
    assert "超过时限" in running.reason
    assert stage.steps(running) == [(1, 1, "cancelled")]
    assert actor.seen == []


def test_it_tells_a_running_runner_that_its_execution_was_stopped(actor: Actor, host: Any, operator: Any) -> None:
    execution = stage.ready(node(1, success=2), node(2))

    def stop(ctx: StepContext) -> Outcome:
        before = ctx.cancelled()
        operations.abort(execution, operator.user, "不要了", timezone.now())
        return Outcome("cancelled", error=f"{before} {ctx.cancelled()}", outcome="cancelled")

    actor.outcomes = [stop]
    stage.drain()
    assert stage.state(execution) == "cancelled"
    assert stage.steps(execution) == [(1, 1, "cancelled")]
    assert execution.steps.get().error == "False True"


def test_it_gives_a_step_the_time_that_is_left(actor: Actor, host: Any) -> None:
    stage.ready(node(1, timeout="10m"), deadline_at=timezone.now() + timedelta(seconds=100))
    stage.ready(node(1, timeout="5s"), key="two", alert=factories.alert(host=None))
    stage.drain()
    long, short = sorted((ctx.timeout for ctx in actor.seen), reverse=True)
    assert 90 < long <= 100
    assert short == 5


def test_it_counts_failures_of_a_package_in_a_row_and_forgets_them_at_a_success(
    actor: Actor, host: Any, faults: list[str]
) -> None:
    package = factories.package("act", nodes=[stage.ACT])
    actor.outcomes = [Outcome("failed")]
    for _ in range(3):
        stage.ready(package=package)
        stage.drain()
    assert Package.objects.get().failures_in_a_row == 3
    assert faults == [f"package:{package.pk}:failures"]
    actor.outcomes = [Outcome("succeeded")]
    stage.ready(package=package)
    stage.drain()
    assert Package.objects.get().failures_in_a_row == 0


def test_it_keeps_secrets_and_nul_out_of_what_it_stores(actor: Actor, host: Any) -> None:
    remember("step-secret-1")
    execution = stage.ready()
    actor.outcomes = [
        Outcome("succeeded", output="a\x00b token=step-secret-1", result={"line": "x\x00y", "said": "\\u0000\\"})
    ]
    stage.drain()
    step = execution.steps.get()
    assert (step.state, step.result) == ("succeeded", {"line": "xy", "said": "\\u0000\\"})
    assert step.output.startswith("ab token=")
    assert "step-secret-1" not in step.output
