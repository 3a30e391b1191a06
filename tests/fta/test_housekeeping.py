"""Housekeeping: what is old goes, what may still be asked for stays, and one round an hour is enough."""

from datetime import timedelta

import pytest
from django.utils import timezone

from fta.healing.housekeeping import HousekeepingKind
from fta.models import Heartbeat


@pytest.mark.django_db
def test_it_removes_what_is_old_once_an_hour() -> None:
    now = timezone.now()
    for worker, minutes in (("silent", 61), ("alive", 59)):
        moment = now - timedelta(minutes=minutes)
        Heartbeat.objects.create(worker=worker, role="engine", started_at=moment, beat_at=moment)

    kind = HousekeepingKind()
    (hour,) = kind.due(10, now)
    kind.do(hour)
    assert list(Heartbeat.objects.values_list("worker", flat=True)) == ["alive"]

    assert kind.due(10, now) == []
    Heartbeat.objects.update(beat_at=now - timedelta(hours=2))
    kind.do(hour)  # rung twice
    assert Heartbeat.objects.exists()
    assert kind.due(10, now + timedelta(hours=1)) == [hour + 1]
