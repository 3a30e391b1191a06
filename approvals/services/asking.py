"""Tell the people who are asked, and tell them how it ended: rows of the outbox, written with the change they tell of."""

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from approvals import messages, selectors
from approvals.models import Approval
from approvals.services import batching, storms
from approvals.services.posting import (
    ASKED,
    DECIDED,
    REMINDED,
    call_off,
    card_holders,
    key_of,
    mails,
    post,
    questions,
    receivers,
    wanted,
    wecom_ids,
    without_wecom,
)
from fta.models import Person
from notify.models import Channel, ChannelKind, Delivery
from notify.selectors import Address, addresses


def ask(approval: Approval, now: datetime, part: str = "", people: list[Person] | None = None) -> bool:
    """Post the request and the card to everybody whose turn it is, or to `people` only; of a storm one message per person.

    `part` tells apart what is sent about one approval: its stages, its escalation, a turn that was handed over.
    Returns whether there is anybody who can be written to.
    """
    people = receivers(approval) if people is None else people
    userids, addresses = wecom_ids(people), mails(without_wecom(people))
    if storm := storms.around(approval):
        storms.ask(storm, approval, people, now)
        return bool(userids or addresses)
    part, evidence = part or f"s{approval.stage}", selectors.evidence(approval)
    if userids:
        _ask_by_text(approval, part, userids, now)
    for start in range(0, len(userids), messages.MOST_READERS):  # a card of each thousand: WeCom takes its id once
        mine, some = f"{part}n{start}" if start else part, userids[start : start + messages.MOST_READERS]
        post(approval, ASKED, key_of(approval, f"{mine}:card"), messages.card(approval, evidence, mine), some, now)
    if addresses:
        mail = messages.as_mail(messages.card(approval, evidence, part))
        post(approval, ASKED, key_of(approval, f"{part}:mail"), mail, addresses, now, kind=ChannelKind.EMAIL)
    return bool(userids or addresses)


def _ask_by_text(approval: Approval, part: str, to: list[str], now: datetime) -> None:
    """Post the fixed text to those who are asked nothing else just now; to others it comes along with what else waits."""
    due = {userid: batching.due_at(userid, now) for userid in to}
    if first := [userid for userid, at in due.items() if at is None]:
        post(approval, ASKED, key_of(approval, f"{part}:text"), messages.request_text(approval), first, now)
    batching.join(approval, {userid: at for userid, at in due.items() if at is not None}, now)


def tell_end(approval: Approval, now: datetime) -> None:
    """Post the update of every card of this approval, and the answer to the system that asked. See tell_storm too."""
    if approval.callback_url and approval.state != Approval.State.SUPERSEDED:
        said = messages.callback(approval)
        post(approval, DECIDED, key_of(approval, "callback"), said, [], now, kind=ChannelKind.WEBHOOK)
    if storms.around(approval):
        return  # nobody got a card or a text about this one alone
    batching.leave(approval)
    call_off(questions(approval.pk))
    if to := card_holders(approval):
        post(approval, DECIDED, key_of(approval, f"end:{approval.state}"), messages.card_end(approval), to, now)


def tell_storm(approval: Approval) -> None:
    """Let the message of the storm that an ended approval belongs to tell of what is left; of many that ended, once is enough."""
    if storm := storms.around(approval):
        storms.tell_end(storm)


@transaction.atomic
def keep_open(delivery: Delivery) -> None:
    """Leave out of a question what has ended since it was written, and call it off when that is all of it.

    What ends while its question waits is left out at once; this is for what ended while the question was being sent, in vain.
    """
    data = delivery.payload["message"].get("data", {})
    if "asks" in data:
        batching.keep_open(delivery)
    elif not wanted(delivery):
        call_off(Delivery.objects.filter(pk=delivery.pk))


def remind(approval: Approval, now: datetime) -> None:
    """Remind those who have not answered by the policy's other channel; where it names none, by WeCom and by mail.

    A message that WeCom took may still have reached nobody, which is why one way is not enough. Of a storm everybody is
    reminded once in five minutes, not of each approval.
    """
    people = receivers(approval)
    storm = storms.around(approval)
    message = storms.reminder(storm) if storm else messages.reminder(approval)
    key = storms.reminder_key(storm, now) if storm else key_of(approval, "remind")
    name = approval.policy.remind_channel if approval.policy else ""
    channel = Channel.objects.filter(name=name, enabled=True, archived=False).first() if name else None
    for together in [[person] for person in people] if storm else [people]:
        for way in _ways(channel, together):
            said = replace(message, mentions=way.mentions)
            mine = f"{key}:{way.kind}:{batching.short('|'.join(way.recipients))}"
            post(approval, REMINDED, mine, said, way.recipients, now, kind=way.kind, channel=channel)


def _ways(channel: Channel | None, people: list[Person]) -> list[Address]:
    if channel:
        return addresses(channel, people)
    ways = [Address(ChannelKind.WECOM_APP, tuple(wecom_ids(people))), Address(ChannelKind.EMAIL, tuple(mails(people)))]
    return [way for way in ways if way.recipients]
