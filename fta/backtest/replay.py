"""Replay the stored alerts of a time through the rules in force and through the drafts, side by side."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from fta.backtest import drafts
from fta.backtest.happened import Case, cases_of, typical_spans
from fta.backtest.report import Report
from fta.backtest.world import World
from fta.models import Alert, ConfigVersion

CHUNK = 500
_NEVER_FIRED = (Alert.Outcome.PENDING, Alert.Outcome.NOT_FIRING)


def alerts_between(since: datetime, until: datetime) -> QuerySet[Alert]:
    """Return the alerts that came in this time and were decided about."""
    return Alert.objects.filter(received_at__gte=since, received_at__lt=until).exclude(outcome__in=_NEVER_FIRED)


def replay(
    since: datetime,
    until: datetime,
    rules: drafts.Drafts,
    convergence_rules: drafts.Drafts,
    businesses: Sequence[int] | None,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Return the report of a replay; `progress` is told after each part how many alerts were read, and may raise to end it.

    Only alerts of `businesses` are counted (None: all), though the others are replayed with them: a storm knows no borders.
    """
    with ConfigVersion.pinned():
        sets = drafts.in_force(), drafts.with_drafts(rules, convergence_rules)
        spans = typical_spans(since, until)
        today = World(sets[0], spans)
        draft = World(sets[1], spans) if rules or convergence_rules else today  # the same rules live through the same
        worlds = dict.fromkeys((today, draft))
        report = Report(since, until, today, draft)
        read = 0
        for cases in _chunks(drafts.beginning(since, *sets), until):
            for case in cases:
                alert = case.alert
                counted = alert.received_at >= since and (businesses is None or alert.business_id in businesses)
                for world in worlds:
                    world.take(case, counted)
                read += alert.received_at >= since
                if counted:
                    report.note(case)
            progress(read)
        for world in worlds:
            world.run_until(None)
            world.finish()
    return report.as_dict()


def _chunks(since: datetime, until: datetime) -> Iterator[list[Case]]:
    """Yield the cases in the order in which the alerts came, some hundred at a time, by key and not by offset."""
    rows = alerts_between(since, until).select_related("source", "host", "business").order_by("received_at", "pk")
    found = list(rows[:CHUNK])
    while found:
        yield cases_of(found)
        last = found[-1]
        beyond = Q(received_at__gt=last.received_at) | Q(received_at=last.received_at, pk__gt=last.pk)
        found = list(rows.filter(beyond, received_at__gte=last.received_at)[:CHUNK])
