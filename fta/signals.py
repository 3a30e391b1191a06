"""Every signal of the healing domain, and the one way to send them.

A signal is sent inside the transaction of the change, so that a listener's rows stand or fall with it. A listener that fails
is logged and undone alone: notification never undoes or delays a heal.
"""

import logging
from typing import Any

from django.db import transaction
from django.dispatch import Signal

logger = logging.getLogger(__name__)

alert_fired = Signal()  # alert
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
    for receiver in signal._live_receivers(None)[0]:
        try:
            with transaction.atomic():
                receiver(signal=signal, sender=None, **kwargs)
        except Exception:  # the outermost frame of a listener: whatever it raises ends here
            logger.exception("Unable to tell %s", getattr(receiver, "__qualname__", receiver))
