"""The claim of a step: one worker gets it, and none gets what may not run."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fta.engine.claim import NotClaimed
from fta.healing import claims
from fta.healing.kind import ExecutionKind, StepKind
from fta.healing.runners import RUNNERS
from fta.models import Execution, StepAttempt, StepRun, Switch
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("actor")]


def test_it_keeps_the_test_of_the_state_outside_of_every_subquery(actor: Actor, host: Any) -> None:
    execution = stage.ready()
    ExecutionKind().do(execution.pk)
    step = execution.steps.get()
    with CaptureQueriesContext(connection) as queries:
        claims.claim_step(step, False, timezone.now())
    sql = next(q["sql"] for q in queries if q["sql"].startswith("UPDATE") and "fence" in q["sql"])
    outer = sql.split("WHERE", 1)[1]
    depth, flat = 0, ""
    for letter in outer:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        flat += letter if depth <= 1 else ""
    assert '"fta_steprun"."state" = ' in flat, (
        "the state is tested in the outer WHERE, so that it is judged again after a wait"
    )
    assert "IN (" not in flat
    assert flat.count("EXISTS") >= 1
    assert '"fta_switch"' in sql


@pytest.mark.parametrize(
    "change",
    [
        {"state": "held"},
        {"cancel_requested": True},
        {"deadline_at": timezone.now() - timedelta(seconds=5)},
        {"plan_sha256": "b" * 64},
        {"needs_approval": True},
    ],
)
def test_it_does_not_claim_when_a_condition_fails(actor: Actor, host: Any, change: dict[str, Any]) -> None:
    execution = stage.ready()
    ExecutionKind().do(execution.pk)
    step = execution.steps.get()
    Execution.objects.filter(pk=execution.pk).update(**change)
    with pytest.raises(NotClaimed):
        claims.claim_step(step, True, timezone.now())
    step.refresh_from_db()
    execution.refresh_from_db()
    assert (step.state, step.attempt, execution.acting) == ("ready", 0, False)
    assert not StepAttempt.objects.exists()


@pytest.mark.parametrize(("scope", "key"), [("all", ""), ("business", "game"), ("package", "act")])
def test_it_does_not_start_or_claim_while_a_switch_is_in_force(actor: Actor, host: Any, scope: str, key: str) -> None:
    execution = stage.ready()
    switch = Switch.objects.create(scope=scope, key=key, reason="演习", created_by="boss")
    stage.drain()
    assert stage.state(execution) == "ready"
    Switch.objects.filter(pk=switch.pk).update(key=f"{key}-other", scope="package")
    ExecutionKind().do(execution.pk)
    Switch.objects.filter(pk=switch.pk).update(key=key, scope=scope)
    step = execution.steps.get()
    StepKind().do(step.pk)
    step.refresh_from_db()
    assert (step.state, actor.seen) == ("ready", [])
    assert step.not_before is not None, "it is put off, so that polling does not spin"
    Switch.objects.update(until=timezone.now() - timedelta(seconds=1))
    StepRun.objects.update(not_before=None)
    stage.drain()
    assert stage.state(execution) == "succeeded"


def test_it_refuses_an_altered_plan_before_start_and_before_a_claim(actor: Actor, host: Any, faults: list[str]) -> None:
    before, between = stage.ready(key="one"), stage.ready(key="two", alert=factories.alert(host=None))
    ExecutionKind().do(between.pk)
    for execution in (before, between):
        plan = execution.plan | {"parameters": {"path": "/"}}
        Execution.objects.filter(pk=execution.pk).update(plan=plan)
    stage.drain()
    assert actor.seen == []
    assert (stage.state(before), stage.state(between)) == ("failed", "failed")
    assert sorted(faults) == sorted(f"execution:{execution.pk}:altered" for execution in (before, between))
    assert between.steps.get().state == "cancelled"
    assert "校验值不符" in before.reason


@pytest.mark.django_db(transaction=True)
def test_it_lets_one_of_eight_workers_run_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Actor()
    monkeypatch.setitem(RUNNERS, "act", actor)
    factories.host()
    execution = stage.ready()
    ExecutionKind().do(execution.pk)
    pk = execution.steps.get().pk
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        try:
            StepKind().do(pk)
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(actor.seen) == 1
    assert stage.state(execution) == "succeeded"
    assert StepAttempt.objects.count() == 1
