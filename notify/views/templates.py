"""通知模板: the list, the form, and the preview on a real alert."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.models import Alert, Execution
from fta.models.scope import is_admin
from notify import selectors, services
from notify.forms import PreviewForm, TemplateForm
from notify.messages import Occasion, default_text, facts
from notify.models import Template
from notify.templates import BadTemplate
from notify.templates import render as fill


@login_required
@require_safe
def templates(request: HttpRequest) -> HttpResponse:
    """List the templates."""
    rows = selectors.readable(request.user, selectors.live_templates())
    return render(request, "notify/templates.html", {"rows": rows, "may_edit": is_admin(request.user)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Write a template."""
    if not is_admin(request.user):
        raise Http404
    return _edit(request, None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a template."""
    return _edit(request, get_object_or_404(selectors.editable(request.user, selectors.live_templates()), pk=pk))


def _edit(request: HttpRequest, template: Template | None) -> HttpResponse:
    form = TemplateForm(request.POST if request.method == "POST" else None, template=template)
    if form.is_bound and form.is_valid():
        try:
            saved = services.save_template(template, form.values, request.user, timezone.now())
        except services.NameTaken:
            form.add_error("name", _("这个名称已被使用（可能是已归档的）。"))
        else:
            messages.success(request, _("已保存“%(name)s”。") % {"name": saved})
            return redirect("notify:templates")
    context = {
        "form": form,
        "template": template,
        "variables": _variables(),
        "sample": default_text("execution.failed"),
    }
    return render(request, "notify/template.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Show what the text in the editor says about the newest alert that the reader may see."""
    form = PreviewForm(request.POST)
    if not is_admin(request.user) or not form.is_valid():
        raise Http404
    data = form.cleaned_data
    values = services.values_for(
        _newest(request, data["event"]), data["channel_kind"] or "wecom_app", "text", timezone.now()
    )
    try:
        context = {"text": fill(data["body"], values)}
    except BadTemplate as error:
        context = {"error": str(error)}
    return render(request, "notify/_preview.html", context)


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a template out of use."""
    template = get_object_or_404(selectors.editable(request.user, selectors.live_templates()), pk=pk)
    services.archive(template, request.user, timezone.now())
    messages.success(request, _("已归档“%(name)s”，改用自带文案。") % {"name": template})
    return redirect("notify:templates")


def _newest(request: HttpRequest, event: str) -> Occasion:
    run = Execution.objects.visible_to(request.user).exclude(alert=None).order_by("-pk").first()
    alert = run.alert if run else Alert.objects.visible_to(request.user).order_by("-pk").first()
    return Occasion(event or "execution.failed", "preview", alert=alert, execution=run)


def _variables() -> list[str]:
    """Return the names that a template may use."""
    values = facts(Occasion("alert.firing", ""), timezone.now())
    parts = [f"{name}.{key}" for name, value in values.items() if isinstance(value, dict) for key in value]
    return [*(name for name, value in values.items() if not isinstance(value, dict)), *parts]
