"""Every signal of the healing domain, and the one way to send them.

A signal is sent inside the transaction of the change, so that a listener's rows stand or fall with it. A listener that fails
is logged and undone alone, and the maintainers hear of it: notification never undoes or delays a heal, and nothing is silent.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from django.db import OperationalError, connection, transaction
from django.dispatch import Signal
from django.utils.translation import gettext as _

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
        if not _tell(signal, receiver, kwargs):
            _report(signal, receiver)


def announce_all(signal: Signal, name: str, things: Sequence[Any]) -> None:
    """Send a signal about several things at once; a listener that fails is asked again about each by itself."""
    for receiver in signal._live_receivers(None)[0]:
        if _tell(signal, receiver, {name: things}):
            continue
        told = [_tell(signal, receiver, {name: [thing]}) for thing in things] if len(things) > 1 else [False]
        if not all(told):
            _report(signal, receiver)


def _tell(signal: Signal, receiver: Callable[..., Any], telling: Mapping[str, Any]) -> bool:
    """Let one listener hear; once more when it met a lock that was not to be had, for that says nothing against it."""
    for last in (False, True):
        try:
            _hear(signal, receiver, telling)
        except Exception as error:  # the outermost frame of a listener: whatever it raises ends here
            logger.exception("Unable to tell %s", _name(receiver))
            if last or not isinstance(error, OperationalError):
                return False
        else:
            return True
    return False


def _hear(signal: Signal, receiver: Callable[..., Any], telling: Mapping[str, Any]) -> None:
    with ExitStack() as stack:
        on_demand = connection.in_atomic_block  # a savepoint can wait, a transaction of one's own cannot
        stack.enter_context(connection.execute_wrapper(_Savepoint(stack)) if on_demand else transaction.atomic())
        receiver(signal=signal, sender=None, **telling)


def _report(signal: Signal, receiver: Callable[..., Any]) -> None:
    """Tell the maintainers that a listener failed; of one that listens to their own signal only the log tells."""
    if signal is not system_fault:
        text = _("有一条消息没有生成：%(name)s 出错，原因见日志") % {"name": _name(receiver)}
        announce(system_fault, text=text, subject=f"listener:{_name(receiver)}")


def _name(receiver: Callable[..., Any]) -> str:
    return str(getattr(receiver, "__qualname__", receiver))


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
