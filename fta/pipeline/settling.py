"""Move an execution to where its verdict and its mode put it."""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from fta.convergence import Verdict
from fta.engine import doorbell
from fta.healing.ending import end_execution
from fta.healing.history import shift
from fta.healing.start import hold
from fta.models import Execution, Mode
from fta.pipeline.asking import reasons_to_ask
from fta.pipeline.budget import gather_over_budget, over_budget

State = Execution.State
WAKE_AFTER = timedelta(seconds=60)
_ENDS = {"skip": State.SKIPPED, "below": State.BELOW_THRESHOLD}


def settle(execution: Execution, verdict: Verdict, now: datetime) -> None:
    """Move an execution to where its verdict and its mode put it. Raises NotInState when somebody moved it meanwhile."""
    marks = marks_of(verdict)
    if execution.mode == Mode.SHADOW:
        reason = _("演练，未实际执行。%(reason)s") % {"reason": verdict.reason}
        shift(execution, State.SHADOWED, now, reason, reason=reason, ended_at=now, **marks)
    elif verdict.kind in _ENDS and execution.state == State.CONVERGING:
        to = _ENDS[verdict.kind]  # it is new: nobody was asked about it, and nobody waits for it
        shift(execution, to, now, verdict.reason, reason=verdict.reason, ended_at=now, **marks)
    elif verdict.kind in _ENDS:
        _mark(execution, marks)
        end_execution(execution, State.SKIPPED, verdict.reason, now)
    elif verdict.kind == "wait":
        _sleep(execution, verdict, now)
    else:
        _mark(execution, marks)
        set_going(execution, [verdict.reason] if verdict.kind == "approve" else [], now)


def _sleep(execution: Execution, verdict: Verdict, now: datetime) -> None:
    marks = {**marks_of(verdict), "reason": verdict.reason, "wake_at": now + WAKE_AFTER}
    if execution.state == State.SLEEPING:
        _mark(execution, marks)
    else:
        shift(execution, State.SLEEPING, now, verdict.reason, **marks)


def set_going(execution: Execution, asked: list[str], now: datetime) -> None:
    """Have an execution run, unless `asked`, the package or its budget names a reason for a person to approve it first."""
    over = over_budget(execution, now)
    if over:
        gather_over_budget(execution, now)
    if reasons := asked + reasons_to_ask(execution.mode, execution.package) + over:
        hold(execution, reasons, now)
    else:
        hand_on(execution, now)


def hand_on(execution: Execution, now: datetime) -> None:
    """Have an execution run as soon as there is room."""
    shift(execution, State.READY, now, _("等待执行"), reason="", wake_at=None)
    doorbell.ring("execution", execution.pk)


def marks_of(verdict: Verdict) -> dict[str, object]:
    """Return the columns that tell what convergence said; an incident that the execution is in already stays."""
    marks: dict[str, object] = {"verdict": verdict.kind, "verdict_rule_id": verdict.rule_id}
    return marks | ({"incident_id": verdict.incident_id} if verdict.incident_id else {})


def _mark(execution: Execution, marks: dict[str, object]) -> None:
    Execution.objects.filter(pk=execution.pk, state=execution.state).update(**marks)
    for name, value in marks.items():
        setattr(execution, name, value)
