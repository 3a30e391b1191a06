"""What waits to be done, by work kind: how many items are due, and since when the oldest is.

What a switch holds back is not due.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from fta.healing.claims import ready_steps
from fta.healing.start import startable
from fta.models import Execution, Inbox


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
    approvals, deliveries = _upstairs("approvals"), _upstairs("delivery")
    return [
        _due("inbox", Inbox.objects.filter(free, state="new"), Coalesce("not_before", "received_at")),
        _due("step", ready_steps(), Coalesce("not_before", "created_at")),
        _due("sleeper", executions.filter(state="sleeping", wake_at__lte=now), F("wake_at")),
        _due("execution", *_ready_executions()),
        _due("verification", executions.filter(verify_at__lte=now), F("verify_at")),
        _due("approval", approvals.filter(state="pending", expires_at__lte=now), F("expires_at")),
        _due("delivery", deliveries.filter(free, state="pending"), Coalesce("not_before", "created_at")),
    ]


def _ready_executions() -> tuple[QuerySet[Any], Any]:
    """Return the executions that may start, and the expression of since when.

    One may have been held for hours before it became ready: its last line of history tells when it did. One that a switch has
    held back is due since the end of that switch.
    """
    over_at = Coalesce("held_back__switch__ended_at", "held_back__switch__until")
    rows = startable().annotate(told_at=Max("history__at"), let_go_at=Max(over_at))
    return rows, Greatest(Coalesce("told_at", "received_at"), Coalesce("let_go_at", "received_at"))


def _due(kind: str, rows: QuerySet[Any], since: Any) -> Due:
    found = rows.annotate(due_at=since).aggregate(number=Count("pk"), oldest=Min("due_at"))
    return Due(kind, found["number"], found["oldest"])


def _upstairs(relation: str) -> QuerySet[Any]:
    """Return all rows of a model of the floors above, reached by the relation that it made with executions."""
    model: Any = Execution._meta.get_field(relation).related_model
    rows: QuerySet[Any] = model._default_manager.all()
    return rows
