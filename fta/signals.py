"""Every signal of the healing domain, and the one way to send them.

A signal is sent inside the transaction of the change, so that a listener's rows stand or fall with it. A listener that fails
is logged and undone alone: notification never undoes or delays a heal.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.dispatch import Signal

logger = logging.getLogger(__name__)

alert_fired = Signal()  # alert
alerts_fired = Signal()  # alerts: the same in one call for all that fired in one transaction
alert_resolved = Signal()  # alert
execution_changed = Signal()  # execution, frm, to: every move of an execution's state
incident_opened = Signal()  # incident
incident_joined = Signal()  # incident, execution: a further execution joined
incident_closed = Signal()  # incident
incident_analysed = Signal()  # incident: its findings name what its alerts have in common
system_fault = Signal()  # text, subject (a short stable key): something that the maintainers must hear
healing_judged = Signal()  # execution: `healed` was settled

# Sent by approvals; listed here because notify, which listens, lies below approvals.
approval_changed = Signal()  # approval (duck-typed), event: asked, reminded, decided, expired, cancelled, superseded


def announce(signal: Signal, **kwargs: Any) -> None:
    """Send a signal so that no listener can harm the sender's transaction."""
    announce_each(signal, [kwargs])


def announce_each(signal: Signal, tellings: Sequence[Mapping[str, Any]]) -> None:
    """Send a signal once for each of the tellings; a listener that fails at one of them is asked again about each by itself."""
    for receiver in signal._live_receivers(None)[0]:
        if not _tell(signal, receiver, tellings) and len(tellings) > 1:
            for telling in tellings:
                _tell(signal, receiver, [telling])


def _tell(signal: Signal, receiver: Callable[..., Any], tellings: Sequence[Mapping[str, Any]]) -> bool:
    try:
        with transaction.atomic():
            for telling in tellings:
                receiver(signal=signal, sender=None, **telling)
    except Exception:  # the outermost frame of a listener: whatever it raises ends here
        logger.exception("Unable to tell %s", getattr(receiver, "__qualname__", receiver))
        return False
    return True
