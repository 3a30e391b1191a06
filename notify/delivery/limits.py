"""Keep the vendor's limits ourselves: over them WeCom drops messages and still answers that all is well.

30 a minute and 1,000 an hour to one member, 20 a minute by one robot. A share of each is kept for approvals.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q

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
    minute, into = int(now.timestamp() // 60), now.timestamp() % 60
    keys = sorted(_keys(row))
    if not keys:
        return
    here = Allowance.objects.filter(key__in=keys, minute=minute)
    if not here.exists():
        Allowance.objects.filter(minute__lt=minute - _KEPT_MINUTES).delete()
    # As many statements for a thousand members as for one: nobody else writes meanwhile.
    Allowance.objects.bulk_create([Allowance(key=key, minute=minute, used=0) for key in keys], ignore_conflicts=True)
    list(here.select_for_update().order_by("key").values_list("pk"))  # in one order, whoever else takes some of them
    here.update(used=F("used") + 1)
    used = defaultdict[str, dict[int, int]](dict)
    for key, at, count in Allowance.objects.filter(key__in=keys, minute__gt=minute - 60).values_list(
        "key", "minute", "used"
    ):
        used[key][at] = count
    for key in keys:
        _within(LIMITS[key.split(":", 1)[0]], key, used[key], row.lane, minute, into)


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


def _within(limit: Limit, key: str, used: Mapping[int, int], lane: int, minute: int, into: float) -> None:
    """Raise LimitReached when more was used within the last 60 seconds, or the last hour, than there is room for.

    The minute before is taken as evenly spread.
    """
    recent = used.get(minute, 0) + used.get(minute - 1, 0) * (1 - into / 60)
    if recent > limit.minute - (0 if lane == Delivery.Lane.APPROVAL else limit.kept):
        raise LimitReached(key, 60 - into + 1)
    if sum(used.values()) > limit.hour:
        raise LimitReached(key, 300)
