"""The work kinds of healing: steps, and executions that start or run out of time."""

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from fta.engine.claim import lapsed
from fta.healing.start import due_executions, end_late, start_ready
from fta.healing.steps import reap, run_step, wake
from fta.models import Execution, StepRun
from fta.models.engine import DbNow


class StepKind:
    """Steps that are ready, that were parked until now, or whose worker vanished."""

    name = "step"
    lane = "execute"

    def due(self, limit: int, now: datetime) -> list[int]:
        steps = StepRun.objects.order_by("id").values_list("pk", flat=True)
        found = lapsed(StepRun, StepRun.State.RUNNING, limit)
        found += steps.filter(state=StepRun.State.WAITING, not_before__lte=DbNow())[:limit]
        found += steps.filter(
            Q(not_before=None) | Q(not_before__lte=DbNow()),
            state=StepRun.State.READY,
            execution__state=Execution.State.RUNNING,
        )[:limit]
        return found[:limit]

    def do(self, pk: int) -> None:
        state = StepRun.objects.values_list("state", flat=True).filter(pk=pk).first()
        if state == StepRun.State.RUNNING:
            reap(pk, timezone.now())
        elif state == StepRun.State.WAITING:
            wake(pk)
        elif state == StepRun.State.READY:
            run_step(pk)


class ExecutionKind:
    """Executions that are ready to start, and those that are out of time."""

    name = "execution"
    lane = "execute"

    def due(self, limit: int, now: datetime) -> list[int]:
        return list(Execution.objects.filter(due_executions()).order_by("id").values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        now = timezone.now()
        state = Execution.objects.values_list("state", flat=True).filter(pk=pk).first()
        if state == Execution.State.READY:
            start_ready(pk, now)
        else:
            due = Execution.objects.filter(due_executions(), pk=pk).exists()
            if due:
                end_late(pk, now)
