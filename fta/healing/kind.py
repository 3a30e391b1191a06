"""The work kinds of healing: steps, and executions that start or run out of time."""

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from fta.engine.claim import lapsed
from fta.healing.recovery import reap
from fta.healing.start import end_late, overdue, start_ready, startable
from fta.healing.steps import run_step, wake
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
        found = list(overdue().order_by("deadline_at").values_list("pk", flat=True)[:limit])
        found += startable().order_by("id").values_list("pk", flat=True)[:limit]
        return found[:limit]

    def do(self, pk: int) -> None:
        now = timezone.now()
        if overdue().filter(pk=pk).exists():
            end_late(pk, now)
        else:
            start_ready(pk, now)
