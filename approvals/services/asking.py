"""Tell the people who are asked, and tell them how it ended: rows of the outbox, written with the change they tell of."""

from datetime import datetime, timedelta

from django.db.models import Q

from approvals import messages, selectors
from approvals.models import Approval, Asked
from approvals.services import batching
from fta.models import Incident, Person
from fta.models.engine import DbNow
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery

STORM_FUNCTION = "defense"
STORM_EVERY = timedelta(minutes=5)


def receivers(approval: Approval) -> list[Person]:
    """Return the people whose turn it is and who have not answered, with the deputies of those on leave."""
    asked = Asked.objects.filter(approval=approval, stage=approval.stage)
    said = approval.decisions.filter(stage=approval.stage).values("user_id")
    waiting = asked.exclude(user_id__in=said).values("user_id")
    deputies = Q(person__user_id__in=waiting, person__deputy_until__gt=DbNow())
    return list(Person.objects.active().filter(Q(user_id__in=waiting) | deputies).select_related("user").distinct())


def wecom_ids(people: list[Person]) -> list[str]:
    """Return the WeCom userids of people; service users have none."""
    return sorted({person.wecom_userid for person in people if person.wecom_userid})


def ask(approval: Approval, now: datetime, part: str = "", people: list[Person] | None = None) -> None:
    """Post the request and the card to everybody whose turn it is, or to `people` only; of a storm one message per person.

    `part` tells apart what is sent about one approval: its stages, its escalation, a turn that was handed over.
    """
    if in_storm(approval):
        _ask_storm(approval, now)
        return
    part = part or f"s{approval.stage}"
    people = receivers(approval) if people is None else people
    card = messages.card(approval, selectors.evidence(approval), part)
    if to := wecom_ids(people):
        _ask_by_text(approval, part, to, now)
        _post(approval, f"{part}:card", card, to, now)
    # Whoever has no WeCom account is asked by mail; service users have neither.
    if mails := sorted({p.user.email for p in people if p.user.email and not p.wecom_userid}):
        _post(approval, f"{part}:mail", messages.as_mail(card), mails, now, kind="email")


def _ask_by_text(approval: Approval, part: str, to: list[str], now: datetime) -> None:
    """Post the fixed text to those who are asked nothing else just now; to others it comes along with what else waits."""
    first = batching.first_asked(to, now)
    if first:
        _post(approval, f"{part}:text", messages.request_text(approval), first, now)
    for userid in to:
        if userid not in first:
            batching.join(approval, userid, now)


def tell_end(approval: Approval, now: datetime) -> None:
    """Post the update of every card of this approval, and the answer to the system that asked."""
    batching.leave(approval)
    if approval.callback_url and approval.state != Approval.State.SUPERSEDED:
        _post(approval, "callback", messages.callback(approval), [], now, kind="webhook")
    everybody = Person.objects.filter(user_id__in=approval.asked.values("user_id"))
    to = wecom_ids(list(everybody))
    if to and not in_storm(approval):
        _post(approval, f"end:{approval.state}", messages.card_end(approval), to, now)


def remind(approval: Approval, now: datetime) -> None:
    """Post the reminder by the policy's other channel; without one, by the application again."""
    people = receivers(approval)
    name = approval.policy.remind_channel if approval.policy else ""
    channel = Channel.objects.filter(name=name, enabled=True, archived=False).first() if name else None
    message = messages.reminder(approval)
    if channel is None:
        if to := wecom_ids(people):
            _post(approval, "remind", message, to, now)
        return
    mails = [person.user.email for person in people if person.user.email]
    to = {"email": mails, "wecom_app": wecom_ids(people)}.get(channel.kind, [])
    _post(approval, "remind", message, to, now, kind=channel.kind, channel=channel)


def in_storm(approval: Approval) -> bool:
    """Tell whether the approval is one of many that a defence holds back."""
    return approval.incident is not None and approval.incident.function == STORM_FUNCTION


def _ask_storm(approval: Approval, now: datetime) -> None:
    """Post one message per person and incident, then at most one update in five minutes while it grows."""
    incident = approval.incident
    if incident is None:
        return
    message = _storm_message(incident)
    slot = int((now - incident.opened_at) / STORM_EVERY)
    for userid in wecom_ids(receivers(approval)):
        first = f"incident:{incident.pk}:{batching.short(userid)}"
        if _post(approval, "", message, [userid], now, key=first) is None:
            later = incident.opened_at + STORM_EVERY * (slot + 1)
            update = f"{first}:{slot + 1}"
            if _post(approval, "", message, [userid], now, key=update, not_before=later) is None:
                # It waits for its time; until then it keeps telling the latest count.
                waiting = Delivery.objects.filter(dedup_key=update, state=Delivery.State.PENDING)
                waiting.update(payload={"message": message.to_json()})


def _storm_message(incident: Incident) -> Message:
    waiting = Approval.objects.filter(incident=incident, state=Approval.State.PENDING)
    rows = list(
        waiting.order_by("id").values_list("execution__alert_type", "execution__host__ip", "execution__package__name")[
            :50
        ]
    )
    types, hosts, packages = (list(dict.fromkeys(str(v) for v in column if v)) for column in zip(*rows, strict=True))
    return messages.storm(incident, waiting.count(), types, hosts, "、".join(packages))


def _post(
    approval: Approval,
    part: str,
    message: Message,
    to: list[str],
    now: datetime,
    *,
    kind: str = "wecom_app",
    channel: Channel | None = None,
    key: str = "",
    not_before: datetime | None = None,
) -> Delivery | None:
    ended = approval.state != Approval.State.PENDING
    return outbox.post(
        dedup_key=key or f"approval:{approval.pk}:{approval.round}:{part}",
        kind=kind,
        event=f"approval.{'decided' if ended else 'reminded' if part == 'remind' else 'asked'}",
        message=message,
        recipients=to,
        channel=channel,
        lane=Delivery.Lane.APPROVAL,
        execution=approval.execution,
        approval_ref=approval.pk,
        now=now,
        not_before=not_before,
    )
