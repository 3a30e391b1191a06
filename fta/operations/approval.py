"""What a decision sets going. The approvals floor calls these in the decision's own transaction."""

from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from fta import audit
from fta.engine import doorbell
from fta.healing.ending import end_execution
from fta.healing.history import lock, shift, tell
from fta.healing.runners.spare_host import SpareHostRunner, chosen
from fta.healing.steps import after, named
from fta.models import Execution, StepRun
from fta.models.engine import NotInState


@transaction.atomic
def release(execution: Execution, now: datetime, actor: str, reason: str) -> None:
    """Let a held execution start: its gate approval was given. The caller has locked it. Raises NotInState."""
    _must_be_held(execution)
    shift(
        execution, Execution.State.READY, now, _("%(actor)s 同意执行：%(reason)s") % {"actor": actor, "reason": reason}
    )
    audit.record(actor, "execution.release", execution, at=now, reason=reason, plan_sha256=execution.plan_sha256)
    doorbell.ring("execution", execution.pk)


@transaction.atomic
def refuse(execution: Execution, now: datetime, actor: str, outcome: str, reason: str) -> None:
    """End a held execution: it was `refused`, or nobody answered and it `expired`. The caller has locked it. Raises NotInState."""
    _must_be_held(execution)
    why = (_("审批过期：%(reason)s") if outcome == "expired" else _("审批驳回：%(reason)s")) % {"reason": reason}
    audit.record(actor, "execution.refuse", execution, at=now, outcome=outcome, reason=reason)
    # What has begun is a retry: that something was done before stays visible.
    ends = Execution.State.FAILED if execution.begun else Execution.State.SKIPPED
    end_execution(execution, ends, why, now, outcome)


def _must_be_held(execution: Execution) -> None:
    if execution.state != Execution.State.HELD:
        raise NotInState(Execution, execution.pk, Execution.State.HELD)


@transaction.atomic
def settle_approval_step(
    step_id: int, approved: bool, outcome: str, actor: str, reason: str, now: datetime, comment: str = ""
) -> None:
    """End an approval node by the decision about it, and start what follows. Raises NotInState, InvalidChoice.

    A node that offers a choice goes on with what the `comment` chooses. An answer may come before the worker that asked has
    parked the step; taking the step over (a new fence) settles it all the same.
    """
    step = StepRun.objects.get(pk=step_id)
    execution = lock(step.execution_id)
    goes_on = approved and step.type == SpareHostRunner.type
    result = chosen(step.result, comment) if goes_on else step.result
    state = StepRun.State.READY if goes_on else StepRun.State.SUCCEEDED if approved else StepRun.State.FAILED
    asked = StepRun.objects.filter(
        pk=step_id,
        type__in=("approval", SpareHostRunner.type),
        state__in=(StepRun.State.WAITING, StepRun.State.RUNNING),
    )
    changed = asked.update(
        state=state,
        fence=F("fence") + 1,
        lease_until=None,
        outcome=outcome,
        result={**result, "decided_by": actor, "comment": reason},
        error="" if approved else reason,
        ended_at=None if goes_on else now,
    )
    if changed != 1:
        raise NotInState(StepRun, step_id, StepRun.State.WAITING)
    words = {"approved": _("已同意"), "refused": _("已驳回"), "expired": _("已过期")}
    text = f"{named(step)}：{words.get(outcome, outcome)}（{actor}：{reason}）"
    tell(execution, f"step.{state}", text, now, step=step_id, node=step.node, outcome=outcome)
    audit.record(actor, "step.settle_approval", step, at=now, outcome=outcome, reason=reason)
    if goes_on:
        doorbell.ring("step", step_id)
    after(execution, now)
