"""Keep the vendor's limits ourselves: over them WeCom drops messages and still answers that all is well.

30 a minute and 1,000 an hour to one member, 20 a minute by one robot. A share of each is kept for approvals. A text that is sent
in parts is as many messages. What was sent is counted by tens of seconds, and the oldest ten count to their end: never too few.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet, Sum

from fta.models.engine import DbNow
from notify.models import Allowance, Delivery
from notify.selectors import listed


@dataclass(frozen=True)
class Limit:
    """How many messages a minute and an hour, and how many of each only approvals may use."""

    minute: int
    hour: int
    kept_minute: int
    kept_hour: int

    def room(self, lane: int) -> tuple[int, int]:
        """Return what may be used in a minute and in an hour by messages of this lane."""
        if lane == Delivery.Lane.APPROVAL:
            return self.minute, self.hour
        return self.minute - self.kept_minute, self.hour - self.kept_hour


LIMITS = {"member": Limit(30, 1000, 10, 200), "robot": Limit(20, 1200, 5, 300)}
STEP = 10  # seconds that are counted as one
# Many members whom we do not know: each department and tag is counted as one member, and so is @all.
_AT_ONCE = {"to_party": "toparty", "to_tag": "totag"}
_KEPT_MINUTES = 2 * 60  # longer than anything here looks back
_HOUR_PAUSE = 300.0


class LimitReached(Exception):
    """No room is left for this message now."""

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(key)
        self.seconds = seconds


def take(row: Delivery, parts: int, now: datetime) -> None:
    """Take the room of a message of so many parts for each member or robot it goes to.

    Raises LimitReached, and the caller rolls back. As many statements for a thousand members as for one, but that SQLite inserts
    them by 249.
    """
    keys = sorted(_keys(row))
    if not keys:
        return
    minute, second = int(now.timestamp() // 60), int(now.timestamp() % 60) // STEP * STEP
    mine = Allowance.objects.filter(key__in=keys)
    here = mine.filter(minute=minute, second=second)
    if not here.exists():
        Allowance.objects.filter(minute__lt=minute - _KEPT_MINUTES).delete()
    rows = [Allowance(key=key, minute=minute, second=second, used=0) for key in keys]
    Allowance.objects.bulk_create(rows, ignore_conflicts=True)
    lately = _lately(mine, minute, second)
    hourly = dict(mine.filter(minute__gte=minute - 60).values_list("key").annotate(Sum("used")))
    for key in keys:
        a_minute, an_hour = LIMITS[key.split(":", 1)[0]].room(row.lane)
        if pause := _pause(lately[key], max(a_minute - parts, 0), now):
            raise LimitReached(key, pause)
        if hourly[key] + parts > an_hour:
            raise LimitReached(key, _HOUR_PAUSE)
    here.update(used=F("used") + parts)


def _lately(mine: QuerySet[Allowance], minute: int, second: int) -> dict[str, list[tuple[int, int]]]:
    """Return what each used within the last 60 seconds, the oldest first: (when that began, how much); nobody adds meanwhile."""
    window = mine.filter(Q(minute=minute) | Q(minute=minute - 1, second__gte=second))
    # In one order, whoever else takes some of them.
    locked = window.select_for_update().order_by("key", "minute", "second")
    found = defaultdict[str, list[tuple[int, int]]](list)
    for key, at, since, used in locked.values_list("key", "minute", "second", "used"):
        found[key].append((at * 60 + since, used))
    return found


def _pause(lately: Sequence[tuple[int, int]], room: int, now: datetime) -> float:
    """Return in how many seconds no more than `room` will have been used lately; 0 when that is so already."""
    used, pause = sum(count for _at, count in lately), 0.0
    for at, count in lately:
        if used <= room:
            break
        used, pause = used - count, at + 60 + STEP - now.timestamp()
    return pause


def postpone(row: Delivery, seconds: float) -> None:
    """Let the delivery wait, and what is due to the same readers and no more urgent; none of it is counted as a try.

    Each by itself would find the same limit: in a storm that were thousands of claims a minute for nothing.
    """
    same = Delivery.objects.filter(state=Delivery.State.PENDING, kind=row.kind, channel=row.channel)
    due = Q(not_before=None) | Q(not_before__lte=DbNow())
    alike = same.filter(due, recipients=row.recipients, lane__gte=row.lane)
    if _named(row):
        alike = alike.filter(payload__message__data=row.payload["message"]["data"])
    alike.update(not_before=DbNow() + timedelta(seconds=seconds))


def _named(row: Delivery) -> dict[str, str]:
    """Return the departments and tags that a message itself names, as those through the gateway do."""
    return dict(row.payload.get("message", {}).get("data", {}).get("to", {}))


def _keys(row: Delivery) -> Iterator[str]:
    config = row.channel.config if row.channel else {}
    if row.to_nobody:
        return
    if row.kind == "wecom_app":
        yield from {f"member:{member.casefold()}"[:160] for member in row.recipients or listed(config.get("to_user"))}
        for name, wire in _AT_ONCE.items():  # who is in a department or has a tag gets all that goes to it
            own = [] if row.recipients else listed(config.get(name))
            yield from {f"member:/{wire}/{one}"[:160] for one in own or _named(row).get(wire, "").split("|") if one}
    elif row.kind == "wecom_robot":
        yield f"robot:{row.channel_id}:{'/'.join(map(str, row.recipients))}"[:160]
