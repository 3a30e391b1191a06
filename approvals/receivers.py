"""What approvals do when the outbox reports that a message did not get through."""

from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from approvals.models import Approval
from approvals.services import ending
from approvals.services.posting import key_of
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
    with transaction.atomic():
        try:
            approval = ending.lock(
                delivery.approval_ref
            )  # text and card may fail at once: the second one sees the first
        except Approval.DoesNotExist:
            return
        asks = Delivery.objects.filter(event="approval.asked", approval_ref=approval.pk, lane=delivery.lane)
        own = asks.filter(dedup_key__startswith=key_of(approval, f"s{approval.stage}")).order_by("pk").first()
        present = asks.filter(pk__gte=own.pk) if own else asks  # the messages of earlier stages asked others
        if approval.state == Approval.State.PENDING and not present.exclude(state__in=_HOPELESS).exists():
            ending.unreached(approval.pk, delivery.last_error, timezone.now())
