"""The two doors upstairs where exactly one party must answer: the approval gate and the messenger.

They are named by dotted path in the settings (FTA_APPROVAL_GATE, FTA_MESSENGER); this module is their only caller. Approval fails
closed: a gate that is missing is a system-check error, and one that raises rolls the caller's transaction back.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, cast

from django.conf import settings
from django.db.models import Q
from django.utils.module_loading import import_string

from fta.models import Execution, StepRun


class Gate(Protocol):
    """Who asks people, and knows whether they said yes."""

    def ask_execution(self, execution: Execution, reasons: Sequence[str], now: datetime) -> int:
        """Open an approval of the execution's plan before it starts; return its id."""

    def ask_step(self, step: StepRun, message: str, policy: str, now: datetime) -> int:
        """Open an approval for an approval node; return its id."""

    def withdraw(self, execution: Execution, reason: str, now: datetime) -> None:
        """Cancel every pending approval of an execution that ended."""

    def supersede(self, execution: Execution, reason: str, now: datetime) -> None:
        """Void the approvals of an execution whose plan drifted."""

    def permits(self) -> Q:
        """Return a condition on StepRun: everything that had to be approved was, on exactly this plan."""

    def approved(self, execution: Execution) -> bool:
        """Tell whether the gate approval of exactly this execution's present plan was given."""


class Messenger(Protocol):
    """Who sends the message of a notify node."""

    def tell(self, step: StepRun, message: str, channels: Sequence[str], to: Sequence[str], now: datetime) -> list[int]:
        """Write the deliveries of a step's message; return their ids. Raises ValueError naming an unknown channel."""


@lru_cache(maxsize=4)
def _plug(path: str) -> Any:
    return import_string(path)()


def gate() -> Gate:
    """Return the approval gate."""
    return cast(Gate, _plug(settings.FTA_APPROVAL_GATE))


def messenger() -> Messenger:
    """Return the messenger."""
    return cast(Messenger, _plug(settings.FTA_MESSENGER))
