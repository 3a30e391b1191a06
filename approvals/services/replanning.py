"""An approval holds for one plan. When that plan is no longer what would run, the question is void and is asked again."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from approvals.models import Approval
from approvals.services import ending, opening
from fta.healing import plan, start
from fta.models import Execution


def changes(approval: Approval, seen_sha256: str | None, approving: bool) -> list[str]:
    """Return what changed since the question was asked, in words; nothing for an approval of another system.

    Saying no to a plan that changed meanwhile does no harm, so drift stands only against a yes.
    """
    execution = approval.execution
    if execution is None:
        return []
    if seen_sha256 is not None and seen_sha256 != approval.plan_sha256:
        return [_("你看到的是另一份计划")]
    if execution.plan_sha256 != approval.plan_sha256:
        return [_("执行的计划已重新生成")]
    shown = approval.evidence.get("changes", [])
    return [line for line in plan.drift(execution) if line not in shown] if approving else []


def ask_again(approval_id: int, changed: Sequence[str], now: datetime) -> Approval | None:
    """Void a pending approval whose plan changed and open the next round, which shows what changed.

    Returns None when the approval itself still fits and only the reader's page was old, or when nothing is to be done any more.
    """
    approval = ending.lock(approval_id)
    execution = approval.execution
    if approval.state != Approval.State.PENDING or execution is None or start.end_void(execution, now):
        return None
    if not _stale(approval, execution):
        return None
    shown = [*approval.evidence.get("changes", []), *changed]
    ending.end(approval, Approval.State.SUPERSEDED, "；".join(changed), now)
    if approval.kind == Approval.Kind.NODE and approval.step:
        policy = approval.policy.name if approval.policy else ""
        return opening.open_node(approval.step, approval.message, policy, now, changes=shown)
    if execution.state == Execution.State.HELD:
        start.refreeze(execution, changed, now)
    return opening.open_gate(execution, execution.hold_reasons, now, changes=shown)


def _stale(approval: Approval, execution: Execution) -> bool:
    return bool(changes(approval, None, approving=True)) or execution.plan_sha256 != approval.plan_sha256
