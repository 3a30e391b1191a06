"""值班表: who is on duty, now and in the next days."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.config import editing, replacements
from fta.models import Duty
from fta.models.scope import is_admin
from fta.web import selectors
from fta.web.forms.duties import DutyForm, OverrideForm
from fta.web.refused_edits import show_problems

_AHEAD = timedelta(days=14)
_NEXT = timedelta(days=15)  # a turn of a week ends within these


@login_required
@require_safe
def duties(request: HttpRequest) -> HttpResponse:
    """List the duty lists, each with who is on now and who comes next."""
    now = timezone.now()
    rows = list(selectors.duties(request.user))
    turns = {row.pk: list(row.turns(now, now + _NEXT))[:2] for row in rows}
    named = selectors.names(turn.username for each in turns.values() for turn in each)
    listed = [(row, [(turn, named.get(turn.username, "")) for turn in turns[row.pk]]) for row in rows]
    context = {"listed": listed, "may_edit": is_admin(request.user), "tab": "duties"}
    return render(request, "fta/duties.html", context)


@login_required
@require_safe
def duty(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one list with the turns of the next two weeks."""
    return _show(request, get_object_or_404(selectors.duties(request.user), pk=pk), OverrideForm())


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a list."""
    _admins_only(request)
    return _edit(request, DutyForm(None, request.POST or None), Duty())


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a list."""
    _admins_only(request)
    row = get_object_or_404(Duty, pk=pk)
    return _edit(request, DutyForm(row, request.POST or None), row)


@login_required
@require_POST
def override(request: HttpRequest, pk: int) -> HttpResponse:
    """Let somebody take the duty for a while."""
    _admins_only(request)
    row, form = get_object_or_404(Duty, pk=pk), OverrideForm(request.POST)
    if not form.is_valid():
        return _show(request, row, form)
    replacements.arrange(row, form.value(), request.user.get_username(), timezone.now())
    messages.success(request, _("已安排替班。"))
    return redirect("web:duty", pk)


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a replacement back."""
    _admins_only(request)
    row, key = get_object_or_404(Duty, pk=pk), request.POST.get("key", "")
    try:
        replacements.take_back(row, key, request.user.get_username(), timezone.now())
        messages.success(request, _("已取消替班，照常轮换。"))
    except replacements.NoSuchReplacement:
        messages.error(request, _("这次替班已经改过或取消了。"))
    return redirect("web:duty", pk)


def _admins_only(request: HttpRequest) -> None:
    if not is_admin(request.user):
        raise Http404


def _edit(request: HttpRequest, form: DutyForm, row: Duty) -> HttpResponse:
    if form.is_bound and form.is_valid():
        try:
            editing.save(row, form.values(), request.user.get_username(), timezone.now())
        except editing.InvalidEdit as error:
            show_problems(form, error)
        else:
            messages.success(request, _("已保存“%(name)s”。") % {"name": row.name})
            return redirect("web:duty", Duty.objects.get(name=row.name).pk)
    context = {"form": form, "duty": form.duty}
    return render(request, "fta/duty_form.html", context, status=400 if form.errors else 200)


def _show(request: HttpRequest, row: Duty, form: OverrideForm) -> HttpResponse:
    now = timezone.now()
    turns = list(row.turns(now, now + _AHEAD))
    overrides = [each for each in row.overrides if replacements.ends(each) > now]
    named = selectors.names([turn.username for turn in turns] + [each["person"] for each in overrides])
    context = {
        "duty": row,
        "turns": [(turn, named.get(turn.username, "")) for turn in turns],
        "overrides": [_shown(each, named) for each in overrides],
        "form": form,
        "may_edit": is_admin(request.user),
    }
    return render(request, "fta/duty.html", context, status=400 if form.errors else 200)


def _shown(override: dict[str, str], named: dict[str, str]) -> dict[str, Any]:
    moments = {key: parse_datetime(override[key]) for key in ("from", "to")}
    who = named.get(override["person"], override["person"])
    return {"key": replacements.key_of(override), "who": who, "begins": moments["from"], "ends": moments["to"]}
