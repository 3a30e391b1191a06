"""Was it healing? Exit code 0 is "done"; healed is an alert that went away in time and stayed away."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.engine import doorbell
from fta.healing.demotion import count_judgement
from fta.healing.ending import VERIFY_WITHIN
from fta.healing.history import lock, tell
from fta.models import Alert, Execution, StepAttempt
from fta.models.engine import DbNow

VERIFY_STAY = 1800  # seconds, for executions without a rule
Healed = Execution.Healed


class VerificationKind:
    """Executions whose healing is to be judged now."""

    name = "verification"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        rows = Execution.objects.filter(verify_at__lte=DbNow()).order_by("verify_at")
        return list(rows.values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        with transaction.atomic():
            execution = lock(pk)
            if Execution.objects.filter(pk=pk, verify_at__lte=DbNow()).exists():
                _judge(execution, timezone.now())


@receiver(signals.alert_resolved)
def look_again(alert: Alert, **kwargs: Any) -> None:
    """Have the executions judged at once whose alert was resolved."""
    _look_again([alert])


@receiver(signals.alerts_fired)
def look_again_at_all(alerts: Sequence[Alert], **kwargs: Any) -> None:
    """Have the executions judged at once whose alert has come back."""
    _look_again(alerts)


def _look_again(alerts: Sequence[Alert]) -> None:
    now = timezone.now()
    sources, fingerprints = {alert.source_id for alert in alerts}, {alert.fingerprint for alert in alerts}
    # Two sources may use one fingerprint: to be looked at too early harms nothing.
    same = Execution.objects.filter(alert__source__in=sources, alert__fingerprint__in=fingerprints)
    pending = same.filter(healed__in=(Healed.PENDING, Healed.RESOLVED)).exclude(verify_at=None)
    for pk in list(pending.values_list("pk", flat=True)):
        Execution.objects.filter(pk=pk).exclude(verify_at=None).update(verify_at=now)
        doorbell.ring("verification", pk)


def _judge(execution: Execution, now: datetime) -> None:
    if execution.alert is None or execution.ended_at is None:
        _settle(execution, Healed.NONE, None, now)
    elif execution.healed == Healed.PENDING:
        _judge_pending(execution, execution.alert, execution.ended_at, now)
    elif execution.healed == Healed.RESOLVED:
        _judge_resolved(execution, execution.alert, now)
    else:
        _settle(execution, execution.healed, None, now)


def _judge_pending(execution: Execution, alert: Alert, ended_at: datetime, now: datetime) -> None:
    within = execution.rule.verify_within if execution.rule else VERIFY_WITHIN
    until = ended_at + timedelta(seconds=within)
    began = _began_to_act(execution)
    if alert.resolved_at is not None and began is not None and alert.resolved_at < began:
        _settle(execution, Healed.NONE, None, now, _("：告警在执行前已恢复"))
    elif alert.resolved_at is not None and alert.resolved_at <= until:
        _settle(execution, Healed.RESOLVED, max(alert.resolved_at, ended_at) + _stay(execution), now)
    elif now >= until:
        _settle(execution, Healed.NOT_HEALED, None, now)
    else:
        _settle(execution, Healed.PENDING, until, now)


def _began_to_act(execution: Execution) -> datetime | None:
    """Return when the first step began that may change something: an alert that went away before was healed by nobody."""
    acting = [node["id"] for node in execution.plan.get("nodes", []) if node.get("acting")]
    starts = StepAttempt.objects.filter(step__execution=execution, step__node__in=acting)
    first: datetime | None = starts.aggregate(first=Min("started_at"))["first"]
    return first


def _judge_resolved(execution: Execution, alert: Alert, now: datetime) -> None:
    resolved_at = alert.resolved_at or now
    until = max(resolved_at, execution.ended_at or resolved_at) + _stay(execution)
    again = Alert.objects.filter(source=alert.source_id, fingerprint=alert.fingerprint, pk__gt=alert.pk)
    if again.filter(received_at__lte=until).exists():
        _settle(execution, Healed.RELAPSED, None, now)
    elif now >= until:
        _settle(execution, Healed.HEALED, None, now)
    else:
        _settle(execution, Healed.RESOLVED, until, now)


def _stay(execution: Execution) -> timedelta:
    return timedelta(seconds=execution.rule.verify_stay if execution.rule else VERIFY_STAY)


def _settle(execution: Execution, healed: str, verify_at: datetime | None, now: datetime, why: str = "") -> None:
    """Write the judgement; what was settled for good is announced."""
    before = execution.healed
    changed = Execution.objects.filter(pk=execution.pk, healed=before).update(healed=healed, verify_at=verify_at)
    if changed != 1 or healed == before:
        return
    execution.healed, execution.verify_at = healed, verify_at
    label = Healed(healed).label
    tell(execution, f"healed.{healed or 'none'}", _("自愈判定：%(label)s") % {"label": label} + why, now)
    if verify_at is None:
        count_judgement(execution, now)
        signals.announce(signals.healing_judged, execution=execution)
