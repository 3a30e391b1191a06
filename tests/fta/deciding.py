"""Alerts through the pipeline, behind a gate that remembers whom it was asked about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from fta import pipeline
from fta.engine import kinds
from fta.engine.loop import Engine
from fta.models import Alert, ConfigVersion, Execution, Rule
from tests import factories

State = Execution.State

asked: list[tuple[int, list[str]]] = []


approved: set[int] = set()


class StubGate:
    """A gate that remembers whom it was asked about and says what the test told it."""

    def ask_execution(self, execution: Execution, reasons: Sequence[str], now: datetime) -> int:
        asked.append((execution.pk, list(reasons)))
        return len(asked)

    def withdraw(self, execution: Execution, reason: str, now: datetime) -> None:
        approved.discard(execution.pk)

    def supersede(self, execution: Execution, reason: str, now: datetime) -> None:
        approved.discard(execution.pk)

    def approved(self, execution: Execution) -> bool:
        return execution.pk in approved


def begin(settings: Any) -> None:
    """Put the gate in place, forget what it heard, and let the engine do nothing but converge."""
    settings.FTA_APPROVAL_GATE = "tests.fta.deciding.StubGate"
    settings.FTA_WORK_KINDS = ["fta.pipeline.SleeperKind", "fta.convergence.kind.IncidentKind"]
    kinds.registry.cache_clear()
    asked.clear()
    approved.clear()


def make_rule(**fields: Any) -> Rule:
    made = factories.rule(**fields)
    ConfigVersion.bump("rules")
    return made


def converge_by(function: str, **fields: Any) -> None:
    factories.convergence_rule(function, function=function, **{"count": 1, **fields})
    ConfigVersion.bump("convergence")


def fire(at: datetime, **fields: Any) -> tuple[Alert, Execution | None]:
    fields.setdefault("starts_at", at)
    alert = factories.alert(received_at=at, **fields)
    execution = pipeline.process(alert, at)
    alert.refresh_from_db()
    if execution is not None:
        execution.refresh_from_db()
    return alert, execution


def heal(at: datetime, **fields: Any) -> Execution:
    execution = fire(at, **fields)[1]
    assert execution is not None
    return execution


def become(execution: Execution, state: str, **fields: Any) -> None:
    ended = timezone.now() if state in Execution.ENDED else None
    Execution.objects.filter(pk=execution.pk).update(state=state, ended_at=ended, **fields)


def drain() -> None:
    Engine(work=["sleeper"]).drain()
