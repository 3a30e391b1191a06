"""Deliveries handed to their transport, as the outbox and the engine would."""

from typing import Any

from django.utils import timezone

from notify import outbox, transports
from notify.message import Message
from notify.models import Channel, Delivery
from notify.transports import base


def row(message: Message, *to: str, kind: str = "wecom_app", **more: Any) -> Delivery:
    made = outbox.post(
        dedup_key=f"test:{Delivery.objects.count()}", kind=kind, event="test", message=message,
        recipients=to, now=timezone.now(), **more,
    )  # fmt: skip
    assert made is not None
    return made


def channel(kind: str, **config: Any) -> Channel:
    return Channel.objects.create(name=kind, kind=kind, config=config)


def send(delivery: Delivery) -> base.Receipt:
    return transports.get(delivery.kind).send(delivery, Message.from_json(delivery.payload["message"]))
