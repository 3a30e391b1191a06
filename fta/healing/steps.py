"""The life of a step: created, claimed, run under a lease, ended; and what its end starts."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Max, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.engine import doorbell
from fta.engine.claim import LostLease, NotClaimed, beating, finish
from fta.healing import flow, inner, scene, variables
from fta.healing.claims import HostBusy, claim_step, claim_to_stop, postpone
from fta.healing.ending import cancel_steps, end_execution
from fta.healing.history import lock, tell
from fta.healing.nodes import STRIDE, Node, path_of
from fta.healing.plan import is_intact, nodes_of
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome, StepContext
from fta.healing.runners.running import UNREACHED
from fta.lib.secrets import redact
from fta.lib.types import JSONDict
from fta.models import Execution, StepAttempt, StepRun
from fta.models.engine import DbNow, lease

logger = logging.getLogger(__name__)

RECORD_PAUSE_SECONDS = 1.0
CRASHES = 5  # an idempotent step survives so many starts whose worker vanished
MAX_OUTPUT = 256 * 1024  # characters kept of a step's output
MAX_ERROR = 4000
_NUL = re.compile(r"(\\\\)|\\u0000")  # in JSON; a backslash that stands for itself goes by as a pair


def create_step(execution: Execution, node: Node, iteration: int, permit: StepRun | None) -> StepRun:
    """Write the row of a node that is to run, and ring for it.

    A `permit` for another plan than the present one is none: see start.refreeze, which has the gate asked instead.
    """
    attempts = 1 + node.retries.count
    stands = permit is not None and permit.plan_sha256 == execution.plan_sha256
    step = StepRun.objects.create(
        execution=execution,
        node=node.id,
        iteration=iteration,
        type=node.type,
        name=node.name or str(RUNNERS[node.type].label),
        policy=node.policy,
        max_attempts=max(attempts, CRASHES) if node.policy == StepRun.Policy.IDEMPOTENT else attempts,
        plan_sha256=execution.plan_sha256,
        permit=permit if stands else None,
    )
    doorbell.ring("step", step.pk)
    return step


def run_step(pk: int) -> None:
    """Claim a ready step, run it, record what came of it."""
    step = StepRun.objects.select_related("execution__version", "execution__host").get(pk=pk)
    execution, now = step.execution, timezone.now()
    if not is_intact(execution):
        fail_altered(execution.pk, now)
        return
    node = next(each for each in nodes_of(execution.plan) if each.id == step.node)
    stopping = _is_to_be_stopped(step)
    fence = _claimed(step, node, stopping, now)
    if fence is None:
        return
    params, problems = _rendered(execution, node)
    StepRun.objects.filter(pk=pk, fence=fence, state=StepRun.State.RUNNING).update(input=params)
    runner = RUNNERS[step.type]
    with beating(StepRun, pk, fence, StepRun.State.RUNNING) as beat:
        context = context_of(step, node, params, beat.lost, now)
        outcome = _unfit(problems) if problems else call(runner.stop if stopping else runner.run, context)
        if outcome.outcome == UNREACHED:
            logger.warning("The target of step %s is out of reach; who takes the step over asks again", pk)
            return
        report(step, fence, node, outcome)


def _unfit(problems: Sequence[str]) -> Outcome:
    """Return the outcome of a node whose package was given what does not fit its parameters."""
    return Outcome("failed", error="；".join(problems), outcome="not_sent")


def _is_to_be_stopped(step: StepRun) -> bool:
    """Tell whether the step has left something running outside of an execution that goes on no more."""
    return RUNNERS[step.type].leaves_running(step) and _cancelled(step.execution_id)()


def _claimed(step: StepRun, node: Node, stopping: bool, now: datetime) -> int | None:
    """Claim the step, or put it off and return None."""
    try:
        fence = claim_to_stop(step, now) if stopping else claim_step(step, node.acting, now)
    except HostBusy:
        if not step.execution.history.filter(kind="step.host_busy").exists():
            tell(step.execution, "step.host_busy", _("同主机上有另一条自愈正在处置，等它结束"), now, step=step.pk)
        postpone(step.pk)
        return None
    except NotClaimed:
        postpone(step.pk)
        return None
    step.refresh_from_db(fields=["state", "fence", "attempt"])
    return fence


def context_of(step: StepRun, node: Node, params: JSONDict, lost: threading.Event, now: datetime) -> StepContext:
    """Return what a runner may know and do for a step that this worker holds by the fence on it."""
    execution = step.execution
    mine = StepRun.objects.filter(pk=step.pk, fence=step.fence, state=StepRun.State.RUNNING)
    host, spare = _hosts(execution, node)
    return StepContext(
        step=step,
        execution=execution,
        params=params,
        raw_secrets=inner.secrets_of(execution.plan, node.inside, execution.version),
        timeout=min(node.timeout, max(1.0, (execution.deadline_at - now).total_seconds())),
        lost=lost,
        cancelled=_cancelled(execution.pk),
        begun=lambda journal: mine.update(journal=journal) == 1,
        show=_shown(mine),
        host=host,
        now=now,
        foreseen=execution.plan.get("foreseen", {}).get(str(node.id), {}),
        spare=spare,
        verdict=_verdict(execution, node) if node.type == inner.TYPE else "",
    )


def call(act: Callable[[StepContext], Outcome], context: StepContext) -> Outcome:
    """Let a runner do its work; what it did when it breaks is unknown."""
    try:
        return act(context)
    except Exception as error:  # the outermost frame of a runner: what it did is then unknown
        logger.exception("Unable to run step %s", context.step.pk)
        return Outcome("unknown", error=f"{type(error).__name__}: {error}", outcome="fault")


def _rendered(execution: Execution, node: Node) -> tuple[JSONDict, list[str]]:
    """Return the node's parameters with every variable filled in, and what does not fit the package that it is inside of."""
    results: dict[int, dict[str, str]] = {}
    around = {each.id: each.inside for each in nodes_of(execution.plan)}
    for step in present_steps(execution).values():
        if step.state in StepRun.ENDED:
            inside = around.get(step.node, 0)
            own = step.node % STRIDE if inside else step.node  # as its package's author calls it
            results.setdefault(inside, {}).update(variables.node_values(own, step.result, step.output, step.state))
    base = {**execution.plan.get("variables", {}), **scene.values(execution.plan, *_hosts(execution, node))}
    found, problems = inner.values_in(execution.plan, node.inside, base, results)
    return RUNNERS[node.type].render(dict(node.params or {}), found), problems


def _verdict(execution: Execution, node: Node) -> str:
    nodes = nodes_of(execution.plan)
    runs = {number: flow.Run(step.state, step.outcome) for number, step in present_steps(execution, nodes).items()}
    return flow.verdict(nodes, runs, node.id)


def _hosts(execution: Execution, node: Node) -> "tuple[JSONDict | None, JSONDict | None]":
    """Return the host that the node acts on, and its spare."""
    nodes = nodes_of(execution.plan)
    if not any(each.type in scene.MOVES for each in nodes):
        return scene.first_host(execution.plan), None
    return scene.hosts_at(execution.plan, nodes, node, present_steps(execution, nodes))


def _cancelled(execution_id: int) -> Callable[[], bool]:
    stopped = Execution.objects.filter(pk=execution_id).exclude(
        state=Execution.State.RUNNING, cancel_requested=False, deadline_at__gt=DbNow()
    )

    def asked() -> bool:
        try:
            return stopped.exists()
        except DatabaseError:  # asked again in a second; what runs outside goes on meanwhile
            logger.warning("Unable to ask whether execution %s was stopped", execution_id)
            connection.close_if_unusable_or_obsolete()
            return False

    return asked


def _shown(mine: "QuerySet[StepRun]") -> Callable[[str], None]:
    def show(output: str) -> None:
        try:
            mine.update(output=_clean(output)[:MAX_OUTPUT])
        except DatabaseError:  # the end of the run writes it all
            logger.warning("Unable to store the output of a step that is running")
            connection.close_if_unusable_or_obsolete()

    return show


def report(step: StepRun, fence: int, node: Node, outcome: Outcome) -> None:
    """Record what a worker found out, again and again while the database is away or in the way, for the time of a lease.

    What came of a step that acts once is known to this worker alone. A worker that was taken over meanwhile records nothing.
    """
    until = time.monotonic() + settings.FTA_LEASE_SECONDS
    while True:
        try:
            record(step, fence, node, outcome, timezone.now())
            return
        except LostLease:
            logger.warning("The lease of step %s was lost; what its worker found out is not recorded", step.pk)
            return
        except (OperationalError, InterfaceError):  # a deadlock, a lock that was not had in time, a restart
            if time.monotonic() >= until:
                raise
            logger.warning("Unable to record the end of step %s; tried again", step.pk, exc_info=True)
        connection.close_if_unusable_or_obsolete()
        time.sleep(RECORD_PAUSE_SECONDS)


def record(step: StepRun, fence: int, node: Node, outcome: Outcome, now: datetime) -> None:
    """Write the end of a claimed run and start what follows, in one transaction. Raises LostLease for a ghost."""
    with transaction.atomic():
        execution = lock(step.execution_id)
        state, fields = _settled(step, node, outcome, execution.cancel_requested, now)
        finish(StepRun, step.pk, fence, StepRun.State.RUNNING, state, **fields)
        StepAttempt.objects.filter(step=step, fence=fence).update(
            ended_at=now, state=outcome.state, error=_clean(outcome.error)[:MAX_ERROR]
        )
        if not (outcome.until and step.result):  # what is parked again has been told of
            tell(execution, f"step.{state}", _step_text(step, state, outcome), now, step=step.pk, node=step.node)
        after(execution, now)


def _settled(step: StepRun, node: Node, outcome: Outcome, cancelled: bool, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return the state into which a run leads, and what is written with it."""
    fields: dict[str, Any] = {
        "result": json.loads(_NUL.sub(r"\1", json.dumps(outcome.result))),
        "output": _clean(outcome.output)[:MAX_OUTPUT],
        "error": _clean(outcome.error)[:MAX_ERROR],
        "outcome": outcome.outcome[:16],
        "not_before": None,
    }
    if outcome.state == "waiting":
        polled = {"not_before": outcome.until, "attempt": F("attempt") - 1} if outcome.until else {}
        return StepRun.State.WAITING, {**fields, **polled}
    if not cancelled and _is_retried(step, node, outcome):
        return StepRun.State.READY, {**fields, "not_before": lease(node.retries.wait(step.attempt))}
    return outcome.state, {**fields, "ended_at": now}


def _clean(text: str) -> str:
    """Return text without secrets and without NUL, which PostgreSQL cannot store."""
    return redact(text).replace("\x00", "")


def _is_retried(step: StepRun, node: Node, outcome: Outcome) -> bool:
    """Tell whether the policy lets the step be started again: `once` only when nothing had reached the target."""
    if outcome.state not in ("failed", "unknown") or step.attempt > node.retries.count:
        return False
    return outcome.retryable or step.policy == StepRun.Policy.IDEMPOTENT


def after(execution: Execution, now: datetime) -> None:
    """Start what follows the steps that have ended, or end the execution; the caller holds the execution's lock."""
    if execution.state in Execution.ENDED:  # while a step of it ran, as one whose plan was altered
        cancel_steps(execution, "ended", execution.reason, now)
    if execution.state != Execution.State.RUNNING:
        return
    nodes, restarts = nodes_of(execution.plan), restarts_of(execution)
    present = present_steps(execution, nodes, restarts)
    runs = {node: flow.Run(step.state, step.outcome) for node, step in present.items()}
    alone = frozenset(each.node for each in restarts if each.only and _is_present(present, each))
    ahead = flow.advance(nodes, runs, alone)
    late = not Execution.objects.filter(pk=execution.pk, deadline_at__gt=DbNow()).exists()
    if (execution.cancel_requested or late) and ahead.result not in Execution.WELL:
        stop_running(execution, now, late)
    elif ahead.result:
        end_execution(execution, ahead.result, _why(ahead.result, present), now)
    else:
        start_nodes(execution, nodes, present, ahead.start)


def start_nodes(
    execution: Execution,
    nodes: list[Node],
    present: dict[int, StepRun],
    start: list[tuple[int, int | None]],
) -> None:
    """Write the steps of the nodes that start now, all of the present round."""
    by_id = {node.id: node for node in nodes}
    iteration = round_of(execution)
    for node_id, permit in start:
        create_step(execution, by_id[node_id], iteration, present[permit] if permit else None)


def round_of(execution: Execution) -> int:
    """Return the present round of an execution: 1, and one more for each time that a person had something done again."""
    return execution.steps.aggregate(last=Max("iteration"))["last"] or 1


def _is_present(present: dict[int, StepRun], restart: flow.Restart) -> bool:
    step = present.get(restart.node)
    return step is not None and step.iteration == restart.iteration


def stop_running(execution: Execution, now: datetime, late: bool) -> None:
    """Cancel what waits and, once nothing runs any more, end an execution that a person or its deadline stopped."""
    outcome, reason = ("deadline", _("超过时限")) if late else ("cancelled", execution.reason or _("已停止"))
    outside = _stop_outside(execution)
    cancel_steps(execution, outcome, reason, now, but=outside)
    if outside or execution.steps.filter(state=StepRun.State.RUNNING).exists():
        return
    unknown = execution.steps.filter(state=StepRun.State.UNKNOWN).exists()
    stopped = Execution.State.FAILED if late and not execution.cancel_requested else Execution.State.CANCELLED
    end_execution(execution, Execution.State.UNKNOWN if unknown else stopped, reason, now)


def _stop_outside(execution: Execution) -> list[int]:
    """Have the workers end what parked steps have left running outside; return these steps, which are waited for."""
    parked = execution.steps.filter(state__in=(StepRun.State.READY, StepRun.State.WAITING))
    found = [step.pk for step in parked if RUNNERS[step.type].leaves_running(step)]
    if found:
        StepRun.objects.filter(pk__in=found).update(not_before=DbNow())
    for pk in found:
        doorbell.ring("step", pk)
    return found


def present_steps(
    execution: Execution, nodes: list[Node] | None = None, restarts: list[flow.Restart] | None = None
) -> dict[int, StepRun]:
    """Return the step of each node that counts now (see flow.present)."""
    nodes = nodes_of(execution.plan) if nodes is None else nodes
    restarts = restarts_of(execution) if restarts is None else restarts
    return flow.present(nodes, execution.steps.order_by("id"), restarts)


def restarts_of(execution: Execution) -> list[flow.Restart]:
    """Return the nodes that people had done again; their lines of history say which and how."""
    told = execution.history.filter(kind="retry")
    return [flow.Restart(line.data["node"], line.data["iteration"], line.data["only"]) for line in told]


def _why(result: str, present: dict[int, StepRun]) -> str:
    """Return the reason of an end: what the step said that led to it."""
    telling = {
        Execution.State.FAILED: StepRun.State.FAILED,
        Execution.State.UNKNOWN: StepRun.State.UNKNOWN,
        Execution.State.CANCELLED: StepRun.State.CANCELLED,
    }
    states = [telling[Execution.State(result)]] if result in telling else [StepRun.State.SKIPPED, StepRun.State.FAILED]
    if result in (Execution.State.SUCCEEDED, Execution.State.ALMOST):
        return ""
    found = [step for state in states for step in present.values() if step.state == state]
    if not found:
        return ""
    what = found[-1].error or found[-1].output.strip() or found[-1].get_state_display()
    return f"{named(found[-1])}：{what}"[:500]


def named(step: StepRun) -> str:
    """Return how lines of history call a step."""
    return _("节点 %(node)s「%(name)s」") % {"node": path_of(step.node), "name": step.name or step.type}


def _step_text(step: StepRun, state: str, outcome: Outcome) -> str:
    if state == StepRun.State.READY:
        what = _("第 %(attempt)s 次没有成功，稍后重试") % {"attempt": step.attempt}
    elif state == StepRun.State.WAITING and outcome.until is None:
        what = _("等待审批")
    else:
        what = str(StepRun.State(state).label)
    return f"{named(step)}：{what}" + (f"（{_clean(outcome.error)[:200]}）" if outcome.error else "")


def wake(pk: int) -> None:
    """Make a parked step whose time has come ready to run again."""
    woken = StepRun.objects.filter(pk=pk, state=StepRun.State.WAITING, not_before__lte=DbNow())
    if woken.update(state=StepRun.State.READY, not_before=None):
        doorbell.ring("step", pk)


def fail_altered(execution_id: int, now: datetime) -> None:
    """End an execution whose stored plan is not the one that was frozen, and tell the maintainers."""
    with transaction.atomic():
        execution = lock(execution_id)
        if execution.state in Execution.ENDED:
            return
        reason = _("计划内容与其校验值不符，没有执行")
        end_execution(execution, Execution.State.FAILED, reason, now, "altered")
        text = _("自愈 #%(id)s 的计划在冻结之后被改动，已拒绝执行") % {"id": execution_id}
        signals.announce(signals.system_fault, text=text, subject=f"execution:{execution_id}:altered")
