"""What is sent without a rule: failures to those who maintain the business, faults to admins, and a second way when one fails."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.translation import gettext as _

from fta import signals
from fta.models import Execution, Person
from notify import outbox, selectors, transports
from notify.message import Message, as_text
from notify.messages import Occasion, shape
from notify.models import Channel, ChannelKind, Delivery
from notify.selectors import TEST_EVENT, listed
from notify.services import compose
from notify.services.judging import business_of

FAULT = "system.fault"
_COMPANY = timedelta(seconds=20)


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
    """Tell by another way what was not delivered, and let those hear who can mend the channel."""
    _tell_instead(delivery, _meant(delivery), now)
    if delivery.event == FAULT:  # to tell of that by a rule again would go round in circles
        _mail_again(delivery, _message_of(delivery), "admins", _admins(), now)
        return
    way = str(delivery.channel or transports.label(delivery.kind))
    text = _("“%(way)s”发不出消息：%(error)s%(remedy)s") % {
        "way": way,
        "error": delivery.last_error,
        "remedy": delivery.remedy,
    }
    about = f"channel:{delivery.channel_id or delivery.kind}{':nobody' if delivery.to_nobody else ''}"
    signals.announce(signals.system_fault, text=text, subject=about)


def tell_the_missed(delivery: Delivery, userids: Sequence[str], now: datetime) -> None:
    """Tell by another way those whom WeCom left out of a message that it sent to others."""
    _tell_instead(delivery, _by_account(userids), now)


def _tell_instead(delivery: Delivery, people: list[Person], now: datetime) -> None:
    """Post what these people did not get by the channel's fallback, once; without one, or when that fails too, mail them."""
    message = _message_of(delivery)
    if message is None or delivery.event == TEST_EVENT or message.form == "card_update":
        return
    if _goes_with_a_card(delivery, message):
        return
    other = _fallback_of(delivery)
    if other is None:
        _mail_again(delivery, message, "mail", [person.user.email for person in people], now)
        return
    # What was for the channel's own receivers goes to those of the other.
    named = people if "people" in delivery.payload else None
    for address in selectors.addresses(other, named or ()):
        outbox.post(
            **_same(delivery, now),
            dedup_key=f"instead:{delivery.pk}:{address.part}",
            kind=address.kind,
            message=replace(_in_words(message), mentions=address.mentions),
            recipients=address.recipients,
            channel=other,
            people=named,
        )


def _message_of(delivery: Delivery) -> Message | None:
    try:
        return Message.from_json(delivery.payload["message"])
    except ValueError:  # of another version of the portal: that it failed is told all the same
        return None


def _fallback_of(delivery: Delivery) -> Channel | None:
    """Return the channel that stands in for the delivery's; one that stands in has none itself, so that nothing goes round."""
    other = delivery.channel.fallback if delivery.channel else None
    stands_in = "instead_of" in delivery.payload
    return other if other and other.enabled and not other.archived and not stands_in else None


def _meant(delivery: Delivery) -> list[Person]:
    """Return the people whom a delivery was for, as far as the portal knows them."""
    if "people" in delivery.payload:
        return list(Person.objects.active().filter(pk__in=delivery.payload["people"]).select_related("user"))
    if delivery.kind != ChannelKind.WECOM_APP:
        return []
    own = listed(delivery.channel.config.get("to_user")) if delivery.channel else []
    return _by_account(delivery.recipients or own)


def _by_account(userids: Sequence[str]) -> list[Person]:
    names = [str(name).casefold() for name in userids]
    return list(Person.objects.active().filter(wecom_userid__in=names).select_related("user"))


def _mail_again(delivery: Delivery, message: Message | None, who: str, to: Iterable[str], now: datetime) -> None:
    """Mail the message of a delivery that failed; what failed as a mail is not mailed again."""
    addresses = sorted({address for address in to if address})
    if message is None or not addresses or delivery.kind == ChannelKind.EMAIL:
        return
    outbox.post(
        **_same(delivery, now),
        dedup_key=f"{who}:{delivery.payload.get('instead_of', delivery.pk)}",  # once, by however many ways it failed
        kind=ChannelKind.EMAIL,
        message=_in_words(message),
        recipients=addresses,
    )


def _same(delivery: Delivery, now: datetime) -> dict[str, Any]:
    """Return what a second delivery has of the first; but for approvals it waits a little: many failures become one digest."""
    urgent = delivery.lane == Delivery.Lane.APPROVAL
    return {
        "event": delivery.event,
        "lane": delivery.lane,
        "alert": delivery.alert,
        "execution": delivery.execution,
        "approval_ref": delivery.approval_ref,
        "instead_of": delivery,
        "not_before": None if urgent else now + _COMPANY,
        "now": now,
    }


def _in_words(message: Message) -> Message:
    """Return a message as any channel can carry it: its marks, facts and link in plain words."""
    text = shape.plain(message.text) if message.form == "markdown" else as_text(message)
    lines = [text, *(f"{name}：{value}" for name, value in message.facts)]
    if message.url and message.url not in text:
        lines.append(message.url)
    return replace(message, form="plain", text="\n".join(line for line in lines if line), buttons=(), data={})


def _goes_with_a_card(delivery: Delivery, message: Message) -> bool:
    """Tell whether this is the text that comes with each approval card: the card says more, and is told again when it fails."""
    asks = delivery.event == "approval.asked" and delivery.channel_id is None  # else a notification rule tells of it
    return asks and message.form == "text"


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
