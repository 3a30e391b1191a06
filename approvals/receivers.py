"""What approvals do when the outbox reports that a message did not get through."""

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from approvals.models import Approval
from approvals.services import ending
from notify.delivery import delivery_failed
from notify.models import Delivery

_HOPELESS = (Delivery.State.FAILED, Delivery.State.UNKNOWN)


@receiver(delivery_failed)
def on_delivery_failed(delivery: Delivery, **kwargs: Any) -> None:
    """When nothing of a question has got through or still may, ask those of the next resort, and say that nobody knows of it.

    The floor below has tried the approvers' mail by then.
    """
    if delivery.event != "approval.asked" or delivery.approval_ref is None or delivery.lane != Delivery.Lane.APPROVAL:
        return  # what a notification rule tells others of a question asks nobody
    asks = Delivery.objects.filter(event="approval.asked", approval_ref=delivery.approval_ref, lane=delivery.lane)
    approval = Approval.objects.filter(pk=delivery.approval_ref, state=Approval.State.PENDING).first()
    if approval is None or asks.exclude(state__in=_HOPELESS).exists():
        return
    ending.unreached(approval.pk, delivery.last_error, timezone.now())
