"""Executions: what each is doing, whether it may be trusted, and what an operator can do to it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from fta import operations
from fta.models import Execution
from fta.web import selectors
from fta.web.actions import ReasonForm, ResolveForm, RetryForm, actor_of
from fta.web.execution_page import is_active, live_part, node_choices, still_part
from fta.web.filters import ExecutionFilter
from fta.web.paging import page_of
from fta.web.refusals import REFUSALS, words_of

RETRIED = (Execution.State.FAILED, Execution.State.UNKNOWN, Execution.State.CANCELLED, Execution.State.SKIPPED)


def _node(request: HttpRequest) -> int | None:
    text = request.GET.get("node", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


@login_required
@require_safe
def executions(request: HttpRequest) -> HttpResponse:
    """List executions, the newest first."""
    form = ExecutionFilter(request)
    page = page_of(selectors.executions(request.user).filter(form.condition()), request)
    return render(request, "fta/executions.html", {"form": form, "page": page})


@login_required
@require_safe
def execution(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one execution with what the user may do to it."""
    found = get_object_or_404(selectors.execution_detail(request.user), pk=pk)
    operable = Execution.objects.operable_by(request.user).filter(pk=pk).exists()
    context = {
        **live_part(found, _node(request)),
        **still_part(found),
        "may_stop": operable and is_active(found),
        "stop_form": ReasonForm(auto_id="stop-%s"),
        "retry_form": RetryForm(node_choices(found), auto_id="retry-%s")
        if operable and found.state in RETRIED
        else None,
        "resolve_form": ResolveForm(auto_id="resolve-%s") if operable else None,
    }
    return render(request, "fta/execution.html", context)


@login_required
@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the part that changes; once the execution has ended, ask the page to load itself once more."""
    found = get_object_or_404(selectors.execution_detail(request.user), pk=pk)
    answer = render(request, "fta/_execution_live.html", live_part(found, _node(request)))
    if not is_active(found):
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_safe
def output(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """Give the whole output of a step as a file; it is the far side's text and must not be shown as a page."""
    found = get_object_or_404(selectors.executions(request.user), pk=pk)
    run = get_object_or_404(found.steps, pk=step)
    answer = HttpResponse(run.output, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="execution-{pk}-{run.node}-{run.iteration}.txt"'
    return answer


def _act(request: HttpRequest, pk: int, form: ReasonForm, verb: Callable[[dict[str, Any]], object]) -> HttpResponse:
    """Do one thing to an execution if the form is whole, and say what came of it."""
    if not form.is_valid():
        messages.error(request, form.first_error())
        return redirect("web:execution", pk)
    try:
        verb(form.cleaned_data)
    except REFUSALS as error:
        messages.warning(request, words_of(error))
    return redirect("web:execution", pk)


@login_required
@require_POST
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop an execution."""
    found = get_object_or_404(Execution.objects.operable_by(request.user), pk=pk)
    return _act(
        request,
        pk,
        ReasonForm(request.POST),
        lambda data: operations.abort(found, actor_of(request), data["reason"], timezone.now()),
    )


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Run an ended execution again, from a node or one node only."""
    found = get_object_or_404(Execution.objects.operable_by(request.user), pk=pk)
    return _act(
        request,
        pk,
        RetryForm(node_choices(found), request.POST),
        lambda data: operations.retry(
            found, actor_of(request), data["reason"], data["node"], data["only"], timezone.now()
        ),
    )


@login_required
@require_POST
def resolve(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """Settle a step of unknown result by what a person found out."""
    found = get_object_or_404(Execution.objects.operable_by(request.user), pk=pk)
    run = get_object_or_404(found.steps, pk=step)
    return _act(
        request,
        pk,
        ResolveForm(request.POST),
        lambda data: operations.resolve_unknown(run, actor_of(request), data["done"], data["reason"], timezone.now()),
    )
