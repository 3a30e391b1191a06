"""Take a row under a lease, renew it, give it back: each by one compare-and-set statement.

`fence` grows with every take. Whoever writes must name the fence that it got; a worker that was paused past its lease finds no
row and learns that it is a ghost. Leases are judged by the database's clock.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Q

from fta.models.engine import Claimable, DbNow, lease


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
    changed = rows.update(
        state=to,
        fence=F("fence") + 1,
        lease_until=lease(settings.FTA_LEASE_SECONDS),
        worker=worker_name(),
        **fields,
    )
    if changed != 1:
        raise NotClaimed(f"{model.__name__} {pk}")
    fence: int = model._default_manager.values_list("fence", flat=True).get(pk=pk)
    return fence


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


class Beat:
    """A lease kept alive by a thread of its own while its worker is busy outside the database."""

    def __init__(self, row: type[Claimable], pk: int, fence: int, state: str) -> None:
        self._args = (row, pk, fence, state)
        self._stop = threading.Event()
        self.lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{pk}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            while not self._stop.wait(settings.FTA_LEASE_SECONDS / 6):
                if not renew(*self._args):
                    self.lost.set()
                    return
        finally:
            connection.close()  # the connection of this thread


@contextmanager
def beating(row: type[Claimable], pk: int, fence: int, state: str) -> Iterator[Beat]:
    """Keep the lease of a claimed row alive for the time of the block; `lost` is set when it was taken over."""
    beat = Beat(row, pk, fence, state)
    beat.start()
    try:
        yield beat
    finally:
        beat.stop()
