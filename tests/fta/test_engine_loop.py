"""The engine's own parts: leases kept alive while the work is outside the database, and how it ends."""

import threading
import time
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from fta.engine import claim, kinds, loop
from fta.engine.claim import beating
from fta.management.commands import engine as command
from fta.models import StepRun
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def _claimed() -> tuple[StepRun, int]:
    step = factories.step(factories.execution(state="running"))
    return step, claim.claim(StepRun, step.pk, "ready", "running")


def test_it_renews_the_lease_of_long_work() -> None:
    with override_settings(FTA_LEASE_SECONDS=1):
        step, fence = _claimed()
        step.refresh_from_db()
        first = step.lease_until
        with beating(StepRun, step.pk, fence, "running") as beat:
            until = time.monotonic() + 5
            while step.lease_until == first and time.monotonic() < until:
                time.sleep(0.02)
                step.refresh_from_db()
        assert first is not None
        assert step.lease_until is not None
        assert step.lease_until > first
        assert not beat.lost.is_set()


def test_it_tells_a_worker_whose_work_was_taken_over() -> None:
    with override_settings(FTA_LEASE_SECONDS=1):
        step, fence = _claimed()
        with beating(StepRun, step.pk, fence, "running") as beat:
            StepRun.objects.filter(pk=step.pk).update(fence=fence + 1)
            assert beat.lost.wait(2)


# --- told to stop ---


class Work:
    """Two items in a lane that does one at a time: the first goes on until it is let go."""

    name, lane = "work", "ingest"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.done: list[int] = []

    def due(self, limit: int, now: datetime) -> list[int]:
        return [pk for pk in (1, 2) if pk not in self.done]

    def do(self, pk: int) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        self.done.append(pk)


@pytest.mark.parametrize(("lets_go", "ended", "done"), [(True, True, [1]), (False, False, [])], ids=["ends", "goes on"])
def test_told_to_stop_it_begins_nothing_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    lets_go: bool,
    ended: bool,
    done: list[int],
) -> None:
    monkeypatch.setattr(loop, "HANDOVER_SECONDS", 5.0 if lets_go else 0.05)
    settings.FTA_WORK_KINDS = [f"{__name__}.Work"]
    kinds.registry.cache_clear()
    engine = loop.Engine(threads=1, poll=0.05)
    work: Any = engine.kinds[0]

    def stop() -> None:
        assert work.begun.wait(5)
        engine.stop()
        if lets_go:
            work.go_on.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    begun = time.monotonic()
    try:
        assert engine.run() is ended
        assert time.monotonic() - begun < 4
        assert work.done == done
        assert ("left to the lease: [('work', 1)]" in caplog.text) is not ended
    finally:
        work.go_on.set()
        stopper.join()
        for pool in engine.pools.values():
            pool.shutdown()
    assert work.done == [1], "the second was handed over, and is for another engine"


# --- a kind that cannot tell what is due ---


class Broken:
    """Asks the database what it does not understand, or fails by itself."""

    name, lane = "broken", "notify"

    def due(self, limit: int, now: datetime) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")
        return []

    def do(self, pk: int) -> None: ...


class Wrong(Broken):
    name = "wrong"

    def due(self, limit: int, now: datetime) -> list[int]:
        raise KeyError(limit)


def test_a_kind_that_cannot_tell_what_is_due_keeps_no_other_from_its_work(
    settings: Any, caplog: pytest.LogCaptureFixture, faults: list[str]
) -> None:
    settings.FTA_WORK_KINDS = [f"{__name__}.{name}" for name in ("Broken", "Wrong", "Work")]
    kinds.registry.cache_clear()
    engine = loop.Engine(threads=1, poll=0.05)
    work: Any = engine.kinds[2]
    work.go_on.set()
    runner = threading.Thread(target=engine.run)
    runner.start()
    until = time.monotonic() + 5
    while len(work.done) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    engine.stop()
    runner.join(5)
    assert sorted(work.done) == [1, 2]
    assert "Unable to look for work of kind broken" in caplog.text
    assert set(faults) == {"engine:broken", "engine:wrong"}


@pytest.mark.parametrize(("ended", "left"), [(True, []), (False, [0])])
def test_the_command_ends_whatever_is_still_at_work(
    monkeypatch: pytest.MonkeyPatch, ended: bool, left: list[int]
) -> None:
    exits: list[int] = []
    monkeypatch.setattr(loop.Engine, "run", lambda self: ended)
    monkeypatch.setattr(command.os, "_exit", exits.append)
    monkeypatch.setattr(command.logging, "shutdown", lambda: None)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    said = StringIO()
    call_command("engine", stdout=said)
    assert exits == left
    assert ("left to its lease" in said.getvalue()) is not ended
