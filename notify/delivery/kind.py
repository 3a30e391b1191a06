"""The work kind of deliveries."""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.engine.claim import LostLease, NotClaimed, beating, claim, lapsed
from fta.models.engine import DbNow
from fta.signals import announce
from notify import transports
from notify.delivery import limits, outcome
from notify.delivery.digest import absorb, followers, note
from notify.message import Message
from notify.models import Delivery, DeliveryAttempt
from notify.transports.base import Refused, Transport, TransportError

logger = logging.getLogger(__name__)
State = Delivery.State


class DeliveryKind:
    """Approvals first, then the oldest; a sender that died is found by its lapsed lease."""

    name = "delivery"
    lane = "notify"

    def due(self, limit: int, now: datetime) -> list[int]:
        ready = Delivery.objects.filter(Q(not_before=None) | Q(not_before__lte=DbNow()), state=State.PENDING)
        orphans = lapsed(Delivery, State.SENDING, limit)
        return orphans + list(ready.order_by("lane", "id").values_list("pk", flat=True)[: limit - len(orphans)])

    def do(self, pk: int) -> None:
        row = Delivery.objects.select_related("channel").filter(pk=pk).first()
        now = timezone.now()
        if row is None or row.state not in (State.PENDING, State.SENDING):
            return
        if row.state == State.SENDING:
            outcome.reap(row, now)
            return
        if row.lane == Delivery.Lane.APPROVAL:
            announce(outcome.delivery_leaves, delivery=row)
        try:
            fence = _claim(row, now)
        except (NotClaimed, limits.LimitReached):
            return
        try:
            _send(row, fence)
        except LostLease:
            logger.warning("Delivery %s was taken over while it was being sent", pk)


def _claim(row: Delivery, now: datetime) -> int:
    """Take the delivery and its share of the limits, and note the try; all of it is committed before the call."""
    try:
        with transaction.atomic():
            fence = claim(Delivery, row.pk, State.PENDING, State.SENDING, attempts=F("attempts") + 1)
            # The message too: it may have been written anew since it was read, and from here on nobody does that.
            row.refresh_from_db(fields=["attempts", "fence", "state", "payload"])
            limits.take(row, transports.parts(row), now)
            DeliveryAttempt.objects.create(delivery=row, number=row.attempts, started_at=now)
            return fence
    except limits.LimitReached as reached:
        limits.postpone(row, reached.seconds)
        raise


def _send(row: Delivery, fence: int) -> None:
    group = followers(row)
    try:
        transport, message = _prepare(row)
        if group:
            message = note(message, group)
        with beating(Delivery, row.pk, fence, State.SENDING):
            receipt = transport.send(row, message)
    except TransportError as error:
        outcome.failed(row, fence, error, timezone.now())
        return
    with transaction.atomic():
        outcome.sent(row, fence, receipt, timezone.now())
        absorb(row, group, timezone.now())


def _prepare(row: Delivery) -> tuple[Transport, Message]:
    """Load what is needed to send; raises Refused when it cannot be sent at all."""
    if row.to_nobody:
        remedy = _("给这些人填企业微信账号或邮箱，或另选接收人；之后的消息就能送达。")
        raise Refused(_("指定的接收人里没有一个能由这个通知服务送达。"), remedy=remedy)
    if row.channel and (row.channel.archived or not row.channel.enabled):
        raise Refused(_("通知服务“%(name)s”已停用。") % {"name": row.channel}, remedy=_("启用后重发。"))
    try:
        return transports.get(row.kind), Message.from_json(row.payload["message"])
    except KeyError as error:
        raise Refused(
            _("没有“%(kind)s”这种通知方式。") % {"kind": row.kind}, remedy=_("检查 NOTIFY_TRANSPORTS。")
        ) from error
    except ValueError as error:
        remedy = _("这条投递来自另一个版本的门户，重发也没有用；看它所属的告警或执行。")
        raise Refused(_("消息内容无法识别：%(error)s") % {"error": error}, remedy=remedy) from error
