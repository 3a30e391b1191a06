"""The outbox: a message becomes a row, in the transaction of what it announces. Sending is the engine's work."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from fta.engine import doorbell
from fta.models import Alert, Execution, Person
from notify import selectors
from notify.message import Message
from notify.models import Channel, Delivery, DeliveryApproval
from notify.services import build

_KEY_LENGTH = 128


class About(TypedDict, total=False):
    """What a delivery is about and when it is to leave: columns of its row."""

    channel: Channel | None
    lane: int
    alert: Alert | None
    execution: Execution | None
    approval_ref: int | None
    not_before: datetime | None


def post(
    *,
    dedup_key: str,
    kind: str,
    event: str,
    message: Message,
    now: datetime,
    recipients: Sequence[str] = (),
    group: str = "",
    people: Sequence[Person] | None = None,
    instead_of: Delivery | None = None,
    **about: Unpack[About],
) -> Delivery | None:
    """Write a delivery and ring for it when the transaction commits; None when this `dedup_key` was posted before.

    `kind` is a key of NOTIFY_TRANSPORTS. `recipients` are what that transport addresses: WeCom userids, mail addresses,
    the name of one robot group; empty means those that the channel's configuration names.
    Deliveries of one `group` that wait at the same time are sent as one message.
    `people` are those whom the sender named; where the kind reaches none of them, the delivery fails instead of going to the
    channel's own. `instead_of` is the delivery that did not get through before this one.
    """
    payload = {"message": message.to_json()} | _marks(group, people, instead_of)
    row = Delivery(dedup_key=key(dedup_key), kind=kind, event=event, payload=payload, created_at=now, **about)
    row.recipients = list(recipients)
    if not _insert(row):
        return None
    for asks in instead_of.approvals.all() if instead_of else ():
        share(row, asks.approval_ref, asks.stage)
    doorbell.ring("delivery", row.pk)
    return row


def share(row: Delivery, approval_ref: int, stage: int) -> None:
    """Note that a delivery speaks of this approval, in this stage of it, and perhaps of others too."""
    asks = DeliveryApproval(delivery=row, approval_ref=approval_ref, stage=stage)
    DeliveryApproval.objects.bulk_create([asks], ignore_conflicts=True)


def _marks(group: str, people: Sequence[Person] | None, instead_of: Delivery | None) -> dict[str, Any]:
    marks = {
        "group": group or None,
        "people": None if people is None else [person.pk for person in people],
        "instead_of": instead_of.pk if instead_of else None,
    }
    return {name: value for name, value in marks.items() if value is not None}


def _insert(row: Delivery) -> bool:
    """Insert the row unless its key is there already; the unique constraint decides, whoever else posts at the same time."""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if Delivery.objects.filter(dedup_key=row.dedup_key).exists():
            return False
        raise
    return True


def key(wanted: str) -> str:
    """Return a dedup key as the column holds it: a long one is cut, and its hash keeps it unique."""
    if len(wanted) <= _KEY_LENGTH:
        return wanted
    return f"{wanted[:90]}#{hashlib.sha256(wanted.encode()).hexdigest()[:32]}"


def post_test(channel: Channel, who: str, now: datetime) -> list[Delivery]:
    """Post a test message by every way that the channel has; each has a delivery of its own to look at."""
    rows = []
    for address in selectors.addresses(channel, ()):
        title = _("测试消息：“%(name)s”可以收到") % {"name": channel.name}
        message = build(
            title, [_("%(who)s 在门户上点了测试。") % {"who": who}], "", selectors.form_of(channel, address.kind)
        )
        row = post(
            dedup_key=f"test:{channel.pk}:{address.part}:{now.timestamp():.3f}",
            kind=address.kind,
            event=selectors.TEST_EVENT,
            message=message,
            recipients=address.recipients,
            channel=channel,
            now=now,
        )
        rows += [row] if row else []
    return rows
