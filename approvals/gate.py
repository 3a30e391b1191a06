"""The approval gate, as the healing domain knows it (fta.ports.Gate)."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from approvals import services
from approvals.models import Approval, ApprovalQuerySet, Decision
from fta.models import Execution, StepRun


class Gate:
    """Ask people, and know whether they said yes."""

    def ask_execution(self, execution: Execution, reasons: Sequence[str], now: datetime) -> int:
        """Open an approval of the execution's plan before it starts; return its id."""
        return services.open_gate(execution, reasons, now).pk

    def ask_step(self, step: StepRun, message: str, policy: str, now: datetime) -> int:
        """Open an approval for an approval node; return its id."""
        return services.open_node(step, message, policy, now).pk

    def withdraw(self, execution: Execution, reason: str, now: datetime) -> None:
        """Cancel every pending approval of an execution that ended."""
        services.withdraw(execution, reason, now)

    def supersede(self, execution: Execution, reason: str, now: datetime) -> None:
        """Void the approvals of an execution whose plan drifted."""
        services.supersede(execution, reason, now)

    def permits(self) -> Q:
        """Return a condition on StepRun: everything that had to be approved was, on exactly this plan.

        EXISTS subqueries only, so that the claim's UPDATE evaluates it in the same statement.
        """
        free = Execution.objects.filter(pk=OuterRef("execution_id"), needs_approval=False)
        given = _given().filter(plan_sha256=OuterRef("plan_sha256"))
        at_gate = given.filter(kind=Approval.Kind.GATE, execution_id=OuterRef("execution_id"))
        at_node = given.filter(kind=Approval.Kind.NODE, step_id=OuterRef("permit_id"))
        return (Q(Exists(free)) | Q(Exists(at_gate))) & (Q(permit_id=None) | Q(Exists(at_node)))

    def approved(self, execution: Execution) -> bool:
        """Tell whether the gate approval of exactly this execution's present plan was given."""
        present = Execution.objects.filter(pk=execution.pk).values("plan_sha256")[:1]
        given = _given().filter(kind=Approval.Kind.GATE, execution_id=execution.pk)
        return given.filter(plan_sha256=present).exists()


def _given() -> ApprovalQuerySet:
    """Return the approvals that were given: a state that says so without anybody's yes beside it is none."""
    yes = Decision.objects.filter(approval=OuterRef("pk"), answer=Decision.Answer.APPROVE)
    return Approval.objects.filter(Exists(yes), state=Approval.State.APPROVED)
