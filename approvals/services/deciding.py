"""Take an answer: the only door through which an approval is approved or refused.

Everything that makes an answer count stands in one UPDATE: pending, in time by the database's clock, asked now, not the requester,
on the plan that was shown. The decision, its audit and the release or refusal commit with it, or not at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from approvals import messages
from approvals.models import Approval, ApprovalQuerySet, Asked, Decision
from approvals.services import asking, ending, replanning, seating
from approvals.services.refusals import (
    NoSuchChoice,
    NotApprover,
    NothingToDo,
    NotPending,
    PlanChanged,
    Refusal,
)
from fta import audit, operations, signals
from fta.healing import plan
from fta.models import Execution, ExecutionEvent, Person
from fta.models.engine import DbNow, NotInState


@dataclass(frozen=True)
class Voice:
    """What somebody says, by which way, having seen which plan."""

    user: User
    answer: str
    comment: str  # as recorded
    channel: str
    seen_sha256: str | None
    now: datetime
    words: str  # the comment as it was given

    @classmethod
    def of(cls, user: User, answer: str, comment: str, channel: str, seen_sha256: str | None, now: datetime) -> "Voice":
        """Return an answer with the comment as it is recorded."""
        return cls(user, answer, messages.recorded(answer, channel, comment), channel, seen_sha256, now, comment)


def decide(
    approval_id: int,
    user: User,
    answer: str,
    comment: str,
    channel: str,
    now: datetime,
    seen_sha256: str | None = None,
) -> Approval:
    """Apply one person's answer ("approve" or "refuse") to an approval and return it as it stands then.

    `channel` is reply, card, todo, web or api. `seen_sha256` is the plan that the person was shown, where the way tells it.
    Raises AlreadyDecided, Expired, NotPending, NotApprover, RequesterMayNotDecide, NoSuchChoice or PlanChanged, each audited; the
    last one has asked again already, or ended what nobody needs any more (NothingToDo). Raises Approval.DoesNotExist.
    """
    voice = Voice.of(user, answer, comment, channel, seen_sha256, now)
    with _refusals_audited(approval_id, voice), transaction.atomic():
        approval = _decide(approval_id, voice)
        if approval.state != Approval.State.PENDING:
            asking.tell_storm(approval)
        return approval


def decide_each(
    listed: Iterable[tuple[int, str]], user: User, answer: str, comment: str, channel: str, now: datetime
) -> list[str]:
    """Apply one answer to each (approval id, plan that was shown) of a page; return why it was not taken, "" where it was.

    Each stands alone, in a transaction of its own: one that is refused leaves the others decided. What they leave of a storm is
    told once, at the end.
    """
    listed = list(listed)
    visible = set(
        Approval.objects.visible_to(user).filter(pk__in=[pk for pk, _plan in listed]).values_list("pk", flat=True)
    )
    said: list[str] = []
    decided: dict[int | None, Approval] = {}  # one of each incident
    for pk, seen in listed:
        if pk not in visible:
            turn_away(pk, user, answer, channel, now)
            said.append(_("没有这个审批"))
            continue
        voice = Voice.of(user, answer, comment, channel, seen, now)
        try:
            with _refusals_audited(pk, voice), transaction.atomic():
                approval = _decide(pk, voice)
            decided[approval.incident_id] = approval
            said.append("")
        except Refusal as refusal:
            said.append(refusal.reason)
    with transaction.atomic():
        for approval in decided.values():
            asking.tell_storm(approval)
    return said


@transaction.atomic
def turn_away(approval_id: int, user: User, answer: str, channel: str, now: datetime) -> None:
    """Audit the answer of somebody who may not even read the approval; their door says no more than that there is none."""
    approval = Approval.objects.filter(pk=approval_id).first()
    if approval is not None:
        _audit_refusal(NotApprover(approval), Voice(user, answer, "", channel, None, now, ""))


@contextmanager
def _refusals_audited(approval_id: int, voice: Voice) -> Iterator[None]:
    """Audit a refusal of the block after its transaction was undone, and ask again about a plan that changed."""
    try:
        yield
    except Refusal as refusal:
        with transaction.atomic():
            if isinstance(refusal, PlanChanged):
                replanning.ask_again(approval_id, refusal.changes, voice.now)
            _audit_refusal(refusal, voice)
        raise


def _decide(approval_id: int, voice: Voice) -> Approval:
    approval = ending.lock(approval_id)
    seat = seating.take(approval, voice.user)
    said = _said(approval)
    _object(approval, seat, voice, said)
    fields = _effect(approval, voice, said)
    if _guarded(approval, voice).update(**fields) != 1:
        # The clock, a disabled account or a withdrawn right passed between the look and the statement.
        approval = ending.lock(approval_id)
        _object(approval, seat, voice, _said(approval))
        raise NotPending(approval)
    stage = approval.stage
    for name, value in fields.items():  # as the statement wrote them; the row is locked
        setattr(approval, name, value)
    Decision.objects.create(
        approval=approval, user=voice.user, answer=voice.answer, comment=voice.comment,
        channel=voice.channel, stage=stage, decided_at=voice.now,
    )  # fmt: skip
    audit.record(
        voice.user.get_username(), "approval.decide", approval, voice.now,
        code=approval.code, round=approval.round, stage=stage, answer=voice.answer, comment=voice.comment,
        channel=voice.channel, why=seat.why if seat else "", state=approval.state, plan_sha256=approval.plan_sha256,
    )  # fmt: skip
    _carry_on(approval, stage, voice)
    return approval


def _said(approval: Approval) -> dict[int, int]:
    """Return who has answered, and in which stage: whoever answered one does not answer another."""
    return dict(approval.decisions.order_by("stage").values_list("user_id", "stage"))


def _object(approval: Approval, seat: Asked | None, voice: Voice, said: Mapping[int, int]) -> None:
    """Raise what stands against this answer: the person first, then the plan."""
    seating.object_to(approval, seat, voice.user, said)
    if changes := replanning.changes(approval, voice.seen_sha256, approving=voice.answer == Decision.Answer.APPROVE):
        void = approval.execution is not None and plan.is_void(approval.execution)
        raise NothingToDo(approval) if void else PlanChanged(approval, changes)


def _guarded(approval: Approval, voice: Voice) -> ApprovalQuerySet:
    """Return the row on every condition of a valid answer. Each is on its own columns or an EXISTS: see claim."""
    asked = Asked.objects.filter(approval=OuterRef("pk"), stage=OuterRef("stage"), user_id=voice.user.pk)
    said = Decision.objects.filter(approval=OuterRef("pk"), user_id=voice.user.pk)
    same_plan = Execution.objects.filter(pk=OuterRef("execution_id"), plan_sha256=OuterRef("plan_sha256"))
    requester = Q(requested_by_id=voice.user.pk)
    own_allowed = approval.policy is not None and not approval.policy.exclude_requester
    return Approval.objects.filter(
        Exists(asked),
        ~Exists(said),
        Exists(Person.objects.active().filter(user_id=voice.user.pk)),
        Q(execution_id=None) | Exists(same_plan),
        Q() if own_allowed else ~requester,
        pk=approval.pk,
        state=Approval.State.PENDING,
        stage=approval.stage,
        expires_at__gt=DbNow(),
        plan_sha256=approval.plan_sha256 if voice.seen_sha256 is None else voice.seen_sha256,
    )


def _effect(approval: Approval, voice: Voice, said: Mapping[int, int]) -> dict[str, object]:
    """Return what the answer writes: the end, the next stage, or nothing but its being counted."""
    last = approval.stage + 1 >= len(approval.evidence["quorums"])
    final = {"decided_by": voice.user, "decided_at": voice.now, "comment": voice.comment, "channel": voice.channel}
    if voice.answer == Decision.Answer.REFUSE:
        return {"state": Approval.State.REFUSED, **final}
    agreed = list(said.values()).count(approval.stage) + 1  # a no would have been the end
    if agreed < approval.quorum:
        return {"quorum": approval.quorum}
    if last:
        return {"state": Approval.State.APPROVED, **final}
    return {"stage": approval.stage + 1, "quorum": approval.evidence["quorums"][approval.stage + 1]}


def _carry_on(approval: Approval, stage: int, voice: Voice) -> None:
    """Do what the answer means: release, refuse, ask the next stage, or wait for the others."""
    if approval.execution_id and approval.state == Approval.State.PENDING:  # an end is told by what it sets going
        ExecutionEvent.objects.create(
            execution_id=approval.execution_id, at=voice.now, kind="approval.decided",
            text=f"{approval.code} {_name(voice.user)}：{voice.comment}", data={"approval": approval.pk},
        )  # fmt: skip
    if approval.state == Approval.State.PENDING:
        if approval.stage != stage:
            signals.announce(signals.approval_changed, approval=approval, event="asked")
            ending.ask(approval, voice.now)
        return
    try:
        _settle(approval, voice)
    except NotInState as error:
        raise NotPending(approval, _("%(code)s 所问的执行已不在等待") % {"code": approval.code}) from error
    except operations.InvalidChoice as error:
        raise NoSuchChoice(approval, str(error)) from error
    signals.announce(signals.approval_changed, approval=approval, event="decided")
    asking.tell_end(approval, voice.now)


def _settle(approval: Approval, voice: Voice) -> None:
    approved = approval.state == Approval.State.APPROVED
    actor = voice.user.get_username()
    if approval.kind == Approval.Kind.NODE and approval.step_id:
        outcome = "approved" if approved else "refused"
        operations.settle_approval_step(
            approval.step_id, approved, outcome, actor, voice.comment, voice.now, voice.words
        )
    elif approval.kind == Approval.Kind.GATE and approval.execution:
        if approved:
            operations.release(approval.execution, voice.now, actor, voice.comment)
        else:
            operations.refuse(approval.execution, voice.now, actor, "refused", voice.comment)


def _name(user: User) -> str:
    return user.get_full_name() or user.get_username()


def _audit_refusal(refusal: Refusal, voice: Voice) -> None:
    audit.record(
        voice.user.get_username(), "approval.decide_refused", refusal.approval, voice.now,
        code=refusal.approval.code, answer=voice.answer, channel=voice.channel, why=refusal.code, reason=refusal.reason,
    )  # fmt: skip
