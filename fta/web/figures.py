"""Figures of a period, from the rows of what happened; nothing is estimated, and no sample gives no figure."""

import statistics
from dataclasses import dataclass
from datetime import datetime, time, timedelta
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
SHOWN = 10  # businesses
_BEGUN = Count("pk", filter=~Q(started_at=None))
_CONVERGED = Count("pk", filter=Execution.CONVERGED)
_HEALED = Count("pk", filter=Q(healed="healed"))
_JUDGED = Count("pk", filter=Q(healed__in=JUDGED))


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
    """Return MTTA, MTTR, alerts in, converged and healed, the verified rate, noise reduction and approval waiting."""
    runs, alerts = _runs(user).filter(received_at__gte=since), _alerts(user).filter(received_at__gte=since)
    counts = runs.aggregate(converged=_CONVERGED, well=_HEALED, judged=_JUDGED)
    received = alerts.aggregate(rows=Count("pk"), repeats=Sum("repeat_count"))
    told = received["rows"] + (received["repeats"] or 0)
    sent = upstairs.messages_sent(user).filter(created_at__gte=since).count()
    waits = _waits(user, since)
    # What was over before it was received was nobody's to mend.
    mended = alerts.filter(outcome=Alert.Outcome.MATCHED, resolved_at__gte=F("received_at"))
    return {
        "mtta": _mean(runs.exclude(started_at=None), F("started_at") - F("received_at")),
        "mttr": _mean(mended, F("resolved_at") - F("received_at")),
        "alerts": received["rows"],
        "converged": counts["converged"],
        "healed": counts["well"],
        "verified": Share(counts["well"], counts["judged"]),
        "noise": Share(max(told - sent, 0), told),
        "told": told,
        "sent": sent,
        "wait": statistics.median(waits) if waits else None,
        "decisions": len(waits),
    }


def _alerts(user: Any) -> QuerySet[Alert]:
    return Alert.objects.visible_to(user).order_by()


def _runs(user: Any) -> QuerySet[Execution]:
    """Return the executions that alerts began; what people run by hand answers no alert."""
    return Execution.objects.visible_to(user).exclude(alert=None).order_by()


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
    converged: int
    executions: int
    verified: Share


def by_business(user: Any, since: datetime) -> list[BusinessRow]:
    """Return alerts, what became of them and the verified rate of each business, the busiest first."""
    alerts = dict(_alerts(user).filter(received_at__gte=since).values_list("business").annotate(n=Count("pk")))
    counts: Any = _runs(user).filter(received_at__gte=since).values("business")
    counts = counts.annotate(begun=_BEGUN, converged=_CONVERGED, well=_HEALED, judged=_JUDGED)
    runs: dict[int | None, dict[str, int]] = {row["business"]: row for row in counts}
    names = dict(Business.objects.filter(in_scope(user, "pk", *READERS)).values_list("pk", "name"))
    none = {"begun": 0, "converged": 0, "well": 0, "judged": 0}
    rows = []
    for pk, count in alerts.items():
        run = runs.get(pk, none)
        verified = Share(run["well"], run["judged"])
        rows.append(BusinessRow(pk, names.get(pk or 0, _("未归属")), count, run["converged"], run["begun"], verified))
    return sorted(rows, key=lambda row: (-row.alerts, row.name))[:SHOWN]


def daily_chart(user: Any, days: int, now: datetime) -> dict[str, Any]:
    """Return what became of the alerts of each of the last days, in the form that charts.js draws.

    Days are whole ones of the portal's time zone, today included; a single one is shown beside the day before.
    """
    today = timezone.localtime(now).date()
    shown = [today - timedelta(days=back) for back in reversed(range(max(days, 2)))]
    since = timezone.make_aware(datetime.combine(shown[0], time()))
    counts = _by_day(_alerts(user), since).annotate(n=Count("pk"))
    alerts: dict[Any, int] = {row["day"]: row["n"] for row in counts}
    runs = _by_day(_runs(user), since).annotate(
        converged=_CONVERGED, well=_HEALED, failed=Count("pk", filter=NOT_HEALED & ~Q(healed="healed"))
    )
    ends: dict[Any, dict[str, int]] = {row.pop("day"): row for row in runs}
    parts = {name: [ends.get(day, {}).get(name, 0) for day in shown] for name in ("converged", "well", "failed")}
    taken = [sum(column) for column in zip(*parts.values(), strict=True)]
    rest = [max(alerts.get(day, 0) - some, 0) for day, some in zip(shown, taken, strict=True)]
    series = [
        {"label": _("屏蔽、仅记录或未完"), "state": "skipped", "data": rest},
        {"label": _("已收敛"), "state": "converging", "data": parts["converged"]},
        {"label": _("已自愈"), "state": "succeeded", "data": parts["well"]},
        {"label": _("未自愈"), "state": "failed", "data": parts["failed"]},
    ]
    return {"type": "bar", "stacked": True, "labels": [f"{day:%m-%d}" for day in shown], "series": series}


def _by_day(rows: QuerySet[Any], since: datetime) -> Any:
    return rows.filter(received_at__gte=since).annotate(day=TruncDate("received_at")).values("day")
