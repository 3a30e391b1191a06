"""Rules: which alerts get which package."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.backtest import InvalidDraft
from fta.config import editing
from fta.models import Rule
from fta.web import backtest_page, drafts, ordering, territory
from fta.web.editing_rights import editors_only
from fta.web.forms.rules import RuleForm, shown_match
from fta.web.refused_edits import show_problems, switch
from fta.web.sentences import rule_text


def _rules() -> Any:
    return Rule.objects.filter(archived=False).select_related("package")


def _mine(user: Any) -> set[int]:
    return set(territory.operable(_rules(), user).values_list("pk", flat=True))


@login_required
@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    """List rules in the order in which they are asked."""
    rows = territory.visible(_rules(), request.user)
    said = [(row, rule_text(row.match, row.package, row.mode, row.timeout)) for row in rows]
    listed = ordering.listed(said, _mine(request.user))
    return render(request, "fta/rules.html", {"listed": listed, "may_edit": territory.may_edit(request.user)})


@login_required
@editors_only
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a rule, from scratch or from an alert (?alert=<id>)."""
    match, initial = drafts.asked(request)
    form = RuleForm(request.user, None, request.POST or None, match=match, initial=initial)
    return _edit(request, form, Rule())


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a rule."""
    rule = get_object_or_404(territory.operable(_rules(), request.user), pk=pk)
    return _edit(request, RuleForm(request.user, rule, request.POST or None, match=rule.match), rule)


def _edit(request: HttpRequest, form: RuleForm, rule: Rule) -> HttpResponse:
    action, context = request.POST.get("action"), backtest_page.panel(request)
    if request.method == "POST" and action != "preview" and form.is_valid():
        try:
            if action == "backtest":
                draft = backtest_page.rule_draft(rule, form.values())
                context |= backtest_page.context_of(backtest_page.begin(request, timezone.now(), rule=draft))
            else:
                editing.save(rule, form.values(), request.user.get_username(), timezone.now())
                messages.success(request, _("已保存，下一条告警起生效。"))
                return redirect("web:rules")
        except editing.InvalidEdit as error:
            show_problems(form, error)
        except InvalidDraft as error:
            backtest_page.show_refusal(form, error)
    return render(request, "fta/rule_form.html", {"form": form, "rule": rule, **context, "sentence": _sentence(form)})


def _sentence(form: RuleForm) -> str:
    match = shown_match(form)
    data = form.cleaned_data if form.is_bound else form.initial_values()
    if match is None:
        return _("条件有误，改正后再看。")
    return rule_text(match, data.get("package"), data.get("mode") or "auto", data.get("timeout") or 2400)


@login_required
@require_POST
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a rule into use or out of it."""
    rule = get_object_or_404(territory.operable(_rules(), request.user), pk=pk)
    switch(request, rule)
    return redirect("web:rules")


@login_required
@require_POST
def move(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a rule asked before another one."""
    rule = get_object_or_404(territory.operable(_rules(), request.user), pk=pk)
    return ordering.move(request, rule, _mine(request.user), "web:rules")


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a rule out of use for good."""
    rule = get_object_or_404(territory.operable(_rules(), request.user), pk=pk)
    editing.archive(rule, request.user.get_username(), timezone.now())
    messages.success(request, _("「%(name)s」已归档。") % {"name": rule.name})
    return redirect("web:rules")
