"""Flow control: more than can be healed is recorded and not healed, the newest first, and told in one message for each spell.

Two stages are watched: the rate at which executions come, and the line of those that are ready to run.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Least
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import audit, signals
from fta.healing.ending import end_execution
from fta.healing.history import lock
from fta.healing.start import startable
from fta.models import Execution, ExecutionEvent, Heartbeat, Overflow, Switch
from fta.models.engine import DbNow
from fta.pipeline.not_healed import not_healed

_MINUTE = timedelta(minutes=1)
_CALM = timedelta(seconds=60)  # a spell without a further one for so long is over
_LONGEST = timedelta(minutes=5)  # a spell that goes on is told in parts
_AGAIN = timedelta(minutes=10)  # a line that is stuck without being long is told of so often
_AT_ONCE = 200  # executions that one pass degrades
_LOOKED_AT = 20  # of the head of the line
KEPT = 100  # of the line stay in it however stuck it is
STUCK = 0  # the item of work that is no spell


def verdict_of(stage: str) -> str:
    """Return the word by which what flow control recorded is found again."""
    return f"flow_{stage}"


def too_fast(execution: Execution) -> str:
    """Return why this new execution comes too fast to be healed, in words; "" when it does not.

    The executions are numbered as they come, so the one that lies the allowed number back tells by its time.
    """
    most = settings.FTA_MAX_EXECUTIONS_PER_MINUTE
    if not most:
        return ""
    back = Execution.objects.filter(pk__lte=execution.pk - most).order_by("-pk")
    at = back.values_list("received_at", flat=True).first()
    if at is None or execution.received_at - at >= _MINUTE:
        return ""
    return _("限流：1 分钟内超过 %(most)s 条，仅记录，未自愈") % {"most": most}


def note(stage: str, now: datetime, execution: Execution | None = None) -> None:
    """Count an execution that was not healed into the spell that is under way, or begin a spell."""
    if _count(stage, now, execution):
        return
    pk = execution.pk if execution else 0
    row = Overflow(
        stage=stage, began_at=now, last_at=now, first_execution=pk, last_execution=pk, count=1 if execution else 0
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:  # another engine began it a moment ago
        _count(stage, now, execution)


class FlowControlKind:
    """Shortens a line that is stuck, and tells of each spell that is over."""

    name = "flow_control"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        """Return the spells to tell of, and STUCK for a line that is stuck and too long, or of which nobody was told yet."""
        over = Q(last_at__lte=now - _CALM) | Q(began_at__lte=now - _LONGEST)
        spells = list(Overflow.objects.filter(over, told_at=None).values_list("pk", flat=True)[:limit])
        told = Overflow.objects.filter(stage=Overflow.Stage.READY, last_at__gt=now - _AGAIN)
        stuck = _is_stuck() and (bool(_too_many()) or not told.exists())
        return spells + ([STUCK] if stuck else [])

    def do(self, pk: int) -> None:
        now = timezone.now()
        if pk != STUCK:
            _tell(pk, now)
        elif _is_stuck():
            note(Overflow.Stage.READY, now)
            for newest in _too_many():
                _degrade(newest, now)


def _count(stage: str, now: datetime, execution: Execution | None) -> bool:
    spell = Overflow.objects.filter(stage=stage, told_at=None)
    if execution is None:
        return spell.exists()
    pk = execution.pk
    first = spell.filter(count=0).update(first_execution=pk, last_execution=pk, count=1, last_at=now)
    return bool(
        first
        or spell.update(
            first_execution=Least(F("first_execution"), pk),
            last_execution=Greatest(F("last_execution"), pk),
            count=F("count") + 1,
            last_at=now,
        )
    )


def _is_stuck() -> bool:
    """Tell whether one at the head of the line has waited too long although an engine was there and nobody halted it."""
    if not settings.FTA_STUCK_MINUTES or not _has_had_its_chance():
        return False
    head = set(startable().order_by("pk").values_list("pk", flat=True)[:_LOOKED_AT])
    if not head:
        return False
    since = DbNow() - timedelta(minutes=settings.FTA_STUCK_MINUTES)
    fresh = ExecutionEvent.objects.filter(execution__in=head, kind="execution.ready", at__gt=since)
    return bool(head - set(fresh.values_list("execution_id", flat=True)))


def _has_had_its_chance() -> bool:
    """Tell whether an engine has run all the while, and no switch ended in between: then the line had to move."""
    since = DbNow() - timedelta(minutes=settings.FTA_STUCK_MINUTES)
    resumed = Q(ended_at__gt=since) | Q(ended_at=None, until__gt=since, until__lte=DbNow())
    alive = Heartbeat.objects.filter(started_at__lte=since, beat_at__gt=DbNow() - _MINUTE)
    return alive.exists() and not Switch.objects.filter(resumed).exists()


def _too_many() -> list[int]:
    """Return the newest of the line that nobody has approved and that have not begun, all but the KEPT oldest of these."""
    line: QuerySet[Execution] = startable().filter(started_at=None, needs_approval=False)
    first = line.order_by("pk").values_list("pk", flat=True)[KEPT : KEPT + 1].first()
    return list(line.filter(pk__gte=first).order_by("-pk").values_list("pk", flat=True)[:_AT_ONCE]) if first else []


def _degrade(pk: int, now: datetime) -> None:
    with transaction.atomic():
        execution = lock(pk)
        if execution.state == Execution.State.READY:
            Execution.objects.filter(pk=pk).update(verdict=verdict_of(Overflow.Stage.READY))
            reason = _("限流：排在前面的迟迟没有开始，仅记录，未自愈")
            end_execution(execution, Execution.State.RECORDED, reason, now)
            note(Overflow.Stage.READY, now, execution)


@transaction.atomic
def _tell(pk: int, now: datetime) -> None:
    if Overflow.objects.filter(pk=pk, told_at=None).update(told_at=now) != 1:
        return
    row = Overflow.objects.get(pk=pk)
    rows = Execution.objects.filter(
        pk__range=(row.first_execution, row.last_execution),
        state=Execution.State.RECORDED,
        verdict=verdict_of(row.stage),
    )
    audit.record("system", "flow_control.tell", row, at=now, stage=row.stage, count=row.count, began_at=row.began_at)
    signals.announce(signals.system_fault, text=not_healed(row, rows, now), subject=f"flow:{row.pk}")
