"""Every signal of the healing domain, and the one way to send them.

A signal is sent inside the transaction of the change, so that a listener's rows stand or fall with it. A listener that fails
is logged and undone alone: notification never undoes or delays a heal.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from django.db import connection, transaction
from django.dispatch import Signal

logger = logging.getLogger(__name__)

relayed = Signal()  # source, key, said (a fta.intake.sources.grafana.Said): what Grafana says, to be handed on as it is
alerts_fired = Signal()  # alerts: those that fired in one transaction
alert_resolved = Signal()  # alert
execution_changed = Signal()  # execution, frm, to: every move of an execution's state
incident_opened = Signal()  # incident
incident_joined = Signal()  # incident, execution: a further execution joined
incident_closed = Signal()  # incident
incident_analysed = Signal()  # incident: its findings name what its alerts have in common
system_fault = Signal()  # text, subject (a short stable key): something that the maintainers must hear
shadow_summarised = Signal()  # business (or None), day, text, lines: what was rehearsed on a day
healing_judged = Signal()  # execution: `healed` was settled

# Sent by approvals; listed here because notify, which listens, lies below approvals.
approval_changed = Signal()  # approval (duck-typed), event: asked, reminded, decided, expired, cancelled, superseded


def announce(signal: Signal, **kwargs: Any) -> None:
    """Send a signal so that no listener can harm the sender's transaction."""
    for receiver in signal._live_receivers(None)[0]:
        _tell(signal, receiver, kwargs)


def announce_all(signal: Signal, name: str, things: Sequence[Any]) -> None:
    """Send a signal about several things at once; a listener that fails is asked again about each by itself."""
    for receiver in signal._live_receivers(None)[0]:
        if not _tell(signal, receiver, {name: things}) and len(things) > 1:
            for thing in things:
                _tell(signal, receiver, {name: [thing]})


def _tell(signal: Signal, receiver: Callable[..., Any], telling: Mapping[str, Any]) -> bool:
    try:
        with ExitStack() as stack:
            on_demand = connection.in_atomic_block  # a savepoint can wait, a transaction of one's own cannot
            stack.enter_context(connection.execute_wrapper(_Savepoint(stack)) if on_demand else transaction.atomic())
            receiver(signal=signal, sender=None, **telling)
    except Exception:  # the outermost frame of a listener: whatever it raises ends here
        logger.exception("Unable to tell %s", getattr(receiver, "__qualname__", receiver))
        return False
    return True


class _Savepoint:
    """Sets a savepoint before a listener's first statement, and none for a listener that asks the database nothing."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.begun = False

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not self.begun:
            self.begun = True  # first, for the savepoint is a statement as well
            self.stack.enter_context(transaction.atomic())
        return execute(sql, params, many, context)
