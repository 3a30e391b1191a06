"""Let somebody else answer: for one approval, or for the time that one is away."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from approvals import policies
from approvals.models import Approval, Asked
from approvals.services import ending, seating
from approvals.services.refusals import CannotTakeOver, NotApprover
from fta import audit
from fta.models import Person


@transaction.atomic
def hand_over(approval_id: int, user: User, to: Person, now: datetime) -> Approval:
    """Give one's turn in the present stage to another active person, who is asked at once.

    Raises CannotTakeOver, and what `decide` raises for somebody who may not answer, has answered or comes too late.
    """
    approval = ending.lock(approval_id)
    seat = seating.own(approval, user)
    if seat is None:
        raise NotApprover(approval)
    said = set(approval.decisions.values_list("user_id", flat=True))
    seating.object_to(approval, seat, user, said)
    barred = policies.excluded(approval.policy, policies.Matter.of(approval.execution, now))
    if not Person.objects.active().filter(pk=to.pk).exists() or to.user_id in barred | said:
        raise CannotTakeOver(approval, _("%(who)s 不能审批 %(code)s") % {"who": to.name, "code": approval.code})
    if approval.asked.filter(stage=approval.stage, user_id=to.user_id).exists():
        raise CannotTakeOver(approval, _("%(who)s 已是审批人") % {"who": to.name})
    Asked.objects.filter(pk=seat.pk, user=user).update(user=to.user, why=policies.handed("delegate", seat))
    audit.record(
        user.get_username(), "approval.hand_over", approval, now, code=approval.code, to=to.user.get_username()
    )
    ending.ask(approval, now, f"s{approval.stage}h{seat.pk}-{to.pk}", [to])
    return approval


@transaction.atomic
def lend(person: Person, deputy: Person | None, until: datetime | None, now: datetime) -> None:
    """Let a deputy answer for this person until a moment; without a deputy, take the right back."""
    until = until if deputy else None
    Person.objects.filter(pk=person.pk).update(deputy=deputy, deputy_until=until)
    who = deputy.user.get_username() if deputy else ""
    audit.record(person.user.get_username(), "person.deputy", person, now, deputy=who, until=until)
