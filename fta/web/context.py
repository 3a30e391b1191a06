"""What the frame of every page shows: counts beside the navigation, and whether healing is halted."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from fta.models import Switch
from fta.operations.reach import shown_to
from fta.web import upstairs

FAILURES_SHOWN = timedelta(days=7)  # older failures are history, not a call to act


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the variables of the frame; nothing for somebody who is not signed in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    failed = upstairs.deliveries_visible_to(user).filter(
        state="failed", created_at__gte=timezone.now() - FAILURES_SHOWN
    )
    return {
        "nav_counts": {
            "approvals": upstairs.approvals().decidable_by(user).count(),
            "failed_deliveries": failed.count(),
        },
        "nav_halts": sorted(shown_to(user).in_force().order_by("-pk"), key=lambda each: each.scope != Switch.Scope.ALL),
    }
