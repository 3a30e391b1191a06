"""Take a row under a lease, renew it, give it back: each by one compare-and-set statement.

`fence` grows with every take. Whoever writes must name the fence that it got; a worker that was paused past its lease finds no
row and learns that it is a ghost. Leases are judged by the database's clock.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, models
from django.db.models import F, Q
from django.db.models.sql import UpdateQuery

from fta.models.engine import Claimable, DbNow, lease

logger = logging.getLogger(__name__)


class NotClaimed(Exception):
    """The row was not free: taken by another, not due, or a condition of the claim did not hold."""


class LostLease(Exception):
    """The row was taken over while its worker was away; what the worker found out must not be recorded."""


def worker_name() -> str:
    """Return the name of this process; it survives a fork."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(model: type[models.Model], pk: int, frm: str, to: str, *conditions: Q, **fields: Any) -> int:
    """Move the row from `frm` to `to` under a lease if every condition holds in the same statement; return the fence.

    Raises NotClaimed. Conditions must be on the row's own columns or EXISTS subqueries: a join would move the state test into a
    subselect that PostgreSQL does not evaluate again after waiting for the row, and two workers could claim.
    """
    rows = model._default_manager.filter(Q(not_before=None) | Q(not_before__lte=DbNow()), *conditions, pk=pk, state=frm)
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(
        {
            "state": to,
            "fence": F("fence") + 1,
            "lease_until": lease(settings.FTA_LEASE_SECONDS),
            "worker": worker_name(),
            **fields,
        }
    )
    # QuerySet.update() made by hand, so that the statement itself returns the fence.
    statement, params = query.get_compiler(rows.db).as_sql()
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} RETURNING fence", params)
        found = cursor.fetchall()
    if len(found) != 1:
        raise NotClaimed(f"{model.__name__} {pk}")
    return int(found[0][0])


def renew(model: type[models.Model], pk: int, fence: int, state: str) -> bool:
    """Extend the lease; False tells the caller that it is a ghost."""
    rows = model._default_manager.filter(pk=pk, fence=fence, state=state)
    return rows.update(lease_until=lease(settings.FTA_LEASE_SECONDS)) == 1


def finish(model: type[models.Model], pk: int, fence: int, frm: str, to: str, **fields: Any) -> None:
    """Move a claimed row on, giving up the lease. Raises LostLease when the fence is no longer ours."""
    rows = model._default_manager.filter(pk=pk, fence=fence, state=frm)
    if rows.update(state=to, lease_until=None, **fields) != 1:
        raise LostLease(f"{model.__name__} {pk}")


def lapsed(model: type[models.Model], state: str, limit: int) -> list[int]:
    """Return the ids of rows whose worker has let the lease lapse, the oldest first."""
    rows = model._default_manager.filter(state=state, lease_until__lt=DbNow()).order_by("lease_until")
    return list(rows.values_list("pk", flat=True)[:limit])


@dataclass(eq=False)
class Beat:
    """A lease that is kept alive while its worker is busy outside the database; `lost` is set when it was taken over."""

    row: type[Claimable]
    pk: int
    fence: int
    state: str
    next_at: float = field(default_factory=lambda: _next())
    lost: threading.Event = field(default_factory=threading.Event)


class Beats:
    """All leases of this process, renewed by one thread: most work ends long before its first renewal."""

    def __init__(self) -> None:
        self._beats: set[Beat] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, beat: Beat) -> None:
        """Renew this lease from now on."""
        with self._lock:
            self._beats.add(beat)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves the parent's thread behind
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()

    def remove(self, beat: Beat) -> None:
        """Let this lease be; a renewal that is under way finds the row moved on, or harms nothing."""
        with self._lock:
            self._beats.discard(beat)

    def _run(self) -> None:
        while True:
            time.sleep(min(1.0, settings.FTA_LEASE_SECONDS / 30))
            with self._lock:
                due = [beat for beat in self._beats if beat.next_at <= time.monotonic()]
            try:
                for beat in due:
                    self._renew(beat)
            except DatabaseError:
                logger.exception("Unable to renew leases; tried again")
            finally:
                if due:
                    connection.close()  # the connection of this thread

    def _renew(self, beat: Beat) -> None:
        if renew(beat.row, beat.pk, beat.fence, beat.state):
            beat.next_at = _next()
        else:
            beat.lost.set()
            self.remove(beat)


def _next() -> float:
    return time.monotonic() + float(settings.FTA_LEASE_SECONDS) / 6


_beats = Beats()


@contextmanager
def beating(row: type[Claimable], pk: int, fence: int, state: str) -> Iterator[Beat]:
    """Keep the lease of a claimed row alive for the time of the block; `lost` is set when it was taken over."""
    beat = Beat(row, pk, fence, state)
    _beats.add(beat)
    try:
        yield beat
    finally:
        _beats.remove(beat)
