"""Whoever guesses passwords is locked out for a while: of one account from one address, and from an address that tries many."""

from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest


class Guesses(AxesDatabaseHandler):  # type: ignore[misc]  # the package has no types
    """Counts by account and address as django-axes does, and by address alone, which has a limit of its own."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the failures that count against this request; an address over its limit has as many as lock out.

        An address may be that of a whole office, so its limit is higher; somebody's success takes nothing off it but their own.
        """
        mine = int(super().get_failures(request, credentials))
        recent = AccessAttempt.objects.filter(
            ip_address=request.axes_ip_address,  # type: ignore[attr-defined]
            attempt_time__gte=get_cool_off_threshold(request),
        )
        all_names = recent.aggregate(n=Sum("failures_since_start"))["n"] or 0
        return max(mine, settings.AXES_FAILURE_LIMIT if all_names >= settings.FTA_GUESSES_OF_ADDRESS else 0)
