"""Who gets a message about an approval, and its row in the outbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from approvals import policies
from approvals.models import Approval, Asked
from fta.models import Person
from fta.models.engine import DbNow
from notify import outbox
from notify.message import Message
from notify.models import Channel, ChannelKind, Delivery, DeliveryApproval, DeliveryAttempt

ASKED, REMINDED, DECIDED = "approval.asked", "approval.reminded", "approval.decided"
STORM = "defense"  # the function of the incidents that a defence holds back


def receivers(approval: Approval) -> list[Person]:
    """Return the people whose turn it is and who have not answered, with the deputies of those on leave.

    A deputy who could not answer is told nothing: the requester, the package's author, whoever has answered already.
    """
    said = approval.decisions.values("user_id")
    waiting = Asked.objects.filter(approval=approval, stage=approval.stage).exclude(user_id__in=said)
    deputies = Q(person__user_id__in=waiting.values("user_id"), person__deputy_until__gt=DbNow())
    rows = Person.objects.active().filter(Q(user_id__in=waiting.values("user_id")) | deputies)
    rows = rows.annotate(asked=Exists(waiting.filter(user_id=OuterRef("user_id")))).select_related("user").distinct()
    people: list[Any] = list(rows)
    if all(person.asked for person in people):
        return people
    matter = policies.Matter.of(approval.execution, approval.created_at)
    barred = policies.excluded(approval.policy, matter) | set(said.values_list("user_id", flat=True))
    return [person for person in people if person.asked or person.user_id not in barred]


def wecom_ids(people: Sequence[Person]) -> list[str]:
    """Return the WeCom userids of people; service users have none."""
    return sorted({person.wecom_userid for person in people if person.wecom_userid})


def questions(approval_id: int) -> QuerySet[Delivery]:
    """Return the messages that ask about this one approval, or remind of it."""
    asks = Delivery.objects.filter(event__in=(ASKED, REMINDED), lane=Delivery.Lane.APPROVAL)
    return asks.filter(approval_ref=approval_id)


def asking(approval_id: int) -> QuerySet[Delivery]:
    """Return the messages that ask about this approval, also those that ask about others too."""
    asks = Delivery.objects.filter(event=ASKED, lane=Delivery.Lane.APPROVAL)
    return asks.filter(Q(approval_ref=approval_id) | Q(pk__in=_shared(approval_id).values("delivery_id")))


def asking_now(approval: Approval) -> QuerySet[Delivery]:
    """Return the messages that ask those whose turn it is: those of earlier stages asked others."""
    asks = asking(approval.pk)
    own = asks.filter(dedup_key__startswith=key_of(approval, f"s{approval.stage}")).order_by("pk").first()
    shared = _shared(approval.pk)
    alone = asks.exclude(pk__in=shared.values("delivery_id"))
    here = Q(pk__in=shared.filter(stage=approval.stage).values("delivery_id"))
    return asks.filter(here | Q(pk__in=(alone.filter(pk__gte=own.pk) if own else alone).values("pk")))


def _shared(approval_id: int) -> QuerySet[DeliveryApproval]:
    return DeliveryApproval.objects.filter(approval_ref=approval_id)


def approvals_of(delivery: Delivery) -> list[int]:
    """Return the ids of all approvals that a message speaks of."""
    also = [delivery.approval_ref] if delivery.approval_ref is not None else []
    return sorted({*also, *delivery.approvals.values_list("approval_ref", flat=True)})


def wanted(delivery: Delivery) -> bool:
    """Tell whether a message about approvals still speaks of one that can be answered; of a storm, whether any of it can."""
    told = Approval.objects.filter(pk__in=approvals_of(delivery))
    storms = told.filter(incident__function=STORM).values("incident")
    return not told.exists() or Approval.objects.in_time().filter(Q(pk__in=told) | Q(incident__in=storms)).exists()


@transaction.atomic
def call_off(asks: QuerySet[Delivery]) -> None:
    """Let what still waits to be sent end unsent: all that it asks about has ended. Locked in order: others lock many too."""
    waiting = asks.filter(state=Delivery.State.PENDING).select_for_update().order_by("pk")
    ids = list(waiting.values_list("pk", flat=True))
    rows = Delivery.objects.filter(pk__in=ids, state=Delivery.State.PENDING)
    rows.update(state=Delivery.State.SENT, last_error=_("发送前审批已有结果，未发送。"))


def card_holders(approval: Approval) -> list[str]:
    """Return the userids that the cards of an approval may have gone to, also of those who handed their turn over since."""
    cards = questions(approval.pk).filter(kind=ChannelKind.WECOM_APP, payload__message__form="approval_card")
    tried = Exists(DeliveryAttempt.objects.filter(delivery=OuterRef("pk")))
    cards = cards.exclude(~tried, state=Delivery.State.SENT, sent_at=None)  # called off
    return sorted({userid for recipients in cards.values_list("recipients", flat=True) for userid in recipients})


def mails(people: Sequence[Person]) -> list[str]:
    """Return the mail addresses of people who have one."""
    return sorted({person.user.email for person in people if person.user.email})


def without_wecom(people: Sequence[Person]) -> list[Person]:
    """Return those who are reached by mail or not at all."""
    return [person for person in people if not person.wecom_userid]


def post(
    approval: Approval,
    event: str,
    key: str,
    message: Message,
    to: Sequence[str],
    now: datetime,
    *,
    kind: str = ChannelKind.WECOM_APP,
    channel: Channel | None = None,
    not_before: datetime | None = None,
) -> Delivery | None:
    """Write a delivery, before all others in line; None when this key was posted before."""
    return outbox.post(
        dedup_key=key,
        kind=kind,
        event=event,
        message=message,
        recipients=to,
        channel=channel,
        lane=Delivery.Lane.APPROVAL,
        execution=approval.execution,
        approval_ref=approval.pk,
        now=now,
        not_before=not_before,
    )


def key_of(approval: Approval, part: str) -> str:
    """Return the key of one message about this round of an approval."""
    return f"approval:{approval.pk}:{approval.round}:{part}"
