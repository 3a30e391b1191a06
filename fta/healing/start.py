"""Start an execution that is ready, unless its plan drifted, a person has to be asked, or its place is taken."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from fta import audit, ports
from fta.healing import inner
from fta.healing.claims import not_halted
from fta.healing.ending import end_execution
from fta.healing.history import lock, shift, tell
from fta.healing.plan import drift, freeze, host_drift, is_intact, is_void, nodes_of
from fta.healing.steps import after, fail_altered
from fta.models import Execution, Mode, StepRun
from fta.models.engine import DbNow
from fta.models.packages import stricter

SLOT_PATIENCE = timedelta(seconds=60)  # the end of the one that holds the place wakes earlier
HELD_GRACE = timedelta(seconds=60)


def start_ready(pk: int, now: datetime) -> None:
    """Bring one ready execution on: run it, ask for it, let it wait its turn, or end it."""
    with transaction.atomic():
        execution = lock(pk)
        if execution.state != Execution.State.READY:
            return
        if not is_intact(execution):
            fail_altered(pk, now)
            return
        if end_void(execution, now) or _ends_unstarted(execution, now):
            return
        if not Execution.objects.filter(not_halted(), pk=pk).exists():
            return
        if not _asks(execution, now):
            _run(execution, now)


def _ends_unstarted(execution: Execution, now: datetime) -> bool:
    """End an execution that must not start any more; tell whether it was one."""
    mode = mode_now(execution)
    if execution.cancel_requested:
        end_execution(execution, Execution.State.CANCELLED, _("已停止"), now)
    elif not Execution.objects.filter(pk=execution.pk, deadline_at__gt=DbNow()).exists():
        end_execution(execution, Execution.State.FAILED, _("超过时限，没有开始"), now)
    elif mode in (Mode.OFF, Mode.SHADOW):
        reason = _("套餐或规则已改为「%(mode)s」，没有执行") % {"mode": Mode(mode).label}
        end_execution(execution, Execution.State.SKIPPED, reason, now)
    elif execution.plan.get("problems"):
        end_execution(execution, Execution.State.FAILED, "；".join(execution.plan["problems"]), now)
    else:
        return False
    return True


def end_void(execution: Execution, now: datetime) -> bool:
    """End a locked execution that waits for nothing any more (see plan.is_void), and void its approval; tell whether it was one."""
    if execution.state in Execution.ENDED or not is_void(execution):
        return False
    reason = _("告警已恢复，规则要求不再执行")
    ports.gate().supersede(execution, reason, now)
    end_execution(execution, Execution.State.SKIPPED, reason, now)
    audit.record("system", "execution.void", execution, at=now, reason=reason)
    return True


def mode_now(execution: Execution) -> str:
    """Return how far the portal may go with this execution by the settings of today, its own and those it stems from."""
    modes = [execution.mode]
    modes += [execution.package.mode] if execution.package else []
    modes += inner.modes_now(execution.plan)
    modes += [execution.rule.mode] if execution.rule else []
    return stricter(*modes)


def _asks(execution: Execution, now: datetime) -> bool:
    """Ask a person when the plan drifted from what was approved, or nobody has approved yet; tell whether it was so."""
    needed = execution.needs_approval or mode_now(execution) == Mode.APPROVAL
    if not needed:
        changes = host_drift(execution)
        if changes:
            refreeze(execution, changes, now, current=False)
        return False
    changes = drift(execution)
    if changes:
        ports.gate().supersede(execution, "；".join(changes), now)
        refreeze(execution, changes, now)
    elif execution.needs_approval and ports.gate().approved(execution):
        return False
    hold(execution, changes or [_("按现行设置需要审批")], now)
    return True


def refreeze(execution: Execution, changes: Sequence[str], now: datetime, *, current: bool = True) -> None:
    """Freeze the plan of a locked execution anew, with the package's `current` version or its own; both hashes are audited.

    What has begun stays with the version, the packages inside and the parameters that its steps were made of. A yes that was
    given on its way was given to the old plan: what stands on it stands on a fresh yes at the gate instead.
    """
    package, rule, old = execution.package, execution.rule, execution.plan_sha256
    fresh = package.current if package and current and not execution.begun else None
    version = fresh or execution.version
    if version is None:
        return
    kept = execution.begun and is_intact(execution)
    params = rule.parameters if rule and not kept else execution.plan.get("given", {})
    graph = inner.graph_of(execution.plan) if kept else None
    plan = freeze(execution, rule, version, params, now, graph)
    needed = execution.needs_approval or execution.begun
    Execution.objects.filter(pk=execution.pk, plan_sha256=old).update(
        plan=plan.data, plan_sha256=plan.sha256, version=version, needs_approval=needed
    )
    execution.steps.filter(state=StepRun.State.READY, plan_sha256=old).update(plan_sha256=plan.sha256, permit=None)
    execution.plan, execution.plan_sha256, execution.version = plan.data, plan.sha256, version
    execution.needs_approval = needed
    tell(execution, "plan.refrozen", _("计划已重新冻结：%(changes)s") % {"changes": "；".join(changes)}, now)
    audit.record("system", "execution.refreeze", execution, at=now, old=old, new=plan.sha256, changes=list(changes))


def hold(execution: Execution, reasons: Sequence[str], now: datetime) -> None:
    """Hold a locked execution until a person has approved its plan, and ask."""
    text = _("等待审批：%(reasons)s") % {"reasons": "；".join(reasons)}
    shift(execution, Execution.State.HELD, now, text, needs_approval=True, hold_reasons=list(reasons), ended_at=None)
    ports.gate().ask_execution(execution, reasons, now)


def _run(execution: Execution, now: datetime) -> None:
    """Start, or go back to sleep when another execution of the package runs on the host, or one of any package acts there."""
    if _host_is_taken(execution):
        _wait(execution, _("同主机上有另一条自愈正在处置，等它结束"), now)
        return
    try:
        with transaction.atomic():
            shift(execution, Execution.State.RUNNING, now, _("开始执行"), started_at=execution.started_at or now)
    except IntegrityError:
        _wait(execution, _("同一套餐正在这台主机上执行，等它结束"), now)
        return
    execution.steps.filter(state=StepRun.State.READY).update(plan_sha256=execution.plan_sha256)
    after(execution, now)


def _host_is_taken(execution: Execution) -> bool:
    """Tell whether to start would only mean to wait for the host: the claim of an acting step decides it for good."""
    if not execution.host_id or not any(node.acting for node in nodes_of(execution.plan)):
        return False
    acting = Execution.objects.filter(host=execution.host_id, state=Execution.State.RUNNING, acting=True)
    return acting.exclude(pk=execution.pk).exists()


def _wait(execution: Execution, text: str, now: datetime) -> None:
    shift(execution, Execution.State.SLEEPING, now, text, wake_at=now + SLOT_PATIENCE)


def end_late(pk: int, now: datetime) -> None:
    """End an execution that is out of time, or was stopped, and of which no step is running any more."""
    with transaction.atomic():
        execution = lock(pk)
        if execution.state == Execution.State.RUNNING:
            after(execution, now)
        elif execution.state == Execution.State.HELD:
            end_execution(execution, Execution.State.SKIPPED, _("超过时限，没有人审批"), now)


def startable() -> QuerySet[Execution]:
    """Return the executions that are ready and not halted, or too late to wait for that."""
    return Execution.objects.filter(not_halted() | Q(deadline_at__lte=DbNow()), state=Execution.State.READY)


def overdue() -> QuerySet[Execution]:
    """Return the executions that are out of time and that no step of theirs, nor the expiry of an approval, is about to end."""
    busy = Exists(StepRun.objects.filter(execution=OuterRef("pk"), state=StepRun.State.RUNNING))
    running = Q(state=Execution.State.RUNNING) & ~Q(busy)
    held = Q(state=Execution.State.HELD, deadline_at__lte=DbNow() - HELD_GRACE)
    return Execution.objects.filter(running | held, ended_at=None, deadline_at__lte=DbNow())
