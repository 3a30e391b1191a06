"""End approvals that nobody decided: withdrawn, made void, run out of time. The same compare-and-set as a decision."""

import hashlib
import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from approvals import policies
from approvals.models import Approval, Asked, Policy
from approvals.services import asking, storms
from approvals.services.posting import receivers
from fta import audit, operations, signals
from fta.models import Execution, Person
from fta.models.engine import DbNow, NotInState, move

logger = logging.getLogger(__name__)

SYSTEM = "system"
_NAMED = 5  # people whom a fault names one by one
# All that an answer is judged by, in the one look at the row.
_JUDGED_BY = (
    "policy", "decided_by", "incident", "execution__alert", "execution__business", "execution__host",
    "execution__package", "execution__rule", "execution__version",
)  # fmt: skip


@transaction.atomic
def end(approval: Approval, to: str, reason: str, now: datetime, *conditions: Q, actor: str = SYSTEM) -> None:
    """Move one approval to `to`, with its audit, signal and messages. Raises NotInState when somebody was first."""
    waited = approval.state == Approval.State.PENDING
    # An answer that was given keeps its words, its author and its moment, also when it no longer holds.
    words = {"decided_at": now, "comment": reason} if waited else {}
    move(Approval, approval.pk, approval.state, to, *conditions, **words)
    approval.refresh_from_db()
    audit.record(actor, f"approval.{to}", approval, now, code=approval.code, round=approval.round, reason=reason)
    signals.announce(signals.approval_changed, approval=approval, event=to)
    if waited:
        asking.tell_end(approval, now)
        asking.tell_storm(approval)


@transaction.atomic
def withdraw(execution: Execution, reason: str, now: datetime) -> None:
    """Cancel every pending approval of an execution that ended."""
    for approval in Approval.objects.filter(execution=execution, state=Approval.State.PENDING):
        end(approval, Approval.State.CANCELLED, reason, now)


@transaction.atomic
def supersede(execution: Execution, reason: str, now: datetime) -> None:
    """Void the pending approvals of an execution, and the gate approvals that it was given."""
    pending = Q(state=Approval.State.PENDING)
    given = Q(state=Approval.State.APPROVED, kind=Approval.Kind.GATE)
    for approval in Approval.objects.filter(pending | given, execution=execution):
        end(approval, Approval.State.SUPERSEDED, reason, now)


@transaction.atomic
def cancel(approval_id: int, actor: str, reason: str, now: datetime) -> Approval:
    """Withdraw one approval of another system. Raises NotInState when it no longer waits."""
    approval = Approval.objects.get(pk=approval_id, kind=Approval.Kind.EXTERNAL)
    if approval.state != Approval.State.PENDING:
        raise NotInState(Approval, approval_id, Approval.State.PENDING)
    end(approval, Approval.State.CANCELLED, reason, now, actor=actor)
    return approval


@transaction.atomic
def expire(approval_id: int, now: datetime) -> None:
    """End an approval whose time is over by the database's clock, or ask the next people once where its policy says so.

    Does nothing to one that still has time or was decided a moment ago.
    """
    approval = lock(approval_id)
    over = Q(expires_at__lte=DbNow())
    if not Approval.objects.filter(over, pk=approval_id, state=Approval.State.PENDING).exists():
        return
    if _escalate(approval, now, over):
        return
    reason = _("到期无人回答，视为驳回")
    end(approval, Approval.State.EXPIRED, reason, now, over)
    try:
        with transaction.atomic():
            _refuse(approval, reason, now)
    except NotInState:
        logger.warning("Approval %s expired, but what it was about has moved on already", approval.code)


@transaction.atomic
def remind(approval_id: int, now: datetime) -> None:
    """Remind, once, those whose turn it is."""
    due = Approval.objects.filter(pk=approval_id, state=Approval.State.PENDING, remind_at__lte=DbNow())
    if due.update(remind_at=None) != 1:
        return
    approval = Approval.objects.select_related("policy", "execution").get(pk=approval_id)
    audit.record(SYSTEM, "approval.remind", approval, now, code=approval.code)
    signals.announce(signals.approval_changed, approval=approval, event="reminded")
    asking.remind(approval, now)


def lock(approval_id: int) -> Approval:
    """Lock an approval, and before it what it is about: everybody locks in this order, so that nobody waits in a circle.

    It comes with all that an answer is judged by, and with `over`: whether its time was over when it was read.
    Raises Approval.DoesNotExist.
    """
    about = Approval.objects.filter(pk=approval_id).values("execution_id")
    list(Execution.objects.select_for_update(no_key=True).filter(pk__in=about).values_list("pk"))
    rows = Approval.objects.select_related(*_JUDGED_BY).annotate(late=Q(expires_at__lte=DbNow()))
    found = rows.select_for_update(no_key=True, of=("self",)).get(pk=approval_id)
    found.over = vars(found).pop("late")  # the name of a plain attribute, which an annotation may not take
    return found


def _refuse(approval: Approval, reason: str, now: datetime) -> None:
    if approval.kind == Approval.Kind.GATE and approval.execution:
        operations.refuse(approval.execution, now, SYSTEM, "expired", reason)
    elif approval.kind == Approval.Kind.NODE and approval.step_id:
        operations.settle_approval_step(approval.step_id, False, "expired", SYSTEM, reason, now)


def ask(approval: Approval, now: datetime, part: str = "", people: list[Person] | None = None) -> None:
    """Ask everybody whose turn it is, or `people` only; when none of them can be written to, do what is done when no message
    gets through.
    """
    reached = asking.ask(approval, now, part, people)
    if approval.stage and (lacking := _lacking(approval)):
        _next_resort(approval, lacking, f"s{approval.stage}", now)
    elif reached:
        return
    elif not approval.asked.filter(stage=approval.stage).exists():
        _escalate(lock(approval.pk), now)  # that nobody may answer was reported when it was opened
    else:
        unreached(approval.pk, _("没有企业微信账号，也没有邮箱。"), now, people)


@transaction.atomic
def unreached(approval_id: int, why: str, now: datetime, people: list[Person] | None = None) -> None:
    """Ask the people of the next resort at once because none of those asked was reached, and say who knows nothing of it.

    `people` are those asked, where they are not all whose turn it is. Silence stays what it was: a no at the end.
    """
    approval = lock(approval_id)
    people = receivers(approval) if people is None else people
    names = "、".join(person.name for person in people[:_NAMED])
    who = names if len(people) <= _NAMED else _("%(names)s等 %(n)d 人") % {"names": names, "n": len(people)}
    text = _("审批 %(code)s 发给%(who)s的消息一条也没有送到：%(why)s") % {"code": approval.code, "who": who, "why": why}
    whom = hashlib.sha256(str(sorted(person.pk for person in people)).encode()).hexdigest()[:16]
    _next_resort(approval, text, whom, now)


def _lacking(approval: Approval) -> str:
    """Say that a stage cannot be passed, because those asked in it have answered an earlier one; "" where it can."""
    seats = approval.asked.filter(stage=approval.stage)
    free = seats.exclude(user_id__in=approval.decisions.values("user_id")).count()
    voices = free + approval.decisions.filter(stage=approval.stage).count()
    if voices >= approval.quorum or voices == seats.count():  # what was wanting at first was told when it was opened
        return ""
    said = _("审批 %(code)s 第 %(stage)d 阶段须 %(quorum)d 人同意，答过前面阶段的人不能再答，能审批的只有 %(n)d 人。")
    return said % {"code": approval.code, "stage": approval.stage + 1, "quorum": approval.quorum, "n": voices}


def _next_resort(approval: Approval, text: str, whom: str, now: datetime) -> None:
    """Ask the people of the next resort, and tell the fault that made it necessary; `whom` tells it from those about others."""
    before = {person.pk for person in receivers(approval)}  # they were asked a moment ago
    further = _escalate(lock(approval.pk), now, asked=before)
    text += _("已升级给其他人。") if further else _("到期无人回答即视为驳回，不会执行。")
    storm = storms.around(approval)  # one fault for all of a storm
    about = f"incident:{storm.pk}" if storm else f"approval:{approval.pk}"
    signals.announce(signals.system_fault, text=text, subject=f"{about}:{whom}")


def _escalate(approval: Approval, now: datetime, *conditions: Q, asked: Collection[int] | None = None) -> bool:
    """Ask the people of the next resort, and with them all whose turn it is: but for the `asked`, ids of people, where given."""
    policy = approval.policy
    if policy is None or policy.on_expiry != Policy.OnExpiry.ESCALATE or approval.escalated:
        return False
    matter = policies.Matter.of(approval.execution, now)
    seats = approval.asked.filter(stage=approval.stage)  # whoever handed a turn over was asked, and has no other
    present = {user_id for seat in seats for user_id in (seat.user_id, policies.principal(seat))}
    present |= set(approval.decisions.values_list("user_id", flat=True))
    fresh = [seat for seat in policies.escalation(policy, matter, approval.stage) if seat.user_id not in present]
    expires_at = now + timedelta(seconds=policy.expires_after)
    if approval.execution:
        expires_at = min(expires_at, approval.execution.deadline_at)
    if not fresh or expires_at <= now:
        return False
    waiting = Approval.objects.filter(*conditions, pk=approval.pk, state=Approval.State.PENDING, escalated=False)
    if waiting.update(escalated=True, expires_at=expires_at, remind_at=None) != 1:
        return False
    Asked.objects.bulk_create(Asked(approval=approval, user_id=s.user_id, stage=s.stage, why=s.why) for s in fresh)
    approval.refresh_from_db()
    audit.record(SYSTEM, "approval.escalate", approval, now, code=approval.code, asked=[s.user_id for s in fresh])
    signals.announce(signals.approval_changed, approval=approval, event="asked")
    people = None if asked is None else [person for person in receivers(approval) if person.pk not in asked]
    if people is None or people:
        ask(approval, now, f"s{approval.stage}e", people)
    return True
