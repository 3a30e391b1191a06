"""Rows of the floors above, reached through the relations that those floors made with ours; this floor never imports them."""

from typing import Any

from django.db.models import QuerySet

from fta.models import Execution
from fta.models.scope import in_scope


def approvals() -> Any:
    """Return the QuerySet of all approvals, with the methods that their floor gave it."""
    return Execution._meta.get_field("approvals").related_model._default_manager.all()


def deliveries() -> QuerySet[Any]:
    """Return all deliveries."""
    return Execution._meta.get_field("delivery").related_model._default_manager.all()


def deliveries_tried() -> QuerySet[Any]:
    """Return all deliveries but those that were called off, which count as sent though nothing left."""
    return deliveries().exclude(state="sent", sent_at=None)


def deliveries_visible_to(user: Any) -> QuerySet[Any]:
    """Return the deliveries about executions and alerts that the user may read; those of no business are for admins."""
    scopes = (in_scope(user, f"{what}__business", "operator", "approver", "viewer") for what in ("execution", "alert"))
    return deliveries().filter(next(scopes) | next(scopes))


def messages_sent(user: Any) -> QuerySet[Any]:
    """Return the messages about what the user may read that people got: many in a digest are one, and a test is about nothing."""
    about = deliveries_visible_to(user).exclude(execution=None, alert=None)
    sent = about.filter(state="sent").exclude(sent_at=None)  # without a moment it was called off before it left
    return sent.exclude(provider__has_key="digest")
