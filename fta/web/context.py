"""What the frame of every page shows: counts beside the navigation, and whether healing is halted."""

from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from fta.models import Switch
from fta.operations.reach import shown_to
from fta.web import upstairs

FAILURES_SHOWN = timedelta(days=7)  # older failures are history, not a call to act


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the variables of the frame; nothing for somebody who is not signed in. What a page does not show is not counted."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "nav_counts": SimpleLazyObject(partial(_counts, user)),
        "nav_halts": SimpleLazyObject(partial(_halts, user)),
    }


def _counts(user: User) -> dict[str, int]:
    failed = upstairs.deliveries_visible_to(user).filter(
        state="failed", created_at__gte=timezone.now() - FAILURES_SHOWN
    )
    return {"approvals": upstairs.approvals().decidable_by(user).count(), "failed_deliveries": failed.count()}


def _halts(user: User) -> list[Switch]:
    in_force = shown_to(user).in_force().order_by("-pk")
    return sorted(in_force, key=lambda each: each.scope != Switch.Scope.ALL)
