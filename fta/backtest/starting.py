"""Ask for a backtest: the request is checked and becomes a row; the engine replays it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from fta import audit
from fta.backtest import drafts
from fta.backtest.replay import alerts_between
from fta.engine import doorbell
from fta.models import BacktestRun

LONGEST = timedelta(days=31)
MOST_ALERTS = 100_000


class InvalidDraft(ValueError):
    """The drafts, or the time asked about, make no sense; `problems` lists (path, words for the author)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = problems


class TooManyAlerts(InvalidDraft):
    """More alerts came in this time than one replay takes."""


def start(
    user: User,
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    rules: drafts.Drafts = (),
    convergence_rules: drafts.Drafts = (),
    businesses: Iterable[int] | None,
) -> BacktestRun:
    """Write the request of a backtest and ring for it; `businesses` are those whose alerts may be reported, None: all.

    An `until` that is still to come means now: the clocks of two machines differ.

    Raises InvalidDraft, TooManyAlerts.
    """
    problems = drafts.problems_of(rules, convergence_rules)
    until = min(until, now)
    if since >= until:
        problems.append(("from", _("开始须早于结束，也早于现在")))
    elif until - since > LONGEST:
        problems.append(("from", _("最多重放 31 天")))
    if problems:
        raise InvalidDraft(problems)
    total = alerts_between(since, until).count()
    if total > MOST_ALERTS:
        said = _("这段时间有 %(n)d 条告警，一次最多重放 %(most)d 条；请缩短时间")
        raise TooManyAlerts([("from", said % {"n": total, "most": MOST_ALERTS})])
    request: dict[str, Any] = {
        "from": since.isoformat(),
        "to": until.isoformat(),
        "rules": [dict(draft) for draft in rules],
        "convergence_rules": [dict(draft) for draft in convergence_rules],
        "businesses": sorted(businesses) if businesses is not None else None,
    }
    with transaction.atomic():
        run = BacktestRun.objects.create(requested_by=user, request=request, total=total, created_at=now)
        audit.record(user.get_username(), "backtest.start", run, at=now, request=request, alerts=total)
        doorbell.ring("backtest", run.pk)
    return run
