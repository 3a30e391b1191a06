"""Convergence rules: how storms of like executions become one."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.backtest import InvalidDraft
from fta.config import editing
from fta.convergence.functions import FUNCTIONS
from fta.convergence.rules import quiet_for
from fta.models import Business, ConvergenceRule
from fta.models.scope import in_scope, roles_of
from fta.web import backtest_page, ordering
from fta.web.editing_rights import editors_only
from fta.web.filters import READERS
from fta.web.forms.convergence import BlockForm, ConvergenceForm
from fta.web.refused_edits import show_problems, switch
from fta.web.sentences import convergence_text, duration_text
from fta.web.territory import may_edit


def _rules() -> Any:
    return ConvergenceRule.objects.filter(archived=False).select_related("business").prefetch_related("blocked_by")


def _visible(user: Any) -> Any:
    everywhere = Q(business=None) if roles_of(user) else Q(pk__in=[])
    return _rules().filter(in_scope(user, "business", *READERS) | everywhere)


def _operable(user: Any) -> Any:
    return _rules().filter(in_scope(user, "business", "operator"))


def _mine(user: Any) -> set[int]:
    return set(_operable(user).values_list("pk", flat=True))


@login_required
@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    """List convergence rules in the order in which they are asked."""
    said = [(row, convergence_text(row.__dict__)) for row in _visible(request.user)]
    listed = ordering.listed(said, _mine(request.user))
    own = Business.objects.filter(in_scope(request.user, "pk", "operator"), archived=False)
    return render(
        request, "fta/convergence_rules.html", {"listed": listed, "may_edit": may_edit(request.user), "own": own}
    )


@login_required
@editors_only
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a convergence rule."""
    return _edit(request, ConvergenceForm(request.user, None, request.POST or None), ConvergenceRule())


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a convergence rule."""
    rule = get_object_or_404(_operable(request.user), pk=pk)
    return _edit(request, ConvergenceForm(request.user, rule, request.POST or None), rule)


def _edit(request: HttpRequest, form: ConvergenceForm, rule: ConvergenceRule) -> HttpResponse:
    action, context = request.POST.get("action"), backtest_page.panel(request)
    if request.method == "POST" and action != "preview" and form.is_valid():
        try:
            if action == "backtest":
                draft = backtest_page.convergence_draft(rule, form.values())
                context |= backtest_page.context_of(backtest_page.begin(request, timezone.now(), convergence=draft))
            else:
                editing.save(rule, form.values(), request.user.get_username(), timezone.now())
                messages.success(request, _("已保存，下一条告警起生效，不影响已拦下的执行。"))
                return redirect("web:convergence-rules")
        except editing.InvalidEdit as error:
            show_problems(form, error)
        except InvalidDraft as error:
            backtest_page.show_refusal(form, error)
    return render(
        request, "fta/convergence_rule_form.html", {"form": form, "rule": rule, **context, **_gloss(form, rule)}
    )


def _gloss(form: ConvergenceForm, rule: ConvergenceRule) -> dict[str, Any]:
    """Return the rule in words and what follows from its numbers."""
    if form.is_bound:
        values = form.cleaned_data if form.is_valid() or "dimensions" in form.cleaned_data else {}
    else:
        values = rule.__dict__ if rule.pk else {"window": 300, "count": 1, "dimensions": ["host", "alert_type"]}
        values = {**values, "function": rule.function or next(iter(FUNCTIONS))}
    if not values.get("window") or not values.get("count") or not values.get("function"):
        return {"sentence": _("有地方要改，改正后再看。"), "gloss": ""}
    function, window = FUNCTIONS[values["function"]], int(values["window"])
    gloss = _("即第 %(n)d 条起触发。%(quiet)s没有新的，或满 24 小时，事件结束。") % {
        "n": values["count"] + 1,
        "quiet": duration_text(int(quiet_for(function.name, timedelta(seconds=window)).total_seconds())),
    }
    wrong = (
        _("规则自身出错时按“需审批”处理。")
        if function.holds_on_error
        else _("规则自身出错时照常执行，并上报系统故障。")
    )
    return {"sentence": convergence_text(values), "gloss": gloss + wrong}


@login_required
@require_POST
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a convergence rule into use or out of it."""
    rule = get_object_or_404(_operable(request.user), pk=pk)
    switch(request, rule)
    return redirect("web:convergence-rules")


@login_required
@require_POST
def move(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a convergence rule asked before another one."""
    rule = get_object_or_404(_operable(request.user), pk=pk)
    return ordering.move(request, rule, _mine(request.user), "web:convergence-rules")


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a convergence rule out of use for good."""
    rule = get_object_or_404(_operable(request.user), pk=pk)
    editing.archive(rule, request.user.get_username(), timezone.now())
    messages.success(request, _("「%(name)s」已归档。") % {"name": rule.name})
    return redirect("web:convergence-rules")


@login_required
@require_POST
def block(request: HttpRequest, pk: int) -> HttpResponse:
    """Let one of the user's businesses do without a global rule, or take it up again."""
    rule = get_object_or_404(_visible(request.user), pk=pk, business=None)
    form = BlockForm(request.user, request.POST)
    if not form.is_valid():
        raise Http404
    business, blocked = form.cleaned_data["business"], form.cleaned_data["blocked"]
    editing.block(rule, business, blocked, request.user.get_username(), timezone.now())
    word = _("%(business)s 不再采用「%(rule)s」。") if blocked else _("%(business)s 已恢复采用「%(rule)s」。")
    messages.success(request, word % {"business": business.name, "rule": rule.name})
    return redirect("web:convergence-rules")
