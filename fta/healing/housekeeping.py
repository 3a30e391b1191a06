"""Housekeeping: what is old and no guarantee needs goes, once an hour. (The journals of scripts clean themselves.)"""

from datetime import datetime, timedelta

from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from fta.models import Heartbeat
from fta.models.engine import ConfigVersion

EVERY = timedelta(hours=1)
_MARK = "housekeeping"


class HousekeepingKind:
    """Due when the last round is an hour old; the mark is moved by compare-and-set, so that one process does it."""

    name = "housekeeping"
    lane = "ingest"

    def due(self, limit: int, now: datetime) -> list[int]:
        hour = int(now.timestamp() // EVERY.total_seconds())
        return [hour] if ConfigVersion.current(_MARK) < hour else []

    def do(self, pk: int) -> None:
        ConfigVersion.objects.get_or_create(kind=_MARK)
        if ConfigVersion.objects.filter(kind=_MARK, number__lt=pk).update(number=pk) != 1:
            return
        Heartbeat.objects.filter(beat_at__lt=timezone.now() - EVERY).delete()
        SessionStore.clear_expired()
