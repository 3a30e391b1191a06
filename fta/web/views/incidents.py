"""Incidents: one decision on many like executions."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from fta import operations
from fta.models import Incident
from fta.models.engine import NotInState
from fta.web import selectors, upstairs
from fta.web.actions import ReasonForm, actor_of
from fta.web.filters import IncidentFilter
from fta.web.paging import page_of
from fta.web.words import dimensions_text, shared_rows

DECIDABLE_AT_MOST = 500  # as many as one page may decide at once


@login_required
@require_safe
def incidents(request: HttpRequest) -> HttpResponse:
    """List incidents, the newest first."""
    form = IncidentFilter(request)
    page = page_of(selectors.incidents(request.user).filter(form.condition(), visible=True), request)
    return render(request, "fta/incidents.html", {"form": form, "page": page})


@login_required
@require_safe
def incident(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an incident's counts, its members and the panel that decides what waits."""
    found = get_object_or_404(selectors.incidents(request.user), pk=pk)
    asked = upstairs.approvals().decidable_by(request.user).filter(execution__memberships__incident=found)
    asked = asked.select_related("execution__host", "execution__package").order_by("pk")[:DECIDABLE_AT_MOST]
    packages = selectors.members(found).filter(state="held").order_by()
    context = {
        "incident": found,
        "dimensions": dimensions_text(found.dimensions),
        "shared": shared_rows(found.findings),
        "figures": selectors.incident_figures(found),
        "page": page_of(selectors.members(found), request),
        "asked": asked,
        "expires_at": min((each.expires_at for each in asked), default=None),
        "packages": packages.values("package__name", "package__risk").annotate(n=Count("pk")).order_by("-n")[:5],
        "may_close": found.state == "open" and Incident.objects.operable_by(request.user).filter(pk=pk).exists(),
    }
    return render(request, "fta/incident.html", context)


@login_required
@require_POST
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Close an open incident by hand; what comes after opens a new one."""
    found = get_object_or_404(Incident.objects.operable_by(request.user), pk=pk)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error())
        return redirect("web:incident", pk)
    try:
        operations.close_incident(found, actor_of(request), form.cleaned_data["reason"], timezone.now())
    except NotInState:
        messages.warning(request, _("这个事件已经结束。"))
    return redirect("web:incident", pk)
