"""Put a request that could not be used in again, and close an incident by hand."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from fta import audit
from fta.convergence import close
from fta.engine import doorbell
from fta.models import Inbox, Incident
from fta.models.engine import NotInState, move
from fta.operations.reasons import checked


@transaction.atomic
def replay(inbox: Inbox, user: User, now: datetime) -> None:
    """Have a rejected or poisonous request processed again. Raises NotInState for one that is new or done."""
    inbox.refresh_from_db(fields=["state"])
    if inbox.state not in (Inbox.State.REJECTED, Inbox.State.POISON):
        raise NotInState(Inbox, inbox.pk, f"{Inbox.State.REJECTED} or {Inbox.State.POISON}")
    move(Inbox, inbox.pk, inbox.state, Inbox.State.NEW, attempts=0, not_before=None, error="")
    audit.record(user.get_username(), "inbox.replay", inbox, at=now)
    doorbell.ring("inbox", inbox.pk)


@transaction.atomic
def close_incident(incident: Incident, user: User, reason: str, now: datetime) -> None:
    """Close an open incident; the next alert of its kind opens a new one. Raises ReasonMissing, NotInState."""
    reason = checked(reason)
    if not close(incident, now):
        raise NotInState(Incident, incident.pk, Incident.State.OPEN)
    audit.record(user.get_username(), "incident.close", incident, at=now, reason=reason)
