"""通知模板: the list, the form, and the preview on a real alert."""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.models import Alert, Execution
from fta.models.scope import is_admin
from notify import selectors, services, transports
from notify.forms import PreviewForm, TemplateForm
from notify.forms.templates import FORMS
from notify.message import Message
from notify.messages import LIBRARY, Occasion, default_text, facts, library_text, shape
from notify.models import Channel, ChannelKind, Delivery, Template
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
    """Edit a template; a new one may start from one that is shipped (?from=<name>)."""
    start = request.GET.get("from", "")
    initial = {"body": library_text(start), "name": str(LIBRARY[start])} if start in LIBRARY else None
    form = TemplateForm(request.POST if request.method == "POST" else None, template=template, initial=initial)
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
        "variables": list(_variables(_chosen(request, "alert.firing", None))),
        "sample": default_text("execution.failed"),
        "library": LIBRARY.items(),
        "forms": FORMS,
    }
    return render(request, "notify/template.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Show what the text in the editor says about an alert that the reader may see, in the form that the phone gets."""
    form = PreviewForm(request.POST)
    if not is_admin(request.user) or not form.is_valid():
        raise Http404
    data = form.cleaned_data
    kind = data["channel_kind"] or ChannelKind.WECOM_APP
    form_of = (data["form"] or "text") if kind.startswith("wecom") else "plain"
    occasion = _chosen(request, data["event"], data["alert"])
    values = services.values_for(occasion, kind, form_of, timezone.now())
    try:
        title, *rest = fill(data["body"] or default_text(occasion.event), values).split("\n")
    except BadTemplate as error:
        return render(request, "notify/_preview.html", {"error": str(error)})
    lines, dress = [line for line in rest if line.strip()], "" if data["body"] else occasion.event
    message = services.build(title, lines, values["url"], form_of, dress)
    context = {"message": message, "form": form_of, "alert": occasion.alert, "lines": list(shape.lines(message.text))}
    context["parts"] = _parts(message, kind, form_of)
    return render(request, "notify/_preview.html", context)


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a template out of use."""
    template = get_object_or_404(selectors.editable(request.user, selectors.live_templates()), pk=pk)
    try:
        services.archive(template, request.user, timezone.now())
    except services.InUse as error:
        messages.error(request, error.reason)
        return redirect("notify:template", pk)
    messages.success(request, _("已归档“%(name)s”，改用自带文案。") % {"name": template})
    return redirect("notify:templates")


def _parts(message: Message, kind: str, form: str) -> int:
    """Return as how many messages a channel of this kind would send it."""
    values: dict[str, Any] = {"kind": kind, "config": {"message": form, "groups": [{"name": ""}]}}
    return transports.parts(Delivery(kind=kind, channel=Channel(**values), payload={"message": message.to_json()}))


def _chosen(request: HttpRequest, event: str, wanted: int | None) -> Occasion:
    """Return an occasion of the wanted alert with its execution, else of the newest one that the reader may see."""
    runs = Execution.objects.visible_to(request.user).exclude(alert=None).order_by("-pk")
    alerts = Alert.objects.visible_to(request.user).order_by("-pk")
    if wanted is not None:
        alerts, runs = alerts.filter(pk=wanted), runs.filter(alert=wanted)
    run = runs.first()
    return Occasion(event or "execution.failed", "preview", alert=run.alert if run else alerts.first(), execution=run)


def _variables(occasion: Occasion) -> Iterator[tuple[str, str]]:
    """Return the names that a template may use, each with what the occasion has there."""
    for name, value in facts(occasion, timezone.now()).items():
        if not isinstance(value, dict):
            yield name, "" if isinstance(value, list) else str(value)
            continue
        for key, inner in value.items():
            labels = inner.items() if isinstance(inner, dict) else ()
            yield f"{name}.{key}", "" if isinstance(inner, dict) else str(inner)
            for label, text in labels:
                yield f"{name}.{key}" + (f".{label}" if label.isidentifier() else f'["{label}"]'), str(text)
