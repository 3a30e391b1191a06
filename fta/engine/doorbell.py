"""Ring when there is work, so that nobody has to wait for the next poll. Losing a ring, or ringing twice, harms nothing.

With a broker, Celery workers are rung through it; without one, on PostgreSQL, waiting engines are rung by NOTIFY. Ringing never
blocks the caller: it happens after the commit, in a thread of its own.
"""

import logging
import queue
import threading
import time

from celery import current_app
from django.conf import settings
from django.db import connection, transaction

from fta.engine import kinds

logger = logging.getLogger(__name__)

CHANNEL = "fta_work"
TASK = "fta.tasks.wake"


class Bell:
    """Where rings of one process arrive: which kinds of work were rung for since the last look."""

    def __init__(self) -> None:
        self.answered = False  # an engine lives in this process
        self._rung: set[str] = set()
        self._arrived = threading.Condition()

    def ring(self, kind: str) -> None:
        """Note a ring and wake whoever waits."""
        with self._arrived:
            self._rung.add(kind)
            self._arrived.notify_all()

    def wait(self, seconds: float) -> set[str]:
        """Wait for a ring, at most so long; return the kinds that were rung for."""
        with self._arrived:
            if not self._rung:
                self._arrived.wait(seconds)
            rung, self._rung = self._rung, set()
            return rung


# For the engine loop that lives in this process.
local_bell = Bell()
_rings: "queue.SimpleQueue[tuple[str, int]]" = queue.SimpleQueue()
_ringer: threading.Thread | None = None
_start = threading.Lock()
_QUIET_SECONDS = 5.0  # after a broker failure nothing is rung for so long; polling does the work meanwhile


def ring(kind: str, pk: int) -> None:
    """Ring for one item when the present transaction has committed (at once outside of one)."""
    transaction.on_commit(lambda: _ring(kind, pk), robust=True)


def by_notify() -> bool:
    """Tell whether a ring is a NOTIFY, which a statement may then carry itself."""
    # Other engines poll; one is enough to answer.
    return connection.vendor == "postgresql" and not settings.CELERY_BROKER_URL and not local_bell.answered


def _ring(kind: str, pk: int) -> None:
    local_bell.ring(kind)
    if settings.CELERY_BROKER_URL:
        _ensure_ringer()
        _rings.put((kind, pk))
    elif by_notify():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, kind])


def _ensure_ringer() -> None:
    global _ringer
    if _ringer is not None and _ringer.is_alive():
        return
    with _start:
        if _ringer is None or not _ringer.is_alive():  # a fork leaves the parent's thread behind
            _ringer = threading.Thread(target=_publish, name="doorbell", daemon=True)
            _ringer.start()


def _publish() -> None:
    quiet_until = 0.0
    while True:
        kind, pk = _rings.get()
        if time.monotonic() < quiet_until:
            continue
        try:
            lane = kinds.get(kind).lane
            current_app.send_task(TASK, kwargs={"kind": kind, "pk": pk}, queue=f"fta.{lane}", retry=False)
        except Exception:  # noqa: BLE001 - whatever the broker's client raises: polling will find the row
            quiet_until = time.monotonic() + _QUIET_SECONDS
            logger.warning("Unable to ring %s %s through the broker; the engine will find it", kind, pk)
