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


def deliveries_visible_to(user: Any) -> QuerySet[Any]:
    """Return the deliveries about executions that the user may read."""
    return deliveries().filter(in_scope(user, "execution__business", "operator", "approver", "viewer"))
