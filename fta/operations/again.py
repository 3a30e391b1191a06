"""Do something of an execution again, or say what came of a step of which nobody knows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from fta import audit, ports
from fta.healing import flow
from fta.healing.history import lock, shift, tell
from fta.healing.nodes import START, STRIDE, Node, downstream, in_order, path_of
from fta.healing.plan import host_drift, is_intact, is_void, nodes_of
from fta.healing.runners.package import PackageRunner
from fta.healing.start import hold, mode_now, refreeze
from fta.healing.steps import after, create_step, named, present_steps, round_of
from fta.models import Execution, Mode, StepRun
from fta.models.engine import move
from fta.operations.reasons import checked
from fta.pipeline import over_budget

DEFAULT_TIMEOUT = 2400  # seconds, for executions without a rule
RETRYABLE = frozenset(
    {Execution.State.FAILED, Execution.State.UNKNOWN, Execution.State.CANCELLED, Execution.State.SKIPPED}
)


class NotRetryable(Exception):
    """The execution or the node cannot be done again; the text says why."""


class PlaceTaken(Exception):
    """The same package runs on the host at this moment."""


@transaction.atomic
def retry(execution: Execution, user: User, reason: str, node: int | None, only: bool, now: datetime) -> Execution:
    """Do an ended execution again from a node, or `only` that node; None is what had kept it from succeeding.

    A person is asked first where the approval given so far does not cover it; a `once` step of which nobody knows whether it
    was done always needs a fresh one. Raises ReasonMissing, NotRetryable, PlaceTaken.
    """
    reason, actor = checked(reason), user.get_username()
    locked = lock(execution.pk)
    _guard(locked)
    nodes, present = nodes_of(locked.plan), present_steps(locked)
    targets = _targets(nodes, present, node)
    changes = host_drift(locked)
    reasons = _reasons(locked, _unsure(locked, nodes, targets, only), [*changes, *over_budget(locked, now)])
    _reopen(locked, now)
    if changes:
        refreeze(locked, changes, now)
    text = _("%(actor)s 重试：%(reason)s") % {"actor": actor, "reason": reason}
    tell(locked, "execution.retry", text, now, actor=actor)
    _again(locked, targets, present, only, now)
    audit.record(
        actor,
        "execution.retry",
        locked,
        at=now,
        nodes=[each.id for each in targets],
        only=only,
        reason=reason,
        held=reasons,
    )
    if reasons:
        # Who wants it done again does not approve it: the requester is left out of those who are asked.
        Execution.objects.filter(pk=locked.pk).update(requested_by=user)
        locked.requested_by = user
        hold(locked, reasons, now)
    else:
        _run(locked, text, now)
    return locked


def _guard(execution: Execution) -> None:
    if execution.state not in RETRYABLE:
        raise NotRetryable(_("「%(state)s」的自愈不能重试") % {"state": execution.get_state_display()})
    if is_void(execution):  # a yes would only end it once more
        raise NotRetryable(_("告警已恢复，规则要求不再执行，不能重试"))
    if execution.version is None or not execution.plan.get("nodes"):
        raise NotRetryable(_("这条记录没有可执行的套餐"))
    if not is_intact(execution):
        raise NotRetryable(_("计划内容与其校验值不符，不能重试"))
    if mode_now(execution) in (Mode.OFF, Mode.SHADOW):
        raise NotRetryable(_("套餐或规则处于停用或演练模式，不能重试"))


def _targets(nodes: list[Node], present: dict[int, StepRun], node: int | None) -> list[Node]:
    if node is not None:
        found = [each for each in nodes if each.id == node and node in present]
        if not found:
            raise NotRetryable(_("节点 %(node)s 没有执行过，不能重试") % {"node": path_of(node)})
        return [_entry(nodes, found[0])]
    by_id = {each.id: each for each in nodes}
    order = [each for each in in_order(nodes) if each.id in present and each.type != PackageRunner.type]
    stuck = [each for each in order if _kept(each, present, by_id)]
    return stuck or [each for each in order if present[each.id].state == StepRun.State.FAILED]


def _entry(nodes: Sequence[Node], node: Node) -> Node:
    """Return the node to begin with to do this one again: of a package node the first one inside it."""
    by_id = {each.id: each for each in nodes}
    while node.type == PackageRunner.type:
        node = by_id[node.id * STRIDE + START]
    return node


def _kept(node: Node, present: dict[int, StepRun], by_id: dict[int, Node]) -> bool:
    """Tell whether this node's step kept the execution from succeeding; inside a package, its package's node tells."""
    step = present.get(node.id)
    if step is None:  # the package node waits for a node inside that is unknown
        return True
    if step.state == StepRun.State.FAILED:
        around = by_id.get(node.inside)
        return not (node.failure or node.always) and (around is None or _kept(around, present, by_id))
    return step.state in (StepRun.State.UNKNOWN, StepRun.State.CANCELLED, StepRun.State.SKIPPED)


def _unsure(execution: Execution, nodes: Sequence[Node], targets: Sequence[Node], only: bool) -> list[StepRun]:
    """Return the steps of unknown result that the retry does once more: of the targets and, but for `only`, of all after them.

    Of each node the last step counts that has begun: one that was cancelled before, as by a no to an earlier retry, tells nothing.
    """
    again = {node.id for node in targets}
    if not only:
        again = again.union(*(downstream(nodes, node.id) for node in targets))
    begun = execution.steps.filter(node__in=again).exclude(started_at=None).order_by("iteration")
    last = {step.node: step for step in begun}
    return [
        step
        for step in last.values()
        if step.policy != StepRun.Policy.IDEMPOTENT and step.state == StepRun.State.UNKNOWN
    ]


def _reasons(execution: Execution, unsure: Sequence[StepRun], against: Sequence[str]) -> list[str]:
    """Return why a person has to be asked before the retry; nothing when the approval so far covers it."""
    reasons = [_("%(step)s的结果未知，再做一次可能重复") % {"step": named(step)} for step in unsure]
    reasons += against
    needed = execution.needs_approval or mode_now(execution) == Mode.APPROVAL
    if not reasons and needed and not ports.gate().approved(execution):
        reasons = list(execution.hold_reasons) or [_("按现行设置需要审批")]
    return reasons


def _reopen(execution: Execution, now: datetime) -> None:
    """Forget the end of an execution and give it its time again."""
    timeout = timedelta(seconds=execution.rule.timeout if execution.rule else DEFAULT_TIMEOUT)
    fields = {
        "ended_at": None,
        "healed": Execution.Healed.NONE,
        "verify_at": None,
        "reason": "",
        "cancel_requested": False,
        "acting": False,
        "deadline_at": max(execution.deadline_at, now + timeout),
    }
    Execution.objects.filter(pk=execution.pk).update(**fields)
    for name, value in fields.items():
        setattr(execution, name, value)


def _again(
    execution: Execution, targets: Sequence[Node], present: dict[int, StepRun], only: bool, now: datetime
) -> None:
    nodes = nodes_of(execution.plan)
    runs = {number: flow.Run(step.state, step.outcome) for number, step in present.items()}
    iteration = round_of(execution) + 1
    for node in targets:
        permit = flow.permit(nodes, runs, node.id)
        text = _("节点 %(node)s 重新执行") % {"node": node.path}
        tell(execution, "retry", text, now, node=node.id, iteration=iteration, only=only)
        create_step(execution, node, iteration, present[permit] if permit else None)


def _run(execution: Execution, text: str, now: datetime) -> None:
    try:
        with transaction.atomic():
            shift(execution, Execution.State.RUNNING, now, text, started_at=execution.started_at or now)
    except IntegrityError as error:
        raise PlaceTaken(_("同一套餐正在这台主机上执行，请等它结束")) from error
    after(execution, now)


@transaction.atomic
def resolve_unknown(step: StepRun, user: User, done: bool, reason: str, now: datetime) -> None:
    """Say whether a step of which nobody knows was done, and let the execution go on from there.

    Raises ReasonMissing, NotInState when the step is not unknown, PlaceTaken.
    """
    reason, actor = checked(reason), user.get_username()
    execution = lock(step.execution_id)
    state = StepRun.State.SUCCEEDED if done else StepRun.State.FAILED
    move(StepRun, step.pk, StepRun.State.UNKNOWN, state, outcome="resolved", error="" if done else reason)
    what = _("确认已执行") if done else _("确认未执行")
    text = f"{named(step)}：{actor} {what}（{reason}）"
    tell(execution, f"step.{state}", text, now, step=step.pk, node=step.node, outcome="resolved")
    audit.record(actor, "step.resolve_unknown", step, at=now, done=done, reason=reason)
    if execution.state == Execution.State.UNKNOWN:
        cancelled = execution.cancel_requested
        _reopen(execution, now)
        if cancelled:  # it stays stopped: only the truth about the step was missing
            Execution.objects.filter(pk=execution.pk).update(cancel_requested=True)
            execution.cancel_requested = True
        _run(execution, text, now)
    elif execution.state == Execution.State.RUNNING:
        after(execution, now)
