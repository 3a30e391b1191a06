"""Executions that wait for others, for their turn on the host, or for a person, and whose alert may resolve meanwhile."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import ports
from fta.convergence import converge
from fta.engine import doorbell
from fta.healing.ending import end_execution
from fta.healing.start import end_void
from fta.models import Alert, Execution
from fta.pipeline.settling import WAKE_AFTER, hand_on, settle

State = Execution.State


def resolved(alert: Alert) -> None:
    """Have the executions of a resolved alert looked at that still wait: there is nothing left to heal.

    Those that wait for a person are ended where their rule says so. Nothing is locked here: whoever keeps alerts must not wait
    for a person's decision, nor that for them.
    """
    for pk in _in_vain().filter(alert=alert).values_list("pk", flat=True):
        doorbell.ring("sleeper", pk)


def _in_vain() -> QuerySet[Execution]:
    """Return the executions that wait although their alert has resolved; of the held ones those that plan.is_void means."""
    held = Q(state=State.HELD, rule__void_when_resolved=True, started_at=None)
    return Execution.objects.filter(Q(state=State.SLEEPING) | held, alert__status=Alert.Status.RESOLVED)


class SleeperKind:
    """Executions that wait for others: looked at when one of those ends, and every minute; and all that wait in vain."""

    name = "sleeper"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        rows = Execution.objects.filter(state=State.SLEEPING, wake_at__lte=now).order_by("wake_at")
        found = list(rows.values_list("pk", flat=True)[:limit])
        vain = _in_vain().exclude(pk__in=found).order_by("pk").values_list("pk", flat=True)
        return found + list(vain[: limit - len(found)])

    def do(self, pk: int) -> None:
        now = timezone.now()
        taken = Execution.objects.filter(pk=pk, state=State.SLEEPING, wake_at__lte=now)
        if taken.update(wake_at=now + WAKE_AFTER) != 1 and not _in_vain().filter(pk=pk).exists():
            return
        with transaction.atomic():
            related = ("alert__source", "rule", "package", "host", "business")
            rows = Execution.objects.select_for_update(of=("self",)).select_related(*related)
            execution = rows.filter(pk=pk).first()
            if execution is not None and execution.state == State.SLEEPING:
                _wake(execution, now)
            elif execution is not None and execution.state == State.HELD:
                end_void(execution, now)


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
