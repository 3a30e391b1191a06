"""What a switch holds back, written down while it is in force, so that people can see afterwards what had to wait."""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.healing.claims import RETRY_CLAIM_SECONDS, covered_by
from fta.models import Execution, ExecutionEvent, HeldBack, StepRun, Switch
from fta.models.engine import lease

_AT_ONCE = 500


class HaltKind:
    """Switches in force that hold back an execution of which they have no record."""

    name = "halt"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        return [switch.pk for switch in Switch.objects.in_force()[:limit] if _held_back(switch).exists()]

    def do(self, pk: int) -> None:
        now = timezone.now()
        with transaction.atomic():
            switch = Switch.objects.select_for_update().in_force().filter(pk=pk).first()
            if switch is not None:
                _write_down(switch, now)


def _write_down(switch: Switch, now: datetime) -> None:
    found = list(_held_back(switch).order_by("pk")[:_AT_ONCE])
    HeldBack.objects.bulk_create([HeldBack(switch=switch, execution=run, at=now) for run in found])
    text = _("自愈已停止（%(who)s：%(reason)s），恢复后接着做") % {"who": switch.created_by, "reason": switch.reason}
    ExecutionEvent.objects.bulk_create(
        [
            ExecutionEvent(execution=run, at=now, kind="execution.halted", text=text, data={"switch": switch.pk})
            for run in found
        ]
    )


def _held_back(switch: Switch) -> QuerySet[Execution]:
    """Return the executions that would go on now but for this switch, without those that it is known to hold."""
    waiting = StepRun.objects.filter(
        Q(not_before=None) | Q(not_before__lte=lease(RETRY_CLAIM_SECONDS)),  # a claim that failed is put off a little
        execution=OuterRef("pk"),
        state=StepRun.State.READY,
    )
    about_to = Q(state=Execution.State.READY) | (Q(state=Execution.State.RUNNING) & Q(Exists(waiting)))
    known = HeldBack.objects.filter(switch=switch, execution=OuterRef("pk"))
    return covered_by(switch).filter(about_to, ~Exists(known))
