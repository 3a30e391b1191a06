"""通知规则: the list and the form."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.models import Alert
from fta.models.scope import is_admin, roles_of
from notify import selectors, services
from notify.forms import RuleForm
from notify.messages import EVENTS, Occasion
from notify.models import NotificationRule
from notify.services import judging


@login_required
@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    """List the notification rules."""
    rows = selectors.readable(request.user, selectors.live_rules())
    found = [(row, [str(EVENTS.get(event, event)) for event in row.events]) for row in rows]
    return render(request, "notify/rules.html", {"rows": found, "may_edit": is_admin(request.user)})


@login_required
@require_safe
def hearing(request: HttpRequest) -> HttpResponse:
    """Show who would hear of an alert now, and why not: ?alert=<id>, else the newest one; ?event=<event>."""
    if not roles_of(request.user):
        raise Http404
    rows = Alert.objects.visible_to(request.user).select_related("host", "business", "source").order_by("-pk")
    wanted, event = request.GET.get("alert", ""), request.GET.get("event", "")
    alert = rows.filter(pk=int(wanted)).first() if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else None
    alert = alert or (rows.first() if not wanted else None)
    if event not in EVENTS:
        event = "alert.firing"
    found = list(judging.hearings(Occasion(event, "", alert=alert), timezone.now())) if alert else []
    context = {"alert": alert, "wanted": wanted, "event": event, "events": EVENTS.items(), "hearings": found}
    return render(request, "notify/hearing.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Make a rule."""
    if not is_admin(request.user):
        raise Http404
    return _edit(request, None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a rule."""
    return _edit(request, get_object_or_404(selectors.editable(request.user, selectors.live_rules()), pk=pk))


def _edit(request: HttpRequest, rule: NotificationRule | None) -> HttpResponse:
    form = RuleForm(request.POST if request.method == "POST" else None, rule=rule)
    if form.is_bound and form.is_valid():
        chosen = list(form.cleaned_data["channels"])
        try:
            saved = services.save_rule(rule, form.values, chosen, request.user, timezone.now())
        except services.NameTaken:
            form.add_error("name", _("这个名称已被使用（可能是已归档的）。"))
        else:
            messages.success(request, _("已保存“%(name)s”。") % {"name": saved})
            return redirect("notify:rules")
    return render(request, "notify/rule.html", {"form": form, "rule": rule}, status=400 if form.errors else 200)


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a rule out of use."""
    rule = get_object_or_404(selectors.editable(request.user, selectors.live_rules()), pk=pk)
    services.archive(rule, request.user, timezone.now())
    messages.success(request, _("已归档“%(name)s”。") % {"name": rule})
    return redirect("notify:rules")
