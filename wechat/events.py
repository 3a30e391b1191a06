"""What a member's message or event does: once, in the transaction that remembers it."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from fta import audit
from fta.models import Person
from notify import outbox
from notify.message import Message as Outgoing
from notify.models import Delivery
from wechat import commands, messages
from wechat.commands.execute import decide
from wechat.models import WecomApp, WecomEvent
from wechat.xml import Message

_SILENT = ""
_LONGEST_WAY = 600  # seconds from the phone to here; what claims to be older is refused at the entry
MAX_DIGITS = 18  # of an id, which the database keeps in 64 bits


def identity(message: Message) -> str:
    """Return what WeCom's repeats of one message have in common.

    Messages have an id; for events the vendor names sender and second, which two presses of one card share: the rest of the
    event tells them apart. Timestamp and nonce do not count, each repeat has its own.
    """
    if message.msg_id.isdecimal() and len(message.msg_id) <= 32:
        return f"msg:{message.msg_id}"
    parts = (
        message.from_user.casefold(),
        str(message.create_time),
        message.event,
        message.event_key,
        message.task_id,
        message.response_code,
        message.content,
    )
    return "event:" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def receive(app: WecomApp, message: Message, now: datetime) -> bool:
    """Take one message: remember it, do what it asks, post the answer. A repeat does nothing and returns False."""
    key = identity(message)
    with transaction.atomic():
        row = _remember(app, message, key, now)
        if row is None:
            return False
        text = _effect(message, now)
        WecomEvent.objects.filter(pk=row.pk).update(outcome=text)
        if text:
            _answer(app, message, key, text, now)
    return True


def _remember(app: WecomApp, message: Message, key: str, now: datetime) -> WecomEvent | None:
    try:
        with transaction.atomic():
            return WecomEvent.objects.create(
                corp=app.corp_id,
                agent=str(app.agent_id or ""),
                event_key=key,
                kind=(message.event or message.msg_type)[:64],
                from_user=message.from_user[:64],
                data=_kept(message),
                received_at=now,
            )
    except IntegrityError:
        return None


def _kept(message: Message) -> dict[str, Any]:
    """Return what is kept of a message; the response code is a credential and stays out."""
    kept = {
        "create_time": message.create_time,
        "event_key": message.event_key,
        "task_id": message.task_id,
        "content": message.content,
    }
    return {name: value for name, value in kept.items() if value}


def _effect(message: Message, now: datetime) -> str:
    """Do what the message asks and return the text of the answer, "" for none."""
    if message.msg_type == "event" and message.event not in ("template_card_event", "click", "subscribe"):
        return _SILENT  # opening the application, leaving it, and whatever WeCom adds
    person = Person.objects.by_wecom(message.from_user).select_related("user").first()
    if person is None:
        _audit_unknown(message, now)
        return messages.not_registered(message.from_user)
    if message.event == "template_card_event":
        return _press(message, person, now)
    if message.event == "subscribe":
        return messages.welcome()
    if message.event == "click":
        return commands.answer("待办" if message.event_key == "PENDING" else "帮助", person, now)
    if message.msg_type != "text":
        return messages.only_text()
    return commands.answer(message.content, person, now, _written_at(message, now))


def _written_at(message: Message, now: datetime) -> datetime:
    """Return when a message was written, for all that is known: WeCom tells whole seconds."""
    age = now.timestamp() - (message.create_time + 1)
    return now - timedelta(seconds=min(max(age, 0.0), _LONGEST_WAY))


def _audit_unknown(message: Message, now: datetime) -> None:
    """Audit an answer that somebody gave whom the portal does not know, or no longer."""
    answers = commands.answers_in(message.content) if message.msg_type == "text" else _pressed(message)
    for approval_id, answer in answers:
        audit.record(
            message.from_user.casefold()[:64], "approval.decide_refused", ("approvals.approval", str(approval_id)), now,
            answer=answer, channel="reply" if message.msg_type == "text" else "card", why="not_registered",
        )  # fmt: skip


def _pressed(message: Message) -> list[tuple[int, str]]:
    """Return (approval id, answer) of the button that was pressed; nothing for a button that this portal did not draw."""
    verb, _colon, number = message.event_key.partition(":")
    known = verb in ("approve", "refuse") and number.isdecimal() and len(number) <= MAX_DIGITS
    return [(int(number), verb)] if known else []


def _press(message: Message, person: Person, now: datetime) -> str:
    """Decide by a button; its key names the answer and the approval. A new round of asking is a new approval."""
    for approval_id, answer in _pressed(message):
        return decide(approval_id, person, "approve" if answer == "approve" else "refuse", "", "card", now)
    return messages.failed(messages.unknown_button())


def _answer(app: WecomApp, message: Message, key: str, text: str, now: datetime) -> None:
    outbox.post(
        dedup_key=f"reply:{app.pk}:{key}",
        kind="wecom_app",
        event="reply",
        message=Outgoing(
            form="text", text=text, data={"app": app.name}
        ),  # there, and not where the writer may not look
        recipients=[message.from_user.casefold()],
        lane=Delivery.Lane.APPROVAL,
        now=now,
    )
