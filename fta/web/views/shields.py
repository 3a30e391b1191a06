"""Shields: windows in which matching alerts are recorded and not healed."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.config import editing
from fta.matching.shields import in_force
from fta.models import Shield
from fta.web import drafts, territory
from fta.web.editing_rights import editors_only
from fta.web.forms.rules import ShieldForm, shown_match
from fta.web.refused_edits import show_problems
from fta.web.sentences import conditions_text


def _shields() -> Any:
    return Shield.objects.filter(archived=False)


def _standing(shield: Shield, now: datetime) -> str:
    if not shield.enabled or (shield.repeat == Shield.Repeat.ONCE and shield.ends_at <= now):
        return "ended"
    return "in_force" if in_force(shield, now) else "coming"


@login_required
@require_safe
def shields(request: HttpRequest) -> HttpResponse:
    """List shields, those in force first."""
    now, order = timezone.now(), ["in_force", "coming", "ended"]
    rows = list(territory.visible(_shields(), request.user))
    mine = set(territory.operable(_shields(), request.user).values_list("pk", flat=True))
    listed = [(row, conditions_text(row.match), _standing(row, now), row.pk in mine) for row in rows]
    listed.sort(key=lambda each: order.index(each[2]))
    return render(request, "fta/shields.html", {"listed": listed, "may_edit": territory.may_edit(request.user)})


@login_required
@editors_only
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a shield, from scratch or from an alert (?alert=<id>)."""
    match, initial = drafts.asked(request)
    form = ShieldForm(request.user, None, request.POST or None, match=match, initial=initial)
    return _edit(request, form, Shield(author=request.user.get_username()))


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a shield."""
    shield = get_object_or_404(territory.operable(_shields(), request.user), pk=pk)
    return _edit(request, ShieldForm(request.user, shield, request.POST or None, match=shield.match), shield)


def _edit(request: HttpRequest, form: ShieldForm, shield: Shield) -> HttpResponse:
    if request.method == "POST" and request.POST.get("action") != "preview" and form.is_valid():
        try:
            editing.save(shield, form.values(), request.user.get_username(), timezone.now())
        except editing.InvalidEdit as error:
            show_problems(form, error)
        else:
            messages.success(request, _("已保存，下一条告警起生效。"))
            return redirect("web:shields")
    match = shown_match(form)
    sentence = _("条件有误，改正后再看。") if match is None else _("屏蔽：%s") % conditions_text(match)
    return render(request, "fta/shield_form.html", {"form": form, "shield": shield, "sentence": sentence})


@login_required
@require_POST
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """End a shield now."""
    shield = get_object_or_404(territory.operable(_shields(), request.user), pk=pk)
    editing.enable(shield, False, request.user.get_username(), timezone.now())
    messages.success(request, _("「%(name)s」已结束，之后的告警照常处理。") % {"name": shield.name})
    return redirect("web:shields")
