"""The work of backtests: one replay at a time in an engine, under a lease that goes on with the progress."""

import logging
import time
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from fta.backtest.replay import replay
from fta.engine.claim import LostLease, NotClaimed, claim, finish, lapsed
from fta.models import BacktestRun
from fta.models.engine import DbNow, lease

logger = logging.getLogger(__name__)

State = BacktestRun.State
_TRIES = 3  # a replay that ends its engine must not end every engine
_BREATH = 0.01  # seconds between parts, so that decisions and messages of this process come first


class BacktestKind:
    """Due when a backtest waits, or when its engine died."""

    name = "backtest"
    lane = "execute"

    def due(self, limit: int, now: datetime) -> list[int]:
        waiting = BacktestRun.objects.filter(state=State.WAITING).order_by("pk").values_list("pk", flat=True)
        return list(waiting[:limit]) + lapsed(BacktestRun, State.RUNNING, limit)

    def do(self, pk: int) -> None:
        _take_back(pk, timezone.now())
        try:
            fence = claim(BacktestRun, pk, State.WAITING, State.RUNNING)
        except NotClaimed:
            return
        try:
            _replay(pk, fence)
        except LostLease:
            logger.warning("Backtest %s was taken over by another engine", pk)
        except Exception as error:  # whatever it was, its author must see that it ended
            logger.exception("Unable to replay backtest %s", pk)
            _fail(pk, fence, _("重放出错：%(error)s") % {"error": type(error).__name__})


def _take_back(pk: int, now: datetime) -> None:
    """Free a replay whose engine died; give it up after some tries."""
    left = BacktestRun.objects.filter(pk=pk, state=State.RUNNING, lease_until__lt=DbNow())
    if not left.filter(fence__gte=_TRIES).update(state=State.FAILED, error=_("重放中断多次，已放弃"), ended_at=now):
        left.update(state=State.WAITING, lease_until=None)


def _replay(pk: int, fence: int) -> None:
    run = BacktestRun.objects.get(pk=pk)
    wanted, began = run.request, time.monotonic()
    mine = BacktestRun.objects.filter(pk=pk, fence=fence, state=State.RUNNING)

    def progress(done: int) -> None:
        if mine.update(done=done, lease_until=lease(settings.FTA_LEASE_SECONDS)) != 1:
            raise LostLease(f"BacktestRun {pk}")
        time.sleep(_BREATH)

    report = replay(
        _moment(wanted["from"]),
        _moment(wanted["to"]),
        wanted["rules"],
        wanted["convergence_rules"],
        wanted["businesses"],
        progress,
    )
    report["seconds"] = round(time.monotonic() - began, 1)
    finish(BacktestRun, pk, fence, State.RUNNING, State.DONE, report=report, ended_at=timezone.now())


def _moment(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None:
        raise ValueError(text)
    return found


def _fail(pk: int, fence: int, error: str) -> None:
    try:
        finish(BacktestRun, pk, fence, State.RUNNING, State.FAILED, error=error, ended_at=timezone.now())
    except LostLease:
        logger.warning("Backtest %s was taken over by another engine", pk)
