"""What becomes of a step whose worker vanished: looked up where it can be, begun again where that is no second time, else unknown.

Two workers never begin one step. A step is made ready again only when nothing was sent (its row names no journal, or the host has
sealed the entry of that journal unbegun), or when its policy allows a second time.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.engine import doorbell
from fta.engine.claim import NotClaimed, beating
from fta.healing.claims import LOST, take_over
from fta.healing.history import lock, tell
from fta.healing.plan import is_intact, nodes_of
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.healing.runners.running import NEVER, UNREACHED
from fta.healing.steps import CRASHES, MAX_ERROR, after, call, context_of, named, report
from fta.models import StepAttempt, StepRun
from fta.models.engine import DbNow

AWAY = timedelta(minutes=2)  # beyond a step's own time, until a target that cannot be reached makes its result unknown


def reap(pk: int, now: datetime) -> None:
    """Settle a step whose worker let the lease lapse."""
    step = StepRun.objects.select_related("execution__version", "execution__host").get(pk=pk)
    if step.journal:
        _look_up(step, now)
        return
    lapsed = StepRun.objects.filter(pk=pk, fence=step.fence, journal="", lease_until__lt=DbNow())
    _settle(step, lapsed, Outcome("unknown"), RUNNERS[step.type].journaled, now)


def _look_up(step: StepRun, now: datetime) -> None:
    """Ask the target what came of the step, under a lease of our own, and go on from there."""
    try:
        step.fence = take_over(step, now)
    except NotClaimed:
        return
    if not step.execution.history.filter(kind="step.taken_over", data__step=step.pk).exists():
        looking = _("正在向目标核对结果")
        text = f"{named(step)}：{_(LOST)}，{looking}"
        tell(step.execution, "step.taken_over", text, now, step=step.pk)
    node = next(each for each in nodes_of(step.execution.plan) if each.id == step.node)
    if is_intact(step.execution):
        with beating(StepRun, step.pk, step.fence, StepRun.State.RUNNING) as beat:
            outcome = call(RUNNERS[step.type].resume, context_of(step, node, dict(step.input), beat.lost, now))
    else:  # its hosts and credentials are nobody's that was asked
        outcome = Outcome("unknown", error=_("计划内容与其校验值不符，没有去核对"))
    now = timezone.now()
    if (
        outcome.outcome == UNREACHED
        and step.started_at
        and now < step.started_at + timedelta(seconds=node.timeout) + AWAY
    ):
        return  # no worker is held until the target is back: the lease lapses, and it is asked again
    if outcome.state == "unknown" or outcome.outcome == NEVER:
        mine = StepRun.objects.filter(pk=step.pk, fence=step.fence)
        _settle(step, mine, outcome, outcome.outcome == NEVER, now)
        return
    report(step, step.fence, node, outcome)


def _settle(step: StepRun, rows: "QuerySet[StepRun]", outcome: Outcome, unbegun: bool, now: datetime) -> None:
    """Make the step ready again, or end it, if it is still among `rows`."""
    asked = RUNNERS[step.type].leaves_running(step)  # what vanished had only asked how it gets on
    state, text = StepRun.State.UNKNOWN, outcome.error or _("执行进程失去联系，结果未知")
    fields: dict[str, Any] = {"output": outcome.output} if outcome.output else {}
    if unbegun:
        text = _("执行进程失去联系时还没有开始做")
        state = StepRun.State.READY if step.attempts.count() < step.max_attempts + CRASHES else StepRun.State.FAILED
        fields["attempt"] = F("attempt") - 1
    elif asked or step.policy == StepRun.Policy.IDEMPOTENT:
        state = StepRun.State.READY if asked or step.attempt < step.max_attempts else StepRun.State.FAILED
    with transaction.atomic():
        execution = lock(step.execution_id)
        if not rows.filter(state=StepRun.State.RUNNING).update(
            state=state,
            fence=F("fence") + 1,
            lease_until=None,
            error=text[:MAX_ERROR],
            outcome="lost",
            ended_at=None if state == StepRun.State.READY else now,
            **fields,
        ):
            return
        StepAttempt.objects.filter(step=step, fence=step.fence).update(ended_at=now, state="unknown", error=text)
        tell(execution, f"step.{state}", f"{named(step)}：{text}", now, step=step.pk, node=step.node)
        if state == StepRun.State.UNKNOWN:
            fault = _("自愈 #%(id)s 的「%(step)s」结果未知，需要人工确认") % {"id": execution.pk, "step": step.name}
            signals.announce(signals.system_fault, text=fault, subject=f"step:{step.pk}:unknown")
        if state == StepRun.State.READY:
            doorbell.ring("step", step.pk)
        after(execution, now)
