"""The daily summary of what was only rehearsed (演练): what would have run, by rule and package, one message a business."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.models import Business, ConfigVersion, Execution

TOLD_AT = time(9)  # local time: when those who maintain a business begin to work
_MARK = "shadow_summary"
_SHOWN = 20


class ShadowSummaryKind:
    """Due each morning, for the day before; the mark is moved by compare-and-set, so that one process does it."""

    name = "shadow_summary"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        local = timezone.localtime(now)
        today = local.date().toordinal()
        return [today] if local.time() >= TOLD_AT and ConfigVersion.current(_MARK) < today else []

    def do(self, pk: int) -> None:
        with transaction.atomic():
            ConfigVersion.objects.get_or_create(kind=_MARK)
            if ConfigVersion.objects.filter(kind=_MARK, number__lt=pk).update(number=pk) == 1:
                summarise(date.fromordinal(pk) - timedelta(days=1))


def summarise(day: date) -> None:
    """Announce for each business what was rehearsed on this local day; nothing for a business that had nothing."""
    start = timezone.make_aware(datetime.combine(day, time()))
    rows = Execution.objects.filter(
        state=Execution.State.SHADOWED,
        received_at__gte=start,
        received_at__lt=start + timedelta(days=1),
        requested_by=None,
    )
    found: dict[int | None, list[dict[str, Any]]] = {}
    for row in (
        rows.order_by()
        .values("business", "rule__name", "package__name")
        .annotate(
            n=Count("pk"),
            hosts=Count("host", distinct=True),
            run=Count("pk", filter=Q(verdict="proceed")),
            asked=Count("pk", filter=Q(verdict="approve")),
        )
        .order_by("-n", "rule__name")
    ):
        found.setdefault(row["business"], []).append(dict(row))
    for business in Business.objects.filter(pk__in=[pk for pk in found if pk]):
        _announce(business, found[business.pk], day)
    if None in found:
        _announce(None, found[None], day)


def _announce(business: Business | None, rows: list[dict[str, Any]], day: date) -> None:
    words = {
        "day": f"{day:%m-%d}",
        "business": business.name if business else _("未归属"),
        "n": sum(row["n"] for row in rows),
    }
    text = _("%(day)s 演练：%(business)s 共 %(n)d 条，没有实际执行") % words
    signals.announce(signals.shadow_summarised, business=business, day=day, text=text, lines=list(_lines(rows)))


def _lines(rows: list[dict[str, Any]]) -> Iterable[str]:
    for row in rows[:_SHOWN]:
        text = _(
            "%(rule)s → %(package)s：会执行 %(run)d 次，会请示 %(asked)d 次，会等待或跳过 %(rest)d 次，共 %(hosts)d 台"
        )
        names = {"rule": row["rule__name"] or "—", "package": row["package__name"] or "—"}
        yield text % (row | names | {"rest": row["n"] - row["run"] - row["asked"]})
    if len(rows) > _SHOWN:
        yield _("还有 %(n)d 组没有列出") % {"n": len(rows) - _SHOWN}
