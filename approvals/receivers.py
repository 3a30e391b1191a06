"""What approvals do when the outbox reports that a message did not get through."""

from typing import Any

from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from approvals.models import Approval
from approvals.services import ending
from fta import signals
from notify.delivery import delivery_failed
from notify.models import Delivery

_HOPELESS = (Delivery.State.FAILED, Delivery.State.UNKNOWN)


@receiver(delivery_failed)
def on_delivery_failed(delivery: Delivery, **kwargs: Any) -> None:
    """When nothing of a question has got through or still may, ask those of the next resort, and say that nobody knows of it.

    The floor below has tried the approvers' mail by then. Silence stays what it was: a no at the end.
    """
    if delivery.event != "approval.asked" or delivery.approval_ref is None or delivery.lane != Delivery.Lane.APPROVAL:
        return  # what a notification rule tells others of a question asks nobody
    asks = Delivery.objects.filter(event="approval.asked", approval_ref=delivery.approval_ref, lane=delivery.lane)
    approval = Approval.objects.filter(pk=delivery.approval_ref, state=Approval.State.PENDING).first()
    if approval is None or asks.exclude(state__in=_HOPELESS).exists():
        return
    further = ending.escalate_unreached(approval.pk, timezone.now())
    text = _("审批 %(code)s 的消息一条也没有送到：%(why)s") % {"code": approval.code, "why": delivery.last_error}
    text += _("已升级给其他人。") if further else _("到期无人回答即视为驳回，不会执行。")
    signals.announce(signals.system_fault, text=text, subject=f"approval:{approval.pk}")
