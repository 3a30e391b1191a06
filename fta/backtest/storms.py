"""Convergence in memory: the same windows, incidents and verdicts as `fta.convergence`, on places instead of rows."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fta.convergence.engine import MOST_OTHERS
from fta.convergence.functions import JUST_FINISHED, Answer, Other, Standing
from fta.convergence.rules import LONGEST, CompiledRule
from fta.lib.types import JSON
from fta.models import Execution


@dataclass(eq=False)
class Life:
    """What becomes of one alert in a replay, as those that come later see it."""

    order: int
    received_at: datetime
    acting: bool = True  # false for what never was to act: nobody waits for it
    state: str = Execution.State.RUNNING
    ended_at: datetime | None = None
    places: "list[Place]" = field(default_factory=list)

    def is_over(self, now: datetime) -> bool:
        """Tell whether it has ended by a moment."""
        return self.ended_at is not None and self.ended_at <= now

    def seen(self, now: datetime) -> Other:
        """Return this life as the verdict functions see it at a moment."""
        over = self.is_over(now)
        return Other(self.order, self.state if over else Execution.State.RUNNING, self.ended_at if over else None)


@dataclass(eq=False)
class Storm:
    """An incident."""

    rule: CompiledRule
    opened_at: datetime
    last_joined_at: datetime
    count: int
    crossed_by: Life


@dataclass(eq=False)
class Place:
    """A life in a group, as Member is in the tables."""

    life: Life
    group: "Group"
    storm: Storm | None = None
    ordinal: int = 0


class Group:
    """Those that one rule counts together."""

    def __init__(self, rule: CompiledRule) -> None:
        self.rule = rule
        self.open: Storm | None = None
        self._by_time: list[tuple[datetime, int, Place]] = []
        self._acting: list[Place] = []
        self._living: dict[Place, None] = {}  # the eldest first, without those that were over when somebody looked
        self._last_over: Place | None = None  # of those left out, the last to end

    def add(self, life: Life) -> Place:
        """Give a life its place; lives come in the order in which the portal processes them."""
        place = Place(life, self)
        insort(self._by_time, (life.received_at, life.order, place))
        if life.acting:
            self._acting.append(place)
            self._living[place] = None
        life.places.append(place)
        return place

    def settle(self, place: Place, now: datetime, acts: bool) -> Storm | None:
        """Put a place into the storm that it belongs to, and return that storm; None below the threshold."""
        if place.storm is not None:
            return place.storm
        at = place.life.received_at
        if self.open is not None and self._is_over(self.open, at):
            self.open = None
        if self.open is not None:
            self.open.count += 1
            self.open.last_joined_at = max(self.open.last_joined_at, at)
            place.storm, place.ordinal = self.open, self.open.count
            return self.open
        window = self._window(place)
        opens = len(window) > self.rule.count and (acts or not self.rule.function.runs_its_opener)
        return self._begin(place, window, now) if opens else None

    def judge(self, place: Place, now: datetime, acts: bool = True) -> tuple[Answer, Storm | None]:
        """Return what the rule says of a place, and its storm."""
        storm = self.settle(place, now, acts)
        function = self.rule.function
        if storm is None:
            return function.below, None
        others = tuple(self._others(place, storm, now)) if function.looks_at_others else ()
        standing = Standing(place.ordinal, self.rule.count, storm.crossed_by is place.life, others)
        return function.verdict(standing, now), storm

    def _is_over(self, storm: Storm, at: datetime) -> bool:
        return at - storm.last_joined_at > self.rule.quiet or at - storm.opened_at > LONGEST

    def _window(self, place: Place) -> list[Place]:
        at, order = place.life.received_at, place.life.order
        low = bisect_left(self._by_time, at - self.rule.window, key=_time)
        high = bisect_right(self._by_time, at + self.rule.window, key=_time)
        found: list[Place] = []
        while (
            high > low and len(found) <= self.rule.count
        ):  # one more than the threshold at most: nobody counts a storm
            high -= 1
            _at, other, item = self._by_time[high]
            if other <= order:
                found.append(item)
        return found

    def _begin(self, place: Place, window: list[Place], now: datetime) -> Storm:
        joining = sorted((item for item in window if item.storm is None), key=lambda item: item.life.order)
        last = max(item.life.received_at for item in joining)
        storm = self.open = Storm(self.rule, now, last, len(joining), place.life)
        for ordinal, item in enumerate(joining, start=1):
            item.storm, item.ordinal = storm, ordinal
        return storm

    def _others(self, place: Place, storm: Storm, now: datetime) -> Iterator[Other]:
        index, found = bisect_left(self._acting, place.life.order, key=_order), 0
        while index and found < MOST_OTHERS:
            index -= 1
            item = self._acting[index]
            if item.life.received_at < place.life.received_at - self.rule.window - LONGEST:
                return
            if self._is_before(item, place, storm):
                found += 1
                yield item.life.seen(now)
        if found == MOST_OTHERS:
            yield from (item.life.seen(now) for item in self._older(place, storm, now))

    def _older(self, place: Place, storm: Storm, now: datetime) -> Iterator[Place]:
        """Yield of those beyond the newest the eldest that lives still, and the last to end, when that was just now."""
        over, found = [], None
        for item in self._living:
            if item.life.is_over(now) or not item.life.acting:
                over.append(item)
            elif self._is_before(item, place, storm):
                found = item
                break
        for item in over:
            del self._living[item]
            self._last_over = (
                max(filter(None, (self._last_over, item)), key=_ended) if item.life.acting else self._last_over
            )
        last = self._last_over
        if found is not None:
            yield found
        elif last is not None and self._is_before(last, place, storm) and now - _ended(last) < JUST_FINISHED:
            yield last

    def _is_before(self, item: Place, place: Place, storm: Storm) -> bool:
        """Tell whether a place is one of the others of a later one that is in a storm."""
        if not item.life.acting or item.life.order >= place.life.order:
            return False
        return item.storm is storm or item.life.received_at >= place.life.received_at - self.rule.window


def _time(entry: tuple[datetime, int, Place]) -> datetime:
    return entry[0]


def _ended(place: Place) -> datetime:
    assert place.life.ended_at is not None  # noqa: S101 - narrows the type
    return place.life.ended_at


def _order(place: Place) -> int:
    return place.life.order


def named(values: Mapping[str, JSON]) -> str:
    """Return the key of a group within its rule."""
    return repr(sorted(values.items()))
