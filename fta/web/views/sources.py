"""Alert sources: what to paste at the sender, and what came and could not be taken."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from fta import operations
from fta.intake.sources.settings import stored_faults
from fta.models import Inbox
from fta.web import selectors
from fta.web.actions import actor_of
from fta.web.paging import page_of
from fta.web.refusals import REFUSALS, words_of
from fta.web.setups import setup_of

RAW_SHOWN = 20_000  # bytes


@login_required
@require_safe
def sources(request: HttpRequest) -> HttpResponse:
    """List sources."""
    page = page_of(selectors.sources(request.user), request)
    return render(request, "fta/sources.html", {"page": page})


@login_required
@require_safe
def source(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a source with the set-up for its sender; the secret itself is stored as a digest and cannot be shown."""
    found = get_object_or_404(selectors.sources(request.user), pk=pk)
    context = {
        "source": found,
        "faults": stored_faults(found),
        "setup": setup_of(found, request.build_absolute_uri("/")),
        "alerts": selectors.alerts(request.user).filter(source=found).order_by("-pk")[:10],
        "letters": selectors.refused_letters(request.user).filter(source=found).order_by("-pk")[:10],
    }
    return render(request, "fta/source.html", context)


@login_required
@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """List the requests that could not be taken."""
    page = page_of(selectors.refused_letters(request.user), request)
    return render(request, "fta/inbox.html", {"page": page})


@login_required
@require_safe
def letter(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one request as it came, as text."""
    found = get_object_or_404(selectors.refused_letters(request.user), pk=pk)
    raw = bytes(found.raw)
    operable = selectors.refused_letters(request.user, "operator").filter(pk=pk).exists()
    context = {
        "letter": found,
        "text": raw[:RAW_SHOWN].decode("utf-8", "replace"),
        "size": len(raw),
        "cut": len(raw) > RAW_SHOWN,
        "may_replay": operable,
    }
    return render(request, "fta/letter.html", context)


@login_required
@require_POST
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a refused request read once more."""
    found = get_object_or_404(selectors.refused_letters(request.user, "operator"), pk=pk)
    try:
        operations.replay(Inbox.objects.get(pk=found.pk), actor_of(request), timezone.now())
    except REFUSALS as error:
        messages.warning(request, words_of(error))
    else:
        messages.success(request, _("已重新收下 #%(pk)s，稍后看告警列表。") % {"pk": pk})
    return redirect("web:source-inbox")
