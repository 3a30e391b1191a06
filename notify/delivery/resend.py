"""Send a delivery again because a person says so."""

from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from fta.audit import record
from fta.engine import doorbell
from fta.lib.types import User
from fta.models.engine import NotInState, move
from notify.models import Delivery


class NotResendable(Exception):
    """The delivery has not ended failed or unknown, so that there is nothing to send again."""


@transaction.atomic
def resend(delivery: Delivery, user: User | AnonymousUser, now: datetime) -> None:
    """Put a delivery that failed, or whose outcome is unknown, back into the outbox with all of its tries."""
    frm = delivery.state
    if frm not in (Delivery.State.FAILED, Delivery.State.UNKNOWN):
        raise NotResendable(str(delivery))
    try:
        move(Delivery, delivery.pk, frm, Delivery.State.PENDING, attempts=0, not_before=None, remedy="")
    except NotInState as error:
        raise NotResendable(str(delivery)) from error
    record(user.get_username(), "delivery.resend", delivery, now, event=delivery.event, was=frm)
    doorbell.ring("delivery", delivery.pk)
