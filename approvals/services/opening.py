"""Open an approval: who is asked, about exactly which plan, until when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max, Q
from django.utils.translation import gettext as _

from approvals import messages, policies
from approvals.models import Approval, ApprovalAdmin, Asked, Policy
from approvals.services import ending
from approvals.services.refusals import CodeInUse
from fta import audit, signals
from fta.healing.history import tell
from fta.models import Execution, Person, StepRun

EXPIRES_AFTER = 1800  # seconds, where no policy says otherwise
GATE_NODE = 0


@dataclass
class Question:
    """What is to be asked."""

    kind: str
    code: str  # of its first round
    message: str
    policy: Policy | None = None
    execution: Execution | None = None
    step: StepRun | None = None
    reasons: Sequence[str] = ()
    changes: Sequence[str] = ()
    requested_by: User | None = None
    callback_url: str = ""
    faults: list[str] = field(default_factory=list)


@transaction.atomic
def open_gate(execution: Execution, reasons: Iterable[str], now: datetime, changes: Sequence[str] = ()) -> Approval:
    """Ask whether the execution may start; an earlier gate approval of it, pending or given, is void from then on."""
    execution = _locked(execution.pk)
    target = execution.host.ip if execution.host else execution.alert.target if execution.alert else ""
    about = "，".join(part for part in (target, execution.alert_type) if part)
    name = execution.package.name if execution.package else _("自愈")
    question = Question(
        kind=Approval.Kind.GATE,
        code=_code(execution, GATE_NODE),
        message=f"{name}（{about}）" if about else name,
        execution=execution,
        reasons=[str(reason) for reason in reasons],
        changes=list(changes),
        requested_by=execution.requested_by,
    )
    gates = Approval.objects.filter(kind=Approval.Kind.GATE, execution=execution)
    _void(gates.filter(state__in=(Approval.State.PENDING, Approval.State.APPROVED)), now)
    return _ask(_with_policy(question, execution.approval_policy), now)


@transaction.atomic
def open_node(step: StepRun, message: str, policy_name: str, now: datetime, changes: Sequence[str] = ()) -> Approval:
    """Ask the question of an approval node."""
    execution = _locked(step.execution_id)
    question = Question(
        kind=Approval.Kind.NODE,
        code=_code(execution, step.node),
        message=message or step.name or _("审批"),
        execution=execution,
        step=step,
        changes=list(changes),
        requested_by=execution.requested_by,
    )
    asked = Approval.objects.filter(kind=Approval.Kind.NODE, execution=execution, step__node=step.node)
    _void(asked.filter(state=Approval.State.PENDING), now)
    return _ask(_with_policy(question, policy_name or execution.approval_policy), now)


@transaction.atomic
def open_external(
    *, code: str, message: str, verifiers: Iterable[str], now: datetime, callback_url: str = "", actor: str = "external"
) -> Approval:
    """Ask on behalf of another system; `verifiers` are WeCom userids or usernames.

    The same question asked twice while it waits is the same approval; verifiers who are new to it are asked along. Raises
    CodeInUse when the code waits with another question, if only in another case, or is one of the portal's own questions.
    """
    alike = Q(code__iexact=code) | Q(first_code__iexact=code)
    waiting = Approval.objects.filter(alike, state=Approval.State.PENDING)
    text = messages.one_line(message)  # as the row has it
    question = Question(kind=Approval.Kind.EXTERNAL, code=code, message=text, callback_url=callback_url)
    if ours := Approval.objects.filter(code=code).exclude(kind=Approval.Kind.EXTERNAL).first():
        raise CodeInUse(ours)
    try:
        with transaction.atomic():
            if not waiting.exists():
                return _ask(question, now, _named(verifiers), actor)
    except IntegrityError:  # asked twice at once
        if not waiting.exists():
            raise
    found = ending.lock(waiting.earliest("pk").pk)
    if (found.shared_code, found.message, found.callback_url) != (code, text, callback_url):
        raise CodeInUse(found)
    _ask_along(found, _named(verifiers), now, actor)
    return found


def _ask_along(approval: Approval, seats: Iterable[policies.Seat], now: datetime, actor: str) -> None:
    """Seat and ask those who were not asked before; whoever handed a turn over was."""
    present = {user_id for seat in approval.asked.all() for user_id in (seat.user_id, policies.principal(seat))}
    fresh = [seat for seat in seats if seat.user_id not in present]
    if not fresh or approval.state != Approval.State.PENDING:
        return
    first, *_more = _seat(approval, fresh)
    people = list(Person.objects.filter(user_id__in=[seat.user_id for seat in fresh]).select_related("user"))
    names = [person.user.get_username() for person in people]
    audit.record(actor, "approval.ask", approval, now, code=approval.code, round=approval.round, asked=names)
    ending.ask(approval, now, f"s{approval.stage}m{first.pk}", people)


def _seat(approval: Approval, seats: Iterable[policies.Seat]) -> list[Asked]:
    return Asked.objects.bulk_create(
        Asked(approval=approval, user_id=seat.user_id, stage=seat.stage, why=seat.why) for seat in seats
    )


def _named(verifiers: Iterable[str]) -> list[policies.Seat]:
    found = {person.user_id: policies.WHY_NAMED for person in policies.verifiers(verifiers)}
    for admin in ApprovalAdmin.objects.filter(person__in=Person.objects.active()).select_related("person"):
        found.setdefault(admin.person.user_id, policies.WHY_ADMIN)
    return [policies.Seat(user_id, 0, why) for user_id, why in found.items()]


def _with_policy(question: Question, name: str) -> Question:
    question.policy = policies.named(name)
    if name and question.policy is None:
        question.faults.append(_("没有名为 %(name)s 的审批策略，只能由审批管理员审批") % {"name": name})
    return question


def _locked(execution_id: int) -> Execution:
    """Lock the execution, so that two questions about it queue; whoever locks an approval locks its execution first."""
    rows = Execution.objects.select_related(
        "host", "alert", "package", "version", "business", "incident", "requested_by"
    )
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=execution_id)


def _code(execution: Execution, node: int) -> str:
    """Return the code of a question about an execution, which is no other system's: two would be decided by one answer."""
    code = f"{execution.pk}_{node}"
    theirs = Approval.objects.filter(kind=Approval.Kind.EXTERNAL)
    while theirs.filter(Q(code=code) | Q(first_code=code)).exists():
        code = f"F{code}"
    return code


def _void(approvals: Iterable[Approval], now: datetime) -> None:
    for old in approvals:
        ending.end(old, Approval.State.SUPERSEDED, _("已重新审批"), now)


def _ask(
    question: Question, now: datetime, seats: list[policies.Seat] | None = None, actor: str = "system"
) -> Approval:
    if seats is None:
        seats = policies.seats(question.policy, policies.Matter.of(question.execution, now))
    approval = _create(question, now)
    _seat(approval, seats)
    names = list(approval.asked.order_by("stage", "pk").values_list("user__username", flat=True))
    audit.record(
        actor, "approval.ask", approval, now,
        code=approval.code, round=approval.round, message=approval.message, plan_sha256=approval.plan_sha256,
        asked=names, reasons=list(question.reasons), changes=list(question.changes), expires_at=approval.expires_at,
    )  # fmt: skip
    _note(approval, seats, now)
    signals.announce(signals.approval_changed, approval=approval, event="asked")
    _report(approval, question.faults, seats)
    ending.ask(approval, now)
    return approval


def _create(question: Question, now: datetime) -> Approval:
    stages = policies.stages_of(question.policy)
    seconds = question.policy.expires_after if question.policy else EXPIRES_AFTER
    expires_at = now + timedelta(seconds=seconds)
    execution = question.execution
    if execution:
        expires_at = min(expires_at, execution.deadline_at)
    number, code = _next_round(question.code)
    return Approval.objects.create(
        code=code,
        first_code=question.code,
        kind=question.kind,
        execution=execution,
        step=question.step,
        incident=execution.incident if execution and question.kind == Approval.Kind.GATE else None,
        policy=question.policy,
        round=number,
        message=messages.one_line(question.message),
        evidence={
            "reasons": list(question.reasons),
            "changes": list(question.changes),
            "quorums": [stage.quorum for stage in stages],  # frozen: editing the policy must not lower the bar
        },
        plan_sha256=execution.plan_sha256 if execution else "",
        quorum=stages[0].quorum,
        requested_by=question.requested_by,
        created_at=now,
        expires_at=expires_at,
        remind_at=now + (expires_at - now) / 2,
        callback_url=question.callback_url,
        external_ref=question.code[:128] if question.kind == Approval.Kind.EXTERNAL else "",
    )


def _next_round(first_code: str) -> tuple[int, str]:
    """Return the number of a question's next round and its code: `12_0`, `12_0_2` …, without those that another question has."""
    rounds = Approval.objects.rounds_of(first_code).aggregate(last=Max("round"))
    number = (rounds["last"] or 0) + 1
    code = first_code if number == 1 else f"{first_code}_{number}"
    while Approval.objects.filter(code=code).exists():
        number += 1
        code = f"{first_code}_{number}"
    return number, code


def _note(approval: Approval, seats: Sequence[policies.Seat], now: datetime) -> None:
    if approval.execution is None:
        return
    text = _("%(code)s 已请 %(n)d 人审批，%(moment)s 过期") % {
        "code": approval.code,
        "n": len({seat.user_id for seat in seats if seat.stage == approval.stage}),
        "moment": messages.clock(approval.expires_at),
    }
    tell(approval.execution, "approval.asked", text, now, approval=approval.pk)


def _report(approval: Approval, faults: Iterable[str], seats: Sequence[policies.Seat]) -> None:
    """Announce what makes an answer impossible; the approval stays open, nothing runs, and its expiry is a no."""
    texts = list(faults)
    for stage, quorum in enumerate(approval.evidence["quorums"]):
        asked = len({seat.user_id for seat in seats if seat.stage == stage})
        if asked < quorum:
            said = _("审批 %(code)s 第 %(stage)d 阶段须 %(quorum)d 人同意，能审批的只有 %(asked)d 人")
            texts.append(said % {"code": approval.code, "stage": stage + 1, "quorum": quorum, "asked": asked})
    if texts:  # as one: a second fault of the same subject would be taken for the first
        signals.announce(signals.system_fault, text="；".join(texts), subject=f"approval:{approval.pk}")
