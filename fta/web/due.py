"""What waits to be done, by work kind: how many items are due, and since when the oldest is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce

from fta.models import Execution, Inbox, StepRun
from fta.web import upstairs


@dataclass(frozen=True)
class Due:
    """The due items of one work kind; `oldest_at` is None when there is none."""

    kind: str
    count: int
    oldest_at: datetime | None

    def age(self, now: datetime) -> float:
        """Return the seconds for which the oldest item has been waiting."""
        return max(0.0, (now - self.oldest_at).total_seconds()) if self.oldest_at else 0.0


def due_work(now: datetime) -> list[Due]:
    """Return the due work of every kind, each by one query on the index that the kind itself polls."""
    free = Q(not_before=None) | Q(not_before__lte=now)
    executions = Execution.objects
    return [
        _due("inbox", Inbox.objects.filter(free, state="new"), Coalesce("not_before", "received_at")),
        _due("step", StepRun.objects.filter(free, state="ready"), Coalesce("not_before", "created_at")),
        _due("sleeper", executions.filter(state="sleeping", wake_at__lte=now), F("wake_at")),
        # An execution may have been held for hours before it became ready: its last line of history tells when it did.
        _due(
            "execution",
            executions.filter(state="ready").annotate(told_at=Max("history__at")),
            Coalesce("told_at", "received_at"),
        ),
        _due("verification", executions.filter(verify_at__lte=now), F("verify_at")),
        _due("approval", upstairs.approvals().filter(state="pending", expires_at__lte=now), F("expires_at")),
        _due("delivery", upstairs.deliveries().filter(free, state="pending"), Coalesce("not_before", "created_at")),
    ]


def _due(kind: str, rows: QuerySet[Any], since: Any) -> Due:
    found = rows.annotate(due_at=since).aggregate(number=Count("pk"), oldest=Min("due_at"))
    return Due(kind, found["number"], found["oldest"])
