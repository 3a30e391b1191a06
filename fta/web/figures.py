"""Figures of a period, from the rows of what happened; nothing is estimated, and no sample gives no figure."""

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.models import Alert, Business, Execution
from fta.models.scope import in_scope
from fta.web import upstairs
from fta.web.filters import READERS

PERIODS = {"1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30)}
FEW = 10  # under so many samples a share says so
DECISIONS_READ = 5000
NOT_HEALED = Q(state__in=["failed", "unknown"]) | Q(healed__in=["not_healed", "relapsed"])
JUDGED = ["healed", "not_healed", "relapsed"]


@dataclass(frozen=True)
class Share:
    """A part of a whole, with its counts."""

    part: int
    whole: int

    @property
    def percent(self) -> float | None:
        """Return the share in percent; None of nothing."""
        return round(100 * self.part / self.whole, 1) if self.whole else None

    @property
    def few(self) -> bool:
        """Tell whether there are too few samples to judge by."""
        return self.whole < FEW


def period_figures(user: Any, since: datetime) -> dict[str, Any]:
    """Return MTTA, MTTR, the verified rate, noise reduction and approval waiting since a moment."""
    runs = Execution.objects.visible_to(user).filter(received_at__gte=since)
    alerts = Alert.objects.visible_to(user).filter(received_at__gte=since)
    judged = runs.filter(healed__in=JUDGED).aggregate(part=Count("pk", filter=Q(healed="healed")), whole=Count("pk"))
    received = alerts.aggregate(rows=Count("pk"), repeats=Sum("repeat_count"))
    told = received["rows"] + (received["repeats"] or 0)
    sent = upstairs.deliveries_visible_to(user).filter(created_at__gte=since, state="sent").count()
    waits = _waits(user, since)
    return {
        "mtta": _mean(runs.exclude(started_at=None), F("started_at") - F("received_at")),
        "mttr": _mean(
            alerts.filter(outcome=Alert.Outcome.MATCHED).exclude(resolved_at=None), F("resolved_at") - F("received_at")
        ),
        "verified": Share(**judged),
        "noise": Share(max(told - sent, 0), told),
        "told": told,
        "sent": sent,
        "wait": statistics.median(waits) if waits else None,
        "decisions": len(waits),
    }


def _mean(rows: QuerySet[Any], span: Any) -> timedelta | None:
    found: timedelta | None = rows.aggregate(mean=Avg(ExpressionWrapper(span, DurationField())))["mean"]
    return found


def _waits(user: Any, since: datetime) -> list[float]:
    rows = upstairs.approvals().visible_to(user).filter(created_at__gte=since, state__in=["approved", "refused"])
    pairs = rows.exclude(decided_at=None).order_by("-pk").values_list("created_at", "decided_at")[:DECISIONS_READ]
    return [(decided - created).total_seconds() for created, decided in pairs]


@dataclass(frozen=True)
class BusinessRow:
    """What happened to one business in a period; no pk for alerts of no business."""

    pk: int | None
    name: str
    alerts: int
    executions: int
    verified: Share


def by_business(user: Any, since: datetime) -> list[BusinessRow]:
    """Return alerts, executions and the verified rate of each business, the busiest first."""
    alerts = _counts(Alert.objects.visible_to(user), since)
    runs = _counts(Execution.objects.visible_to(user), since)
    judged = _counts(Execution.objects.visible_to(user).filter(healed__in=JUDGED), since)
    healed = _counts(Execution.objects.visible_to(user).filter(healed="healed"), since)
    names = dict(Business.objects.filter(in_scope(user, "pk", *READERS)).values_list("pk", "name"))
    rows = [
        BusinessRow(
            pk,
            names.get(pk or 0, _("未归属")),
            count,
            runs.get(pk, 0),
            Share(healed.get(pk, 0), judged.get(pk, 0)),
        )
        for pk, count in alerts.items()
    ]
    return sorted(rows, key=lambda row: -row.alerts)[:10]


def _counts(rows: QuerySet[Any], since: datetime) -> dict[int | None, int]:
    return dict(rows.filter(received_at__gte=since).order_by().values_list("business").annotate(n=Count("pk")))


def daily_chart(user: Any, since: datetime, now: datetime) -> dict[str, Any]:
    """Return what became of the alerts of each day, in the form that charts.js draws."""
    alerts = _by_day(Alert.objects.visible_to(user), since)
    runs = Execution.objects.visible_to(user).exclude(alert=None)
    healed, failed = _by_day(runs.filter(healed="healed"), since), _by_day(runs.filter(NOT_HEALED), since)
    first, last = timezone.localtime(since).date(), timezone.localtime(now).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rest = [max(alerts.get(day, 0) - healed.get(day, 0) - failed.get(day, 0), 0) for day in days]
    series = [
        {"label": _("收敛、屏蔽或仅记录"), "state": "skipped", "data": rest},
        {"label": _("已自愈"), "state": "succeeded", "data": [healed.get(day, 0) for day in days]},
        {"label": _("未自愈"), "state": "failed", "data": [failed.get(day, 0) for day in days]},
    ]
    return {"type": "bar", "stacked": True, "labels": [f"{day:%m-%d}" for day in days], "series": series}


def _by_day(rows: QuerySet[Any], since: datetime) -> dict[Any, int]:
    days = rows.filter(received_at__gte=since).order_by().annotate(day=TruncDate("received_at")).values_list("day")
    return dict(days.annotate(n=Count("pk")))
