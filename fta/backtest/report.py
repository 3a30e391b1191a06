"""What a replay found: the figures of both sets of rules, and where they differ."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fta.backtest.happened import UNMATCHED, Case
from fta.backtest.world import World

_ROWS = 50  # spots of difference that are kept, the largest
_IDS = 20
_SPAN = timedelta(hours=1)


@dataclass
class _Seen:
    """What is kept of an alert for the report."""

    pk: int
    at: datetime
    key: tuple[str, str, int]  # business, alert type, the hour
    real: str
    state: str


@dataclass
class _Spot:
    """Alerts of one business, type and hour that the drafts decide differently."""

    first: _Seen
    count: int = 0
    today: Counter[str] = field(default_factory=Counter)
    draft: Counter[str] = field(default_factory=Counter)
    real: Counter[str] = field(default_factory=Counter)


class Report:
    """Collects while the worlds live; `as_dict` compares what they came to."""

    def __init__(self, since: datetime, until: datetime, today: World, draft: World) -> None:
        self._since, self._until = since, until
        self._today, self._draft = today, draft
        self._seen: list[_Seen] = []

    def note(self, case: Case) -> None:
        """Keep what the report needs of an alert."""
        alert, real = case.alert, case.real
        hour = int(alert.received_at.timestamp() // _SPAN.total_seconds())
        key = (alert.business.name if alert.business else "", alert.alert_type, hour)
        decision = real.decision if real else UNMATCHED
        self._seen.append(_Seen(alert.pk, alert.received_at, key, decision, real.state if real else ""))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        today, draft = self._today.decisions, self._draft.decisions
        changed = [item for item in self._seen if today[item.pk] != draft[item.pk]]
        unlike = [item.pk for item in self._seen if today[item.pk] != item.real]
        return {
            "from": self._since.isoformat(),
            "to": self._until.isoformat(),
            "alerts": len(self._seen),
            "today": self._today.tally.as_dict(),
            "draft": self._draft.tally.as_dict(),
            "real": dict(Counter(item.real for item in self._seen)),
            "agrees": len(self._seen) - len(unlike),
            "unlike": unlike[:_IDS],
            "changed": len(changed),
            "spots": self._spots(changed),
        }

    def _spots(self, changed: list[_Seen]) -> list[dict[str, Any]]:
        spots: dict[tuple[str, str, int], _Spot] = {}
        for item in changed:
            spot = spots.setdefault(item.key, _Spot(item))
            spot.count += 1
            spot.today[self._today.decisions[item.pk]] += 1
            spot.draft[self._draft.decisions[item.pk]] += 1
            spot.real[item.state or item.real] += 1
        largest = sorted(spots.values(), key=lambda spot: -spot.count)[:_ROWS]
        return [
            {
                "at": spot.first.at.isoformat(),
                "business": spot.first.key[0],
                "alert_type": spot.first.key[1],
                "alert": spot.first.pk,
                "count": spot.count,
                "today": dict(spot.today),
                "draft": dict(spot.draft),
                "real": dict(spot.real),
            }
            for spot in largest
        ]
