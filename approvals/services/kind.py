"""The work kind of approvals: what runs out of time, and what is to be reminded of."""

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from approvals.models import Approval
from approvals.services import ending
from fta.models.engine import DbNow


class ApprovalKind:
    """Expire, escalate and remind, all judged by the database's clock."""

    name = "approval"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        due = Q(expires_at__lte=DbNow()) | Q(remind_at__lte=DbNow())
        rows = Approval.objects.filter(due, state=Approval.State.PENDING).order_by("expires_at")
        return list(rows.values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        now = timezone.now()
        ending.expire(pk, now)
        ending.remind(pk, now)
