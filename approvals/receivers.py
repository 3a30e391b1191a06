"""What approvals do when the outbox reports that a message did not get through."""

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver
from django.utils import timezone

from approvals.models import Approval
from approvals.services import asking, ending
from approvals.services.posting import ASKED, REMINDED, approvals_of, asking_now
from notify.delivery import delivery_failed, delivery_leaves
from notify.models import Delivery

_HOPELESS = Q(state__in=(Delivery.State.FAILED, Delivery.State.UNKNOWN))
_CALLED_OFF = Q(state=Delivery.State.SENT, sent_at=None)


@receiver(delivery_leaves)
def on_delivery_leaves(delivery: Delivery, **kwargs: Any) -> None:
    """Ask nobody what has ended while an earlier try of the question was on its way."""
    if delivery.event in (ASKED, REMINDED):
        asking.keep_open(delivery)


@receiver(delivery_failed)
def on_delivery_failed(delivery: Delivery, **kwargs: Any) -> None:
    """When nothing of a question has got through or still may, ask those of the next resort, and say that nobody knows of it.

    The floor below has tried the approvers' mail by then.
    """
    if delivery.event != ASKED or delivery.lane != Delivery.Lane.APPROVAL:
        return  # what a notification rule tells others of a question asks nobody
    waiting = Approval.objects.filter(pk__in=approvals_of(delivery), state=Approval.State.PENDING).order_by("pk")
    for approval_id in list(waiting.values_list("pk", flat=True)):
        _look(approval_id, delivery.last_error)


@transaction.atomic
def _look(approval_id: int, why: str) -> None:
    approval = ending.lock(approval_id)  # text and card may fail at once: the second one sees the first
    if approval.state == Approval.State.PENDING and not asking_now(approval).exclude(_HOPELESS | _CALLED_OFF).exists():
        ending.unreached(approval.pk, why, timezone.now())
