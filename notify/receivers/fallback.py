"""What is sent without a rule: failures to those who maintain the business, faults to admins, and a second way for approvals."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.translation import gettext as _

from fta import signals
from fta.models import Execution, Person
from notify import outbox, transports
from notify.message import Message
from notify.messages import Occasion
from notify.models import ChannelKind, Delivery
from notify.services import compose
from notify.services.judging import business_of


def mail_maintainers(occasion: Occasion, now: datetime) -> None:
    """Mail a failed execution to the maintainers of its business; without any, to admins."""
    run = occasion.execution
    if run is None or _switched_off(run):
        return
    mail_those_who_maintain(occasion, now)


def mail_those_who_maintain(occasion: Occasion, now: datetime) -> None:
    """Mail the maintainers of the business that the occasion belongs to; without any, the admins."""
    business = business_of(occasion)
    people = Person.objects.active().filter(maintains=business).select_related("user") if business else ()
    to = [person.user.email for person in people if person.user.email]
    _mail("maintainers", occasion, to or _admins(), now)


def mail_admins(occasion: Occasion, now: datetime) -> None:
    """Mail a fault that no rule covers to the portal's admins."""
    _mail("admins", occasion, _admins(), now)


def second_way(delivery: Delivery, now: datetime) -> None:
    """Mail what an approver was not reached with, and let the maintainers hear of a channel that does not work."""
    if delivery.lane == Delivery.Lane.APPROVAL and delivery.kind == ChannelKind.WECOM_APP:
        _mail_instead(delivery, delivery.recipients, now)
    if delivery.event != "system.fault":  # a fault of the channel that tells of faults would go round in circles
        way = str(delivery.channel or transports.label(delivery.kind))
        text = _("“%(way)s”发不出消息：%(error)s%(remedy)s") % {
            "way": way,
            "error": delivery.last_error,
            "remedy": delivery.remedy,
        }
        signals.announce(signals.system_fault, text=text, subject=f"channel:{delivery.channel_id or delivery.kind}")


def mail_the_missed(delivery: Delivery, userids: Sequence[str], now: datetime) -> None:
    """Mail an approver whom WeCom left out of a message that it sent to others."""
    if delivery.lane == Delivery.Lane.APPROVAL:
        _mail_instead(delivery, userids, now)


def _mail_instead(delivery: Delivery, userids: Sequence[str], now: datetime) -> None:
    message = Message.from_json(delivery.payload["message"])
    if not userids or message.form == "card_update" or _goes_with_a_card(delivery, message):
        return
    people = Person.objects.active().filter(wecom_userid__in=[name.casefold() for name in userids])
    to = sorted({person.user.email for person in people.select_related("user") if person.user.email})
    if not to:
        return
    lines = [message.text, *(f"{name}：{value}" for name, value in message.facts)]
    plain = replace(message, form="plain", text="\n".join(line for line in lines if line), buttons=())
    outbox.post(
        dedup_key=f"mail:{delivery.pk}",
        kind=ChannelKind.EMAIL,
        event=delivery.event,
        message=plain,
        recipients=to,
        lane=delivery.lane,
        alert=delivery.alert,
        execution=delivery.execution,
        approval_ref=delivery.approval_ref,
        now=now,
    )


def _goes_with_a_card(delivery: Delivery, message: Message) -> bool:
    """Tell whether this is the text that comes with each approval card: the card says more, and is mailed when it fails."""
    return delivery.event == "approval.asked" and message.form == "text"


def _mail(who: str, occasion: Occasion, to: Iterable[str], now: datetime) -> None:
    addresses = sorted(set(to))
    if not addresses:
        return
    outbox.post(
        dedup_key=f"{who}:{occasion.event}:{occasion.key}",
        kind=ChannelKind.EMAIL,
        event=occasion.event,
        message=compose(occasion, ChannelKind.EMAIL, "plain", now),
        recipients=addresses,
        alert=occasion.alert,
        execution=occasion.execution,
        now=now,
    )


def _switched_off(run: Execution) -> bool:
    return run.rule is not None and not run.rule.mails_maintainers


def _admins() -> list[str]:
    admins = User.objects.filter(Q(is_superuser=True) | Q(groups__name="admin"), is_active=True).exclude(email="")
    return list(admins.values_list("email", flat=True).distinct())
