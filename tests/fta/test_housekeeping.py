"""Housekeeping: what is old goes, what may still be asked for stays, and one round an hour is enough."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from fta.healing.housekeeping import HousekeepingKind
from fta.models import Heartbeat


@pytest.mark.django_db
def test_it_removes_what_is_old_once_an_hour(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR, now = tmp_path, timezone.now()
    for days in (29, 31):
        journal = tmp_path / "journal" / str(days)
        journal.mkdir(parents=True)
        (journal / "rc").write_text("0")
        os.utime(journal, ((now - timedelta(days=days)).timestamp(),) * 2)
    for worker, minutes in (("silent", 61), ("alive", 59)):
        moment = now - timedelta(minutes=minutes)
        Heartbeat.objects.create(worker=worker, role="engine", started_at=moment, beat_at=moment)

    kind = HousekeepingKind()
    (hour,) = kind.due(10, now)
    kind.do(hour)
    assert [path.name for path in (tmp_path / "journal").iterdir()] == ["29"]
    assert list(Heartbeat.objects.values_list("worker", flat=True)) == ["alive"]

    assert kind.due(10, now) == []
    Heartbeat.objects.update(beat_at=now - timedelta(hours=2))
    kind.do(hour)  # rung twice
    assert Heartbeat.objects.exists()
    assert kind.due(10, now + timedelta(hours=1)) == [hour + 1]


@pytest.mark.django_db
def test_it_needs_no_journal(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path
    kind = HousekeepingKind()
    kind.do(kind.due(10, timezone.now())[0])
    assert list(tmp_path.iterdir()) == []
