"""Keep the vendor's limits ourselves: over them WeCom drops messages and still answers that all is well.

30 a minute and 1,000 an hour to one member, 20 a minute by one robot. A share of each is kept for approvals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, Sum

from fta.models.engine import DbNow
from notify.models import Allowance, Delivery
from notify.selectors import listed


@dataclass(frozen=True)
class Limit:
    """How many messages a minute and an hour, and how many of each minute only approvals may use."""

    minute: int
    hour: int
    kept: int


LIMITS = {"member": Limit(30, 1000, 10), "robot": Limit(20, 1200, 5)}
_EVERYBODY = "@all"
_KEPT_MINUTES = 25 * 60  # longer than anything here looks back


class LimitReached(Exception):
    """No room is left for this message now."""

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(key)
        self.seconds = seconds


def take(row: Delivery, now: datetime) -> None:
    """Take one message's room for each member or robot it goes to; raises LimitReached, and the caller rolls back."""
    minute, into = divmod(now.timestamp(), 60)
    for key in sorted(_keys(row)):
        limit = LIMITS[key.split(":", 1)[0]]
        _row, fresh = Allowance.objects.get_or_create(key=key, minute=int(minute))
        if fresh:
            Allowance.objects.filter(minute__lt=int(minute) - _KEPT_MINUTES).delete()
        Allowance.objects.filter(key=key, minute=int(minute)).update(used=F("used") + 1)
        if _used(key, int(minute), into) > limit.minute - (0 if row.lane == Delivery.Lane.APPROVAL else limit.kept):
            raise LimitReached(key, 60 - into + 1)
        if _used_this_hour(key, int(minute)) > limit.hour:
            raise LimitReached(key, 300)


def postpone(row: Delivery, seconds: float) -> None:
    """Let the delivery wait, and what is due to the same readers and no more urgent; none of it is counted as a try.

    Each by itself would find the same limit: in a storm that were thousands of claims a minute for nothing.
    """
    same = Delivery.objects.filter(state=Delivery.State.PENDING, kind=row.kind, channel=row.channel)
    due = Q(not_before=None) | Q(not_before__lte=DbNow())
    alike = same.filter(due, recipients=row.recipients, lane__gte=row.lane)
    alike.update(not_before=DbNow() + timedelta(seconds=seconds))


def _keys(row: Delivery) -> Iterator[str]:
    config = row.channel.config if row.channel else {}
    if row.kind == "wecom_app":
        members = row.recipients or listed(config.get("to_user"))
        yield from {f"member:{member.casefold()}"[:160] for member in members if member != _EVERYBODY}
    elif row.kind == "wecom_robot":
        yield f"robot:{row.channel_id}:{'/'.join(map(str, row.recipients))}"[:160]


def _used(key: str, minute: int, into: float) -> float:
    """Return what was used within the last 60 seconds, taking the minute before as evenly spread."""
    rows = dict(Allowance.objects.filter(key=key, minute__in=(minute - 1, minute)).values_list("minute", "used"))
    return rows.get(minute, 0) + rows.get(minute - 1, 0) * (1 - into / 60)


def _used_this_hour(key: str, minute: int) -> int:
    return Allowance.objects.filter(key=key, minute__gt=minute - 60).aggregate(n=Sum("used"))["n"] or 0
