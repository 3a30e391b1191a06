"""Alerts: what fires and what became of each."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from fta.web import selectors
from fta.web.filters import AlertFilter
from fta.web.paging import page_of

NEWER_AT_MOST = 99


def _view(request: HttpRequest) -> str:
    asked = request.GET.get("view", "")
    return asked if asked in selectors.VIEWS else "firing"


def _is_plain(form: AlertFilter) -> bool:
    return not any(value for name, value in form.cleaned_data.items() if name != "view")


@login_required
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    """List alerts; a storm is one row as long as nothing narrows the list."""
    view, form = _view(request), AlertFilter(request)
    rows = selectors.alerts(request.user).filter(selectors.VIEWS[view]).filter(form.condition())
    plain = view == "firing" and _is_plain(form)
    page = page_of(selectors.without_storms(rows) if plain else rows, request)
    first = plain and "before" not in request.GET
    context = {
        "view": view,
        "form": form,
        "page": page,
        "plain": plain,
        "narrowed": not _is_plain(form),
        "storms": selectors.storms(request.user) if first else [],
        "query": request.GET.urlencode(),
        "newest": page.rows[0].pk if page.rows and first else 0,
    }
    return render(request, "fta/alerts.html", context)


@login_required
@require_safe
def newer(request: HttpRequest) -> HttpResponse:
    """Say how many alerts came after the newest one shown, so that the list never moves under the pointer."""
    after = request.GET.get("since", "")
    since = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
    rows = selectors.alerts(request.user).filter(selectors.VIEWS[_view(request)], pk__gt=since)
    found = len(selectors.without_storms(rows).values_list("pk", flat=True)[: NEWER_AT_MOST + 1])
    return render(request, "fta/_alerts_newer.html", {"number": found, "limit": NEWER_AT_MOST, "since": since})


@login_required
@require_safe
def alert(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one alert: what was said of it, when, and what became of it."""
    found = get_object_or_404(selectors.alerts(request.user), pk=pk)
    context = {
        "alert": found,
        "events": found.events.order_by("-pk")[:50],
        "runs": found.executions.all(),
        "episodes": selectors.alerts(request.user)
        .filter(source=found.source, fingerprint=found.fingerprint)
        .exclude(pk=pk)
        .order_by("-pk")[:5],
    }
    return render(request, "fta/alert.html", context)
