"""What becomes of a delivery after a try: sent, tried again, failed or unknown; and the health of its channel."""

import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.dispatch import Signal
from django.utils.translation import gettext as _

from fta.engine import doorbell
from fta.engine.claim import finish
from fta.lib.secrets import redact
from fta.models import Person
from fta.models.engine import DbNow, NotInState, move
from fta.signals import announce, system_fault
from notify import transports
from notify.models import Channel, Delivery, DeliveryAttempt
from notify.transports.base import REFUSED, UNKNOWN, OutcomeUnknown, Receipt, TransportError

logger = logging.getLogger(__name__)
State = Delivery.State

MAX_TRIES = 5
FIRST_PAUSE = 5.0  # seconds; doubled at each try
_TEXT_LIMIT = 8000

delivery_leaves = Signal()  # delivery: a question that is about to be sent; it may still be written anew or called off
delivery_failed = Signal()  # delivery: it ended failed or unknown; a second way may be tried
people_missed = Signal()  # delivery, userids: it was sent, but these did not get it


def sent(row: Delivery, fence: int, receipt: Receipt, now: datetime) -> None:
    """Record that the message went out; the caller's transaction."""
    fields = {"sent_at": now, "provider": dict(receipt.provider), "last_code": "", "remedy": receipt.remedy}
    finish(Delivery, row.pk, fence, State.SENDING, State.SENT, last_error=receipt.note, **fields)
    _end_attempt(row, now, "sent", receipt.request, receipt.answer)
    if row.channel_id:
        Channel.objects.filter(pk=row.channel_id).update(last_ok_at=now, last_error="")
    if receipt.missed is not None and row.recipients:
        _mark(row, receipt.missed, now)
    if receipt.missed:
        announce(people_missed, delivery=row, userids=list(receipt.missed))
    if receipt.fault:
        text = _("“%(way)s”的消息：%(fault)s") % {"way": row.channel or row.kind, "fault": receipt.fault}
        announce(system_fault, text=text, subject=f"channel:{row.channel_id or row.kind}:groups")


def _mark(row: Delivery, missed: Sequence[str], now: datetime) -> None:
    """Note on people whether WeCom reaches them, so that the page of people shows it before it matters."""
    asked = [str(userid).casefold() for userid in row.recipients]
    people = Person.objects.filter(wecom_userid__in=asked)
    people.filter(wecom_userid__in=missed, unreached_at=None).update(unreached_at=now)
    people.exclude(wecom_userid__in=missed).exclude(unreached_at=None).update(unreached_at=None)


def failed(row: Delivery, fence: int, error: TransportError, now: datetime) -> None:
    """Record a try that did not get through, and when the next one is."""
    to = _next_state(row, error)
    fields: dict[str, Any] = {
        "last_code": error.code[:32],
        "last_error": redact(error.text),
        "remedy": redact(error.remedy),
    }
    if error.retry_after is not None and to == State.PENDING:
        fields["attempts"] = F("attempts") - 1
    with transaction.atomic():
        finish(Delivery, row.pk, fence, State.SENDING, to, not_before=_again_at(row, error, to), **fields)
        _end_attempt(row, now, error.outcome, error.request, error.answer or error.text)
        if row.channel_id and not row.to_nobody:  # that is not the channel's fault
            health = {"last_failed_at": now, "last_error": redact(error.text)}
            Channel.objects.filter(pk=row.channel_id).update(**health)
        if error.nobody:
            _mark(row, [str(userid).casefold() for userid in row.recipients], now)
        if error.retry_after is not None and not error.alone:
            _hold_back(row, error.retry_after)
        if to in (State.FAILED, State.UNKNOWN):
            _tell(row)


def reap(row: Delivery, now: datetime) -> None:
    """Settle a delivery whose sender died: sent again where a second copy is harmless, else unknown."""
    lapsed = Q(lease_until__lt=DbNow())
    again = row.kind and _idempotent(row.kind) and row.attempts < MAX_TRIES
    to = State.PENDING if again else State.UNKNOWN
    text = _("发送途中进程中断，没有应答。")
    remedy = "" if again else _("向收件人确认是否收到，没有收到则重发。")
    with transaction.atomic():
        try:
            move(Delivery, row.pk, State.SENDING, to, lapsed, lease_until=None, last_error=text, remedy=remedy)
        except NotInState:
            return  # somebody else was here first
        _end_attempt(row, now, UNKNOWN, "", text)
        if again:
            doorbell.ring("delivery", row.pk)
        else:
            _tell(row)


def _next_state(row: Delivery, error: TransportError) -> str:
    if error.outcome == REFUSED:
        return State.FAILED
    if error.outcome == UNKNOWN and not _idempotent(row.kind):
        return State.UNKNOWN
    if error.retry_after is not None or row.attempts < min(MAX_TRIES, error.max_tries or MAX_TRIES):
        return State.PENDING
    return State.UNKNOWN if isinstance(error, OutcomeUnknown) else State.FAILED


def _idempotent(kind: str) -> bool:
    try:
        return transports.get(kind).idempotent
    except KeyError:
        return False


def _again_at(row: Delivery, error: TransportError, to: str) -> object:
    if to != State.PENDING:
        return None
    pause = FIRST_PAUSE * 2 ** (row.attempts - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    return DbNow() + timedelta(seconds=error.retry_after if error.retry_after is not None else pause)


def _hold_back(row: Delivery, seconds: float) -> None:
    """Spare the far side what it would refuse: while it is over its limit, all that goes the same way waits."""
    same = Delivery.objects.filter(state=State.PENDING, kind=row.kind, channel=row.channel)
    if row.kind == "wecom_robot":  # each robot has a limit of its own
        same = same.filter(recipients=row.recipients)
    same.filter(Q(not_before=None) | Q(not_before__lte=DbNow())).update(not_before=DbNow() + timedelta(seconds=seconds))


def _end_attempt(row: Delivery, now: datetime, result: str, request: str, answer: str) -> None:
    DeliveryAttempt.objects.filter(delivery=row, ended_at=None).update(
        ended_at=now, outcome=result, request=redact(request)[:_TEXT_LIMIT], answer=redact(answer)[:_TEXT_LIMIT]
    )


def _tell(row: Delivery) -> None:
    logger.warning("Delivery %s of %s did not get through", row.pk, row.event)
    announce(delivery_failed, delivery=Delivery.objects.select_related("channel").get(pk=row.pk))
