"""Inventory: businesses, hosts and people, to read; changes are made in the admin, by import or by the configuration file."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from fta.lib import ssh
from fta.models.scope import is_admin
from fta.web import selectors
from fta.web.filters import HostFilter
from fta.web.paging import page_of
from fta.web.territory import may_edit


@login_required
@require_safe
def hosts(request: HttpRequest) -> HttpResponse:
    """List hosts."""
    form = HostFilter(request)
    page = page_of(selectors.hosts(request.user).filter(form.condition()), request)
    return render(
        request, "fta/hosts.html", {"form": form, "page": page, "tab": "hosts", "may_import": may_edit(request.user)}
    )


@login_required
@require_safe
def host(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one host with its latest alerts and executions."""
    found = get_object_or_404(selectors.hosts(request.user), pk=pk)
    context = {
        "host": found,
        "fingerprint": ssh.fingerprint(found.host_key),
        "alerts": selectors.alerts(request.user).filter(host=found).order_by("-pk")[:10],
        "runs": selectors.executions(request.user).filter(host=found).order_by("-pk")[:10],
    }
    return render(request, "fta/host.html", context)


@login_required
@require_safe
def businesses(request: HttpRequest) -> HttpResponse:
    """List businesses."""
    page = page_of(selectors.businesses(request.user), request)
    return render(request, "fta/businesses.html", {"page": page, "tab": "businesses"})


@login_required
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """List people."""
    page = page_of(selectors.people(request.user), request)
    return render(request, "fta/people.html", {"page": page, "tab": "people", "may_import": is_admin(request.user)})
