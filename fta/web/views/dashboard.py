"""The dashboard: what waits for me, what is, what was."""

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from fta.models import Alert, Execution
from fta.operations.reach import shown_to
from fta.web import figures, selectors, upstairs
from fta.web.context import FAILURES_SHOWN
from fta.web.parts import parts


def _now_part(user: Any, now: datetime) -> dict[str, Any]:
    runs = Execution.objects.visible_to(user)
    asked = upstairs.approvals().decidable_by(user)
    firing = Alert.objects.visible_to(user).exclude(status=Alert.Status.RESOLVED)
    failed = upstairs.deliveries_visible_to(user).filter(state="failed", created_at__gte=now - FAILURES_SHOWN)
    return {
        "now": now,
        "waiting": selectors.waiting_for(user),
        "asked": asked.count(),
        "first_asked": asked.order_by("expires_at").first(),
        "unknown": runs.filter(state=Execution.State.UNKNOWN).count(),
        "running": runs.filter(state__in=[Execution.State.RUNNING, Execution.State.READY]).count(),
        "sleeping": runs.filter(state=Execution.State.SLEEPING).count(),
        "firing": firing.count(),
        "unmatched": firing.filter(outcome=Alert.Outcome.UNMATCHED).count(),
        "unmatched_first": firing.filter(outcome=Alert.Outcome.UNMATCHED).order_by("-pk").first(),
        "failed_deliveries": failed.count(),
        "last_failure": failed.order_by("-pk").first(),
        "parts": parts(now),
        "halts": shown_to(user).in_force(),
    }


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show the present and the figures of a period."""
    now = timezone.now()
    days = request.GET.get("days", "7")
    period = days if days in figures.PERIODS else "7"
    since = now - figures.PERIODS[period]
    context = {
        **_now_part(request.user, now),
        "period": period,
        "periods": figures.PERIODS,
        "figures": figures.period_figures(request.user, since),
        "by_business": figures.by_business(request.user, since),
        "chart": figures.daily_chart(request.user, int(period), now),
    }
    return render(request, "fta/dashboard.html", context)


@login_required
@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """Answer the part about the present, which the page asks for again and again."""
    return render(request, "fta/_dashboard_now.html", _now_part(request.user, timezone.now()))
