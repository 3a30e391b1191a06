"""Whose turn it is: the seat that somebody answers from, and what stands against their answering from it."""

from collections.abc import Collection, Sequence

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from approvals import policies
from approvals.models import Approval, ApprovalAdmin, Asked
from approvals.services.refusals import (
    AlreadyDecided,
    AskedAgain,
    Expired,
    NotApprover,
    NotPending,
    RequesterMayNotDecide,
)
from fta.models import Person


def take(approval: Approval, user: User) -> Asked | None:
    """Return the seat that a person answers from; one of another stage where none of the present stage is theirs.

    A deputy takes over the seat of the one who is away, so it counts once.
    """
    seats = list(Asked.objects.held_by(user).filter(approval=approval).order_by("stage", "pk"))
    here = [seat for seat in seats if seat.stage == approval.stage]
    waits = approval.state == Approval.State.PENDING
    seat = next((seat for seat in here if seat.user_id == user.pk), None) or of_admin(approval, user)
    if seat is None and waits:
        seat = _taken_over(approval, here, user)
    others = [other for other in seats if other not in here] if waits else seats
    return seat or next(iter(others), None)


def own(approval: Approval, user: User) -> Asked | None:
    """Return the seat that somebody has in the present stage in their own right."""
    seat = Asked.objects.filter(approval=approval, stage=approval.stage, user=user).first()
    return seat or of_admin(approval, user)


def of_admin(approval: Approval, user: User) -> Asked | None:
    """Return a seat for an approval admin who has none, being appointed after the question: they may decide every approval.

    None for one who gave the turn away: one right is one voice.
    """
    given = approval.asked.filter(stage=approval.stage).handed_by(user)
    if not ApprovalAdmin.objects.of(user).exists() or given.exists():
        return None
    seat = Asked(approval=approval, user=user, stage=approval.stage, why=policies.WHY_ADMIN)
    if approval.state == Approval.State.PENDING:
        seat.save()  # undone with the transaction when the answer is refused
    return seat


def _taken_over(approval: Approval, seats: Sequence[Asked], user: User) -> Asked | None:
    said = set(approval.decisions.values_list("user_id", flat=True))
    for seat in seats:
        why = policies.handed("deputy", seat)
        still = Asked.objects.held_by(user).filter(pk=seat.pk).exclude(user_id__in=said)
        if still.update(user=user, why=why):
            seat.user, seat.why = user, why
            return seat
    return None


def object_to(approval: Approval, seat: Asked | None, user: User, said: Collection[int]) -> None:
    """Raise what stands against an answer from this seat, the plainest first; whoever was not asked learns nothing else.

    `said` are the ids of those who have answered, in whichever stage: one person is one voice.
    """
    matter = policies.Matter.of(approval.execution, approval.created_at)
    if policies.is_excluded(approval.policy, matter, user):
        raise RequesterMayNotDecide(approval)
    if seat is None or not policies.still_entitled(approval, seat) or not _active(user, seat):
        raise NotApprover(approval)
    if approval.state != Approval.State.PENDING and (newer := approval.later()):
        raise AskedAgain(approval, newer)
    if approval.state == Approval.State.EXPIRED:
        raise Expired(approval)
    if approval.state in (Approval.State.APPROVED, Approval.State.REFUSED):
        raise AlreadyDecided(approval)
    if approval.state != Approval.State.PENDING:
        raise NotPending(approval)
    if approval.over:
        raise Expired(approval)
    if user.pk in said:
        raise AlreadyDecided.by_you(approval)
    if seat.stage != approval.stage:
        raise _out_of_turn(approval, seat, user)


def _out_of_turn(approval: Approval, seat: Asked, user: User) -> AlreadyDecided | NotApprover:
    if seat.stage > approval.stage:
        said = _("还没轮到你审批 %(code)s，前面的人同意后会再通知你")
        return NotApprover(approval, said % {"code": approval.code})
    if approval.decisions.filter(user=user).exists():
        return AlreadyDecided.by_you(approval)
    said = _("%(code)s 你这一阶段已由别人同意，还在等后面的人")
    return AlreadyDecided(approval, said % {"code": approval.code})


def _active(user: User, seat: Asked) -> bool:
    """Tell whether an account may still be used; of one who sits for themselves the right to the seat says so."""
    return policies.principal(seat) == user.pk or Person.objects.active().filter(user_id=user.pk).exists()
