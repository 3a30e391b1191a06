"""The stage of the healing tests: a gate that answers as told, a runner that does as told."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from fta.engine.loop import Engine
from fta.healing.plan import freeze
from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault
from fta.lib.types import JSONDict
from fta.models import AuditEntry, Execution, StepRun
from tests import factories

GATE = "tests.fta.stage.FakeGate"


class FakeGate:
    """Remembers what it was asked; `yes` holds approved plan hashes, `passed` the approval steps that were approved."""

    asked: ClassVar[list[tuple[Any, ...]]] = []
    yes: ClassVar[set[str]] = set()
    passed: ClassVar[set[int]] = set()

    @classmethod
    def reset(cls) -> None:
        cls.asked.clear()
        cls.yes.clear()
        cls.passed.clear()

    @classmethod
    def told(cls, verb: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in cls.asked if entry[0] == verb]

    def ask_execution(self, execution: Execution, reasons: Sequence[str], now: datetime) -> int:
        self.asked.append(("execution", execution.pk, list(reasons), execution.plan_sha256))
        return len(self.asked)

    def ask_step(self, step: StepRun, message: str, policy: str, now: datetime) -> int:
        self.asked.append(("step", step.pk, message, policy))
        return len(self.asked)

    def withdraw(self, execution: Execution, reason: str, now: datetime) -> None:
        self.asked.append(("withdraw", execution.pk, reason))

    def supersede(self, execution: Execution, reason: str, now: datetime) -> None:
        self.asked.append(("supersede", execution.pk, reason))

    def permits(self) -> Q:
        free = Exists(Execution.objects.filter(pk=OuterRef("execution_id"), needs_approval=False))
        return (Q(free) | Q(plan_sha256__in=self.yes)) & (Q(permit_id=None) | Q(permit_id__in=self.passed))

    def approved(self, execution: Execution) -> bool:
        return execution.plan_sha256 in self.yes


class Actor(NodeType):
    """A runner that returns the outcomes it was given, the last one for ever, and remembers its contexts."""

    type = "act"
    label = "动作"
    acting = True
    default_policy = StepRun.Policy.ONCE.value

    def __init__(self, *outcomes: Outcome | Callable[[StepContext], Outcome]) -> None:
        self.outcomes = list(outcomes) or [Outcome("succeeded")]
        self.seen: list[StepContext] = []

    def validate(self, params: JSONDict) -> list[Fault]:
        return [Fault("bad", "坏参数")] if "bad" in params else []

    def run(self, ctx: StepContext) -> Outcome:
        self.seen.append(ctx)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        return outcome(ctx) if callable(outcome) else outcome


ACT: dict[str, Any] = {"id": 1, "name": "动手", "type": "act"}


def node(number: int, kind: str = "act", **fields: Any) -> dict[str, Any]:
    edges = {key: fields.pop(key) for key in ("success", "failure", "always") if key in fields}
    return {"id": number, "name": f"节点{number}", "type": kind, "next": edges, **fields}


def ready(*nodes: dict[str, Any], **fields: Any) -> Execution:
    """Return an execution, frozen and ready, of a package with these nodes for an alert on a known host."""
    package = fields.pop("package", None) or factories.package(fields.pop("key", "act"), nodes=list(nodes) or [ACT])
    alert = fields.pop("alert", None) or factories.alert()
    execution = factories.execution(alert=alert, package=package, **({"state": "ready"} | fields))
    assert execution.version is not None
    params = execution.rule.parameters if execution.rule else {}
    plan = freeze(execution, execution.rule, execution.version, params, timezone.now())
    Execution.objects.filter(pk=execution.pk).update(plan=plan.data, plan_sha256=plan.sha256)
    execution.refresh_from_db()
    return execution


def drain() -> None:
    """Do all due work of healing."""
    Engine(threads=2, work=["step", "execution", "verification"]).drain()


def steps(execution: Execution) -> list[tuple[int, int, str]]:
    """Return (node, iteration, state) of the steps of an execution, in the order in which they were made."""
    return list(execution.steps.order_by("id").values_list("node", "iteration", "state"))


def state(execution: Execution) -> str:
    execution.refresh_from_db()
    return execution.state


def asked(**fields: Any) -> tuple[Execution, StepRun]:
    """Return an execution whose first node asks, and that step, which waits for the answer."""
    nodes = [node(1, "approval", success=2, failure=3, params={"message": "重启 ${ip}", "policy": "default"})]
    execution = ready(*nodes, node(2), node(3, "mark_almost_success"), **fields)
    drain()
    return execution, execution.steps.get()


def audited(verb: str) -> list[str]:
    """Return who did what this verb names, in order."""
    return list(AuditEntry.objects.filter(verb=verb).order_by("id").values_list("actor", flat=True))
