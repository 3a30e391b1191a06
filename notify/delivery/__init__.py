"""Send what lies in the outbox: claim, one call, record. Every delivery ends sent, failed with a reason, or unknown."""

from notify.delivery.kind import DeliveryKind
from notify.delivery.outcome import delivery_failed, delivery_leaves, people_missed
from notify.delivery.resend import NotResendable, resend

__all__ = ["DeliveryKind", "NotResendable", "delivery_failed", "delivery_leaves", "people_missed", "resend"]
