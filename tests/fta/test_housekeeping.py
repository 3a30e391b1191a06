"""Housekeeping: what is old goes, what may still be asked for stays, and one round an hour is enough."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
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


@pytest.mark.django_db
def test_it_forgets_sessions_that_have_ended() -> None:
    now = timezone.now()
    for key, hours in (("old", -1), ("live", 1)):
        Session.objects.create(session_key=key, session_data="", expire_date=now + timedelta(hours=hours))
    kind = HousekeepingKind()
    kind.do(kind.due(10, now)[0])
    assert list(Session.objects.values_list("session_key", flat=True)) == ["live"]
