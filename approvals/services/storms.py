"""A storm that a defence holds back: many approvals, each of its own, and few messages about all of them.

Everybody who is asked gets one message, then at most one update in five minutes while the storm grows.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet

from approvals import messages
from approvals.models import Approval, ApprovalQuerySet
from approvals.services.batching import short
from approvals.services.posting import ASKED, STORM, call_off, mails, post, wecom_ids, without_wecom
from fta.models import Incident, Package, Person
from notify import outbox
from notify.message import Message
from notify.models import ChannelKind, Delivery

EVERY = timedelta(minutes=5)
_LOOKED_AT = 50  # approvals whose types, hosts and packages a message names


def around(approval: Approval) -> Incident | None:
    """Return the storm that the approval belongs to, None for an approval of its own."""
    incident = approval.incident
    return incident if incident is not None and incident.function == STORM else None


def ask(storm: Incident, approval: Approval, people: list[Person], now: datetime) -> None:
    """Post the message to everybody who has none yet, an update to the others."""
    message = _message(storm)
    _lock(storm)
    ways = [(userid, ChannelKind.WECOM_APP) for userid in wecom_ids(people)]
    ways += [(address, ChannelKind.EMAIL) for address in mails(without_wecom(people))]
    for to, kind in ways:
        for row in _ask_one(storm, approval, message, to, kind, now):
            outbox.share(row, approval.pk, approval.stage)


def _ask_one(
    storm: Incident, approval: Approval, message: Message, to: str, kind: str, now: datetime
) -> Iterable[Delivery]:
    """Post what tells one person of an approval, or let what waits for them tell of it too; return it."""
    first = f"{_prefix(storm)}{short(to)}"
    if told := post(approval, ASKED, first, message, [to], now, kind=kind):
        return [told]
    slot = _slot(storm, now) + 1
    update, later = f"{first}:{slot}", storm.opened_at + EVERY * slot
    if told := post(approval, ASKED, update, message, [to], now, kind=kind, not_before=later):
        return [told]
    waiting = _waiting(storm).filter(dedup_key__startswith=f"{first}:")
    if waiting.update(payload={"message": message.to_json()}):
        return waiting
    # This slot's update has left already, or nothing was left for it to tell: nobody would learn of this approval.
    last = Delivery.objects.filter(dedup_key__startswith=first, recipients=[to]).aggregate(last=Max("sent_at"))["last"]
    later = max(later, last + EVERY) if last else later
    extra = post(approval, ASKED, f"{update}:{approval.pk}", message, [to], now, kind=kind, not_before=later)
    return [extra] if extra else []


def tell_end(storm: Incident) -> None:
    """Let what still waits to be sent tell of what is left, and of nothing when all is decided."""
    if not _lock(storm):
        return
    if _pending(storm).exists():
        _waiting(storm).update(payload={"message": _message(storm).to_json()})
    else:
        call_off(_waiting(storm))


def _lock(storm: Incident) -> list[int]:
    """Lock what waits to be sent by its ids, as everybody does who writes several of them; return the ids."""
    return list(_waiting(storm).select_for_update().order_by("pk").values_list("pk", flat=True))


def reminder(storm: Incident) -> Message:
    """Return the reminder of all that still waits, in the form that any channel can carry."""
    return messages.storm_reminder(storm, _pending(storm).count())


def reminder_key(storm: Incident, now: datetime) -> str:
    """Return the key of a reminder: the same for all approvals of the storm whose half time is near."""
    return f"reminder:{storm.pk}:{_slot(storm, now)}"


def _prefix(storm: Incident) -> str:
    return f"incident:{storm.pk}:"


def _slot(storm: Incident, now: datetime) -> int:
    return int((now - storm.opened_at) / EVERY)


def _pending(storm: Incident) -> ApprovalQuerySet:
    return Approval.objects.filter(incident=storm, state=Approval.State.PENDING)


def _waiting(storm: Incident) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        dedup_key__startswith=_prefix(storm), lane=Delivery.Lane.APPROVAL, state=Delivery.State.PENDING
    )


def _message(storm: Incident) -> Message:
    names = ("execution__alert_type", "execution__host__ip", "execution__package__name", "execution__package__risk")
    rows = list(_pending(storm).order_by("id").values_list(*names)[:_LOOKED_AT])
    types, hosts = (list(dict.fromkeys(str(row[column]) for row in rows if row[column])) for column in (0, 1))
    packages = dict.fromkeys(f"{name}（{Package.Risk(risk).label}）" for _type, _host, name, risk in rows if name)
    return messages.storm(storm, _pending(storm).count(), types, hosts, list(packages))
