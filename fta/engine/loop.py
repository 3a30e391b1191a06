"""The engine: find due work in the database and do it, until told to stop.

Any number of engines may run; claims keep them apart. Each lane has threads of its own, so that a slow script never delays a
decision or a message.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.engine import doorbell, kinds
from fta.engine.claim import worker_name
from fta.models import Heartbeat

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5
HANDOVER_SECONDS = 25.0  # for work in hand, once told to stop: service managers kill after 30
ERROR_PAUSE_SECONDS = 1.0
SQLITE_GLANCE_SECONDS = 0.05
TRUSTED_SECONDS = 5.0  # a thread's connection that worked a moment ago is not tested before each item


class Engine:
    """One polling engine. `run` blocks until `stop` is called; work in hand is then finished, or left to its lease."""

    def __init__(
        self, threads: int | None = None, poll: float | None = None, work: Iterable[str] | None = None
    ) -> None:
        self.poll = poll or settings.FTA_POLL_SECONDS
        self.sqlite = connection.vendor == "sqlite"
        wanted = set(work) if work is not None else None
        self.kinds = [kind for name, kind in kinds.registry().items() if wanted is None or name in wanted]
        per_lane = max(1, (threads or settings.FTA_ENGINE_THREADS) // 2)
        self.width = {"ingest": 1, "decide": 2, "execute": per_lane * 2, "notify": per_lane}
        self.pools = {
            lane: ThreadPoolExecutor(self.width[lane], thread_name_prefix=lane) for lane in {k.lane for k in self.kinds}
        }
        self.busy: set[tuple[str, int]] = set()
        self.lock = threading.Condition()  # notified as `busy` shrinks
        self.stopping = threading.Event()
        self.links = threading.local()  # when this thread's connection last worked
        self.behind: set[str] = set()  # kinds with more due items than there was room for
        self.data_version = 0
        self.bell = doorbell.local_bell
        self.listener: threading.Thread | None = None

    def run(self) -> bool:
        """Look at the kinds that are rung for, and at all of them every `poll` seconds, until `stop`.

        Return False when work in hand still goes on, HANDOVER_SECONDS after that.
        """
        started = timezone.now()
        next_beat = next_look = 0.0
        rung: set[str] = set()
        self._listen()
        self.bell.answered = True
        while not self.stopping.is_set():
            clock, now = time.monotonic(), timezone.now()
            try:
                if clock >= next_beat:
                    self._beat(started, now)
                    next_beat = clock + HEARTBEAT_SECONDS
                if clock >= next_look:
                    self.pass_once(now)
                    next_look = clock + self.poll
                elif rung:
                    self.pass_once(now, rung)
                rung = self._wait(next_look)
            except Error:
                logger.exception("Unable to look for work; the database is asked again")
                connection.close()
                self.stopping.wait(ERROR_PAUSE_SECONDS)
        connection.close()
        return self._finish()

    def _finish(self) -> bool:
        """Begin nothing more and give work in hand time to end; tell whether all of it has.

        What has not is as if this process had been killed: its lease lapses and another engine looks up what came of it.
        """
        for pool in self.pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        with self.lock:
            ended = self.lock.wait_for(lambda: not self.busy, HANDOVER_SECONDS)
            if not ended:
                logger.warning("Still at work, left to the lease: %s", sorted(self.busy))
        return ended

    def stop(self) -> None:
        """Stop claiming at once; `run` returns once the work in hand has ended, or has been left to its lease."""
        self.stopping.set()
        self.bell.ring("stop")

    def pass_once(self, now: datetime, only: set[str] | None = None) -> int:
        """Hand every due item (of the kinds in `only`) to its lane, once; return how many were handed over."""
        handed = 0
        for kind in self.kinds:
            if only is not None and kind.name not in only:
                continue
            busy = self._busy_with(kind.name)
            room = self.width[kind.lane] * 2 - busy
            if room <= 0:
                self.behind.add(kind.name)
                continue
            found = self._due(kind, room + busy, now)
            # There may be more than was asked for: the end of an item then rings for the next look.
            (self.behind.add if len(found) >= room + busy else self.behind.discard)(kind.name)
            for pk in found:
                if self._take(kind.name, pk):
                    future = self.pools[kind.lane].submit(self._do, kind.do, pk)
                    future.add_done_callback(self._release(kind.name, pk))
                    handed += 1
        return handed

    def _due(self, kind: kinds.WorkKind, most: int, now: datetime) -> list[int]:
        """Return what is due of a kind; one that cannot tell keeps no other from its work."""
        try:
            return kind.due(most, now)
        except Exception as error:  # whatever it was, people hear of it, and it is asked again at the next look
            if isinstance(error, Error) and not connection.is_usable():
                raise  # the database is away: none of them could tell
            logger.exception("Unable to look for work of kind %s", kind.name)
            names = {"kind": kind.name, "error": type(error).__name__}
            text = _("引擎读取“%(kind)s”的待处理工作时出错（%(error)s），其他工作不受影响") % names
            signals.announce(signals.system_fault, text=text, subject=f"engine:{kind.name}")
            return []

    def _wait(self, until: float) -> set[str]:
        """Wait for a ring until the next look at everything is due.

        SQLite has no NOTIFY, but it tells cheaply whether another process has committed: then everything is looked at.
        """
        while True:
            left = until - time.monotonic()
            if left <= 0 or self.stopping.is_set():
                return set()
            rung = self.bell.wait(min(left, SQLITE_GLANCE_SECONDS) if self.sqlite else left)
            if self.sqlite and self._changed():
                return {kind.name for kind in self.kinds}
            if rung:
                return rung

    def _changed(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchone()
        changed, self.data_version = version != self.data_version, version
        return bool(changed)

    def drain(self, rounds: int = 200) -> None:
        """Do everything that is due now, in this thread, until nothing is left: for tests and commands."""
        for _round in range(rounds):
            now = timezone.now()
            items = [(kind, pk) for kind in self.kinds for pk in kind.due(100, now)]
            if not items:
                return
            for kind, pk in items:
                kind.do(pk)
        raise RuntimeError(f"Work did not end after {rounds} rounds: {[(kind.name, pk) for kind, pk in items][:5]}")

    def _busy_with(self, name: str) -> int:
        with self.lock:
            return sum(1 for kind, _ in self.busy if kind == name)

    def _take(self, name: str, pk: int) -> bool:
        with self.lock:
            if (name, pk) in self.busy:
                return False
            self.busy.add((name, pk))
            return True

    def _release(self, name: str, pk: int) -> Callable[["Future[None]"], None]:
        def release(future: "Future[None]") -> None:
            with self.lock:
                self.busy.discard((name, pk))
                self.lock.notify_all()
            if name in self.behind:
                self.bell.ring(name)

        return release

    def _do(self, do: Callable[[int], None], pk: int) -> None:
        if self.stopping.is_set():
            return  # handed over before the stop, and not begun: another engine finds it
        if time.monotonic() - getattr(self.links, "good_at", 0.0) > TRUSTED_SECONDS:
            close_old_connections()
        try:
            do(pk)
            self.links.good_at = time.monotonic()
        except Exception:  # the outermost loop: one item must not end the engine
            logger.exception("Unable to do item %s of %s", pk, getattr(do, "__qualname__", do))
            self.links.good_at = 0.0
            self.stopping.wait(ERROR_PAUSE_SECONDS)  # an item that fails at once must not spin

    def _beat(self, started: datetime, now: datetime) -> None:
        Heartbeat.objects.update_or_create(
            worker=worker_name(), defaults={"role": "engine", "started_at": started, "beat_at": now}
        )
        Heartbeat.objects.filter(beat_at__lt=now - timedelta(hours=1)).delete()

    def _listen(self) -> None:
        """Be rung by NOTIFY on PostgreSQL; with a broker the workers are rung, and this engine is the safety net."""
        if connection.vendor != "postgresql" or settings.CELERY_BROKER_URL:
            return
        self.listener = threading.Thread(target=self._hear, name="listener", daemon=True)
        self.listener.start()

    def _hear(self) -> None:
        while not self.stopping.is_set():
            try:
                connection.ensure_connection()
                raw = connection.connection
                connection.set_autocommit(True)
                with connection.cursor() as cursor:
                    cursor.execute(f"LISTEN {doorbell.CHANNEL}")
                while not self.stopping.is_set():
                    for notice in raw.notifies(timeout=5.0, stop_after=1):
                        self.bell.ring(notice.payload)
            except Exception:  # noqa: BLE001 - psycopg's and Django's errors alike: listen again, polling goes on
                logger.warning("Unable to listen for doorbells; polling goes on")
                connection.close()
                self.stopping.wait(ERROR_PAUSE_SECONDS)
        connection.close()
