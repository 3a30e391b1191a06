"""How an execution ends, and what its end sets going."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.utils.translation import gettext as _

from fta import ports, signals
from fta.engine import doorbell
from fta.healing import spares
from fta.healing.history import shift, tell
from fta.models import Execution, Member, Package, StepRun

FAILURES_UNTIL_APPROVAL = 3  # after so many in a row a package runs only with approval
WOKEN_AT_ONCE = 50
VERIFY_WITHIN = 600  # seconds, for executions without a rule


def end_execution(execution: Execution, result: str, reason: str, now: datetime, outcome: str = "ended") -> None:
    """End an execution in the caller's transaction: state, history, pending approvals, the package's record, those who wait.

    Steps that wait to be run are cancelled with the `outcome`: a retry makes steps of its own, and one that was left ready would
    act beside them. Raises NotInState when it was moved meanwhile, IllegalMove for an end that its state does not allow.
    """
    if execution.begun:
        cancel_steps(execution, outcome, reason, now)
    fields: dict[str, object] = {"ended_at": now, "reason": reason or execution.reason}
    if _is_to_be_judged(execution, result):
        within = execution.rule.verify_within if execution.rule else VERIFY_WITHIN
        fields |= {"healed": Execution.Healed.PENDING, "verify_at": now + timedelta(seconds=within)}
    ran = execution.state == Execution.State.RUNNING
    shift(execution, result, now, _end_text(result, reason), **fields)
    ports.gate().withdraw(execution, reason or str(Execution.State(result).label), now)
    if ran:  # the end of what only waited, as of a retry that was refused, says nothing about the package
        _count_for_package(execution, result)
    if any(node["type"] == "spare_host" for node in execution.plan.get("nodes", [])):
        spares.release(execution)
    wake_sleepers(execution, now)
    if execution.host_id:
        _wake_steps(execution.host_id)


def cancel_steps(execution: Execution, outcome: str, reason: str, now: datetime, but: Collection[int] = ()) -> None:
    """Cancel the steps that wait to be run, `but` these; one that a worker takes at this moment is running, and left to it."""
    waiting = execution.steps.filter(state__in=(StepRun.State.READY, StepRun.State.WAITING))
    for step in waiting.exclude(pk__in=but).order_by("pk"):
        cancelled = waiting.filter(pk=step.pk).update(
            state=StepRun.State.CANCELLED, outcome=outcome, error=reason, ended_at=now
        )
        if cancelled:
            text = _("节点 %(node)s 已停止：%(reason)s") % {"node": step.node, "reason": reason}
            tell(execution, "step.cancelled", text, now)


def wake_sleepers(execution: Execution, now: datetime) -> None:
    """Have those looked at again that may have waited for this execution: same host, or a group of a convergence rule in common.

    The group and not the incident: an incident opened after another one waits for the executions of that one too. The eldest
    are woken, and whichever of them ends wakes the next: a storm that waits for one host is not judged as a whole at each end.
    One that another worker judges just now is left alone, for two that end at once would wait for each other's rows; should
    it sleep on, it is looked at within a minute.
    """
    groups = Member.objects.filter(execution=execution).values("group_key")
    same = Q(memberships__group_key__in=groups)
    if execution.host_id:
        same |= Q(host=execution.host_id)
    waiting = Execution.objects.filter(same, state=Execution.State.SLEEPING).exclude(pk=execution.pk)
    eldest = list(waiting.order_by("pk").values_list("pk", flat=True).distinct()[:WOKEN_AT_ONCE])
    free = Execution.objects.select_for_update(skip_locked=True)
    ids = list(free.filter(pk__in=eldest, state=Execution.State.SLEEPING).order_by("pk").values_list("pk", flat=True))
    Execution.objects.filter(pk__in=ids, state=Execution.State.SLEEPING).update(wake_at=now)
    for pk in ids:
        doorbell.ring("sleeper", pk)


def _wake_steps(host_id: int) -> None:
    """Have the steps looked at again that could not begin to act on this host; one that failed keeps its delay.

    One that another worker looks at just now is left alone, as in wake_sleepers; it is looked at again in a moment.
    """
    put_off = StepRun.objects.filter(
        execution__host=host_id, execution__state=Execution.State.RUNNING, state=StepRun.State.READY, attempt=0
    )
    eldest = list(put_off.exclude(not_before=None).order_by("pk").values_list("pk", flat=True)[:1000])
    free = StepRun.objects.select_for_update(skip_locked=True, no_key=True)
    ids = list(free.filter(pk__in=eldest, state=StepRun.State.READY).order_by("pk").values_list("pk", flat=True))
    StepRun.objects.filter(pk__in=ids, state=StepRun.State.READY).update(not_before=None)
    for pk in ids:
        doorbell.ring("step", pk)


def _is_to_be_judged(execution: Execution, result: str) -> bool:
    """Tell whether the alert decides if this was a healing: something was done, and it went well."""
    if result not in (Execution.State.SUCCEEDED, Execution.State.ALMOST) or execution.alert_id is None:
        return False
    acting = [node["id"] for node in execution.plan.get("nodes", []) if node.get("acting")]
    return execution.steps.filter(node__in=acting, state=StepRun.State.SUCCEEDED).exists()


def _count_for_package(execution: Execution, result: str) -> None:
    if execution.package_id is None:
        return
    package = Package.objects.filter(pk=execution.package_id)
    if result in (Execution.State.SUCCEEDED, Execution.State.ALMOST):
        package.exclude(failures_in_a_row=0).update(failures_in_a_row=0)
    elif result == Execution.State.FAILED:
        package.update(failures_in_a_row=F("failures_in_a_row") + 1)
        name, failures = package.values_list("name", "failures_in_a_row").get()
        if failures == FAILURES_UNTIL_APPROVAL:
            text = _("套餐「%(name)s」已连续失败 %(count)s 次，之后的执行都需要审批") % {
                "name": name,
                "count": failures,
            }
            signals.announce(signals.system_fault, text=text, subject=f"package:{execution.package_id}:failures")


def _end_text(result: str, reason: str) -> str:
    label = str(Execution.State(result).label)
    return f"{label}：{reason}" if reason else label
