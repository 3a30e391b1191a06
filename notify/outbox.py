"""The outbox: a message becomes a row, in the transaction of what it announces. Sending is the engine's work."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from fta.engine import doorbell
from fta.models import Alert, Execution, Person
from notify import selectors
from notify.message import Message
from notify.models import Channel, Delivery
from notify.services import build

_KEY_LENGTH = 128


def post(
    *,
    dedup_key: str,
    kind: str,
    event: str,
    message: Message,
    recipients: Sequence[str] = (),
    channel: Channel | None = None,
    lane: int = Delivery.Lane.NORMAL,
    alert: Alert | None = None,
    execution: Execution | None = None,
    approval_ref: int | None = None,
    now: datetime,
    not_before: datetime | None = None,
    group: str = "",
    people: Sequence[Person] | None = None,
    instead_of: Delivery | None = None,
) -> Delivery | None:
    """Write a delivery and ring for it when the transaction commits; None when this `dedup_key` was posted before.

    `kind` is a key of NOTIFY_TRANSPORTS. `recipients` are what that transport addresses: WeCom userids, mail addresses,
    the name of one robot group; empty means those that the channel's configuration names.
    Deliveries of one `group` that wait at the same time are sent as one message.
    `people` are those whom the sender named; where the kind reaches none of them, the delivery fails instead of going to the
    channel's own. `instead_of` is the delivery that did not get through before this one.
    """
    row = Delivery(
        dedup_key=key(dedup_key),
        kind=kind,
        event=event,
        payload={"message": message.to_json()} | _marks(group, people, instead_of),
        recipients=list(recipients),
        channel=channel,
        lane=lane,
        alert=alert,
        execution=execution,
        approval_ref=approval_ref,
        created_at=now,
        not_before=not_before,
    )
    if not _insert(row):
        return None
    doorbell.ring("delivery", row.pk)
    return row


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
