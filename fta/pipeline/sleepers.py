"""Executions that wait for others, or for their turn on the host."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import ports
from fta.convergence import converge
from fta.engine import doorbell
from fta.healing.ending import end_execution
from fta.healing.history import lock
from fta.healing.start import end_void
from fta.models import Alert, Execution
from fta.pipeline.settling import WAKE_AFTER, hand_on, settle

State = Execution.State


def resolved(alert: Alert, now: datetime) -> None:
    """Have the executions of a resolved alert looked at that still wait for their turn: there is nothing left to heal.

    Those that wait for a person are ended where their rule says so; one that was held a moment ago is seen by the second query.
    """
    sleeping = Execution.objects.filter(alert=alert, state=State.SLEEPING)
    for pk in sleeping.values_list("pk", flat=True):
        Execution.objects.filter(pk=pk, state=State.SLEEPING).update(wake_at=now)
        doorbell.ring("sleeper", pk)
    held = Execution.objects.filter(alert=alert, state=State.HELD, rule__void_when_resolved=True)
    for pk in held.values_list("pk", flat=True):
        end_void(lock(pk), now)


class SleeperKind:
    """Executions that wait for others: looked at when one of those ends, and every minute."""

    name = "sleeper"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        rows = Execution.objects.filter(state=State.SLEEPING, wake_at__lte=now).order_by("wake_at")
        return list(rows.values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        now = timezone.now()
        taken = Execution.objects.filter(pk=pk, state=State.SLEEPING, wake_at__lte=now)
        if taken.update(wake_at=now + WAKE_AFTER) != 1:
            return
        with transaction.atomic():
            related = ("alert__source", "rule", "package", "host", "business")
            rows = Execution.objects.select_for_update(of=("self",)).select_related(*related)
            execution = rows.filter(pk=pk, state=State.SLEEPING).first()
            if execution is not None:
                _wake(execution, now)


def _wake(execution: Execution, now: datetime) -> None:
    half = execution.received_at + (execution.deadline_at - execution.received_at) / 2
    decided = execution.alert is None or (execution.needs_approval and ports.gate().approved(execution))
    if now >= execution.deadline_at or (now >= half and not decided):
        end_execution(execution, State.SKIPPED, _("收敛等待超时"), now)
    elif execution.alert is not None and execution.alert.status == Alert.Status.RESOLVED:
        if not end_void(execution, now):
            end_execution(execution, State.SKIPPED, _("等待期间告警已恢复"), now)
    elif decided:  # a person wants it; it only waited for its turn on the host
        hand_on(execution, now)
    else:
        settle(execution, converge(execution, now), now)
