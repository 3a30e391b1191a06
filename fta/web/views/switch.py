"""停止自愈: halt everything, a business or a package, and resume."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta import operations
from fta.models import Switch
from fta.operations.reach import may_halt_anything, resumable_by, shown_to
from fta.web import selectors
from fta.web.actions import HaltForm, actor_of
from fta.web.paging import page_of
from fta.web.refusals import REFUSALS, words_of

HISTORY = 30


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def switch(request: HttpRequest) -> HttpResponse:
    """Show what is halted, and halt."""
    form = HaltForm(request.user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        _halt(request, form)
        return redirect("web:switch")
    rows = shown_to(request.user).annotate(stopped=Count("held_back"))
    context = {
        "form": form if may_halt_anything(request.user) else None,
        "in_force": rows.filter(pk__in=Switch.objects.in_force()).order_by("-pk"),
        "resumable": set(resumable_by(request.user).values_list("pk", flat=True)),
        "history": rows.exclude(pk__in=Switch.objects.in_force()).order_by("-pk")[:HISTORY],
    }
    return render(request, "fta/switch.html", context)


@login_required
@require_safe
def held_back(request: HttpRequest, pk: int) -> HttpResponse:
    """List what a switch has held back, and what became of it."""
    found = get_object_or_404(shown_to(request.user), pk=pk)
    page = page_of(selectors.executions(request.user).filter(held_back__switch=found).order_by("-pk"), request)
    return render(request, "fta/switch_held_back.html", {"switch": found, "page": page})


def _halt(request: HttpRequest, form: HaltForm) -> None:
    now = timezone.now()
    minutes = form.cleaned_data["minutes"]
    until = now + timedelta(minutes=minutes) if minutes else None
    try:
        operations.halt(*form.scope_and_key(), form.cleaned_data["reason"], until, actor_of(request), now)
    except REFUSALS as error:
        messages.warning(request, words_of(error))
    else:
        messages.warning(request, _("已停止自愈：正在执行的步骤会做完，之后不再开始新的步骤。"))


@login_required
@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """End a switch."""
    found = get_object_or_404(resumable_by(request.user), pk=pk)
    try:
        operations.resume(found, actor_of(request), timezone.now())
    except REFUSALS as error:
        messages.warning(request, words_of(error))
    else:
        messages.success(request, _("已恢复自愈。"))
    return redirect("web:switch")
