"""审批策略: the list, and the editor that shows who would be asked about an alert."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import policies, services
from approvals.forms import PolicyForm
from approvals.forms.policies import words
from approvals.models import ApproverGroup, Policy
from fta.models import Alert, Duty
from fta.models.scope import is_admin, roles_of

MAX_DIGITS = 18


@login_required
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the policies, each in words."""
    if not roles_of(request.user):
        raise PermissionDenied
    rows = Policy.objects.filter(archived=False).order_by("name")
    listed = [(row, [(words(stage.approvers), stage.quorum) for stage in policies.stages_of(row)]) for row in rows]
    context = {"listed": listed, "may_edit": is_admin(request.user), "default": policies.DEFAULT_POLICY}
    return render(request, "approvals/policies.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Make a policy."""
    return _edit(request, None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a policy."""
    return _edit(request, get_object_or_404(Policy, pk=pk, archived=False))


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a policy out of use."""
    _admins_only(request)
    policy = get_object_or_404(Policy, pk=pk, archived=False)
    try:
        services.archive_policy(policy, request.user.get_username(), timezone.now())
    except services.PolicyInUse as error:
        messages.error(request, error.reason)
        return redirect("approvals:policy", pk)
    messages.success(request, _("已归档“%(name)s”。") % {"name": policy})
    return redirect("approvals:policies")


def _admins_only(request: HttpRequest) -> None:
    if not is_admin(request.user):
        raise PermissionDenied


def _edit(request: HttpRequest, policy: Policy | None) -> HttpResponse:
    _admins_only(request)
    preview = request.POST.get("action") == "preview"
    form = PolicyForm(request.POST if request.method == "POST" else None, policy=policy, preview=preview)
    if form.is_bound and form.is_valid() and not preview and _saved(request, form):
        return redirect("approvals:policies")
    alert = _alert(request)
    context = {
        "form": form,
        "policy": policy,
        "alert": alert,
        "asking": _asking(form, policy, alert),
        "groups": ApproverGroup.objects.order_by("name"),
        "duties": Duty.objects.order_by("name"),
    }
    return render(request, "approvals/policy.html", context, status=400 if form.errors and not preview else 200)


def _saved(request: HttpRequest, form: PolicyForm) -> bool:
    try:
        saved = services.save_policy(form.policy, form.values(), request.user.get_username(), timezone.now())
    except services.NameTaken:
        form.add_error("name", _("这个名称已被使用（可能是已归档的）。"))
    except services.PolicyInUse as error:
        form.add_error("name", error.reason)
    else:
        messages.success(request, _("已保存“%(name)s”，之后发起的审批按它询问。") % {"name": saved})
        return True
    return False


def _alert(request: HttpRequest) -> Alert | None:
    """Return the alert of ?alert=<id>, else the newest one."""
    rows = Alert.objects.visible_to(request.user).select_related("host", "business").order_by("-pk")
    wanted = request.GET.get("alert", "")
    if wanted.isdecimal() and len(wanted) <= MAX_DIGITS:
        return rows.filter(pk=int(wanted)).first()
    return rows.first()


def _asking(form: PolicyForm, policy: Policy | None, alert: Alert | None) -> list[Any]:
    """Return who would be asked by what the form says; nothing while it is wrong or there is no alert to ask about."""
    if alert is None or (form.is_bound and form.errors):
        return []
    shown = Policy(**form.values()) if form.is_bound else policy
    return policies.preview(shown, alert, timezone.now()) if shown else []
