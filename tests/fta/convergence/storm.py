"""Alerts that come in and are converged, and incidents that end."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from fta.convergence import Verdict, converge
from fta.convergence.kind import IncidentKind
from fta.models import ConfigVersion, ConvergenceRule, Execution
from tests import factories

State = Execution.State


def rule(function: str = "wait_when_running", **fields: Any) -> ConvergenceRule:
    name = fields.pop("name", f"规则{ConvergenceRule.objects.count()}")
    made = factories.convergence_rule(name, function=function, **fields)
    ConfigVersion.bump("convergence")
    return made


def arrive(
    at: datetime, state: str = State.RUNNING, target: str = "127.0.0.10", **fields: Any
) -> tuple[Execution, Verdict]:
    """Let an alert come in, converge its execution and leave it in `state`."""
    made = {key: fields.pop(key) for key in ("labels", "severity", "alert_type") if key in fields}
    alert = factories.alert(target=target, received_at=at, **made)
    execution = factories.execution(alert=alert, received_at=at, **fields)
    verdict = converge(execution, at)
    ended = at if state in Execution.ENDED else None
    Execution.objects.filter(pk=execution.pk).update(state=state, ended_at=ended)
    execution.refresh_from_db()
    return execution, verdict


def kinds(verdicts: list[tuple[Execution, Verdict]]) -> list[str]:
    return [verdict.kind for _, verdict in verdicts]


def run_due() -> None:
    kind = IncidentKind()
    for pk in kind.due(100, timezone.now()):
        kind.do(pk)
