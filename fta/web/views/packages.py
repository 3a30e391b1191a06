"""Packages: what there is, what each does, how it is changed, and a run by hand."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta import operations
from fta.config import editing
from fta.healing.versions import InvalidPackage
from fta.lib.types import User
from fta.models import Host, Package, PackageVersion
from fta.models.scope import in_scope
from fta.web import package_page, package_text
from fta.web.editing_rights import editors_only
from fta.web.forms.packages import RunForm
from fta.web.package_draft import Draft
from fta.web.territory import may_edit


def _packages() -> Any:
    return Package.objects.filter(archived=False).select_related("business", "current")


def _version(request: HttpRequest, package: Package) -> PackageVersion | None:
    """Return the version that the request asks for, else the current one."""
    asked = request.GET.get("version", "")
    if asked.isascii() and asked.isdigit() and len(asked) < 9:
        return get_object_or_404(package.versions, number=asked)
    return package.current


@login_required
@require_safe
def packages(request: HttpRequest) -> HttpResponse:
    """List packages."""
    listed = package_page.listed(_packages().visible_to(request.user), request.user)
    return render(request, "fta/packages.html", {"listed": listed, "may_edit": may_edit(request.user)})


@login_required
@require_safe
def package(request: HttpRequest, key: str) -> HttpResponse:
    """Show one package, in its current or an older version."""
    found = get_object_or_404(_packages().visible_to(request.user), key=key)
    context = package_page.context(found, _version(request, found), request.user)
    return render(request, "fta/package.html", context)


@login_required
@editors_only
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a package; with ?copy=<key>, beginning with what another one is, for a business of one's own."""
    if request.method == "GET" and request.GET.get("copy"):
        source = get_object_or_404(_packages().visible_to(request.user), key=request.GET["copy"])
        return _draw(request, Draft.copy_of(request.user, source), None, None)
    return _edit(request, None, None)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, key: str) -> HttpResponse:
    """Change a package, beginning with its current version or an older one (?version=<n>)."""
    found = get_object_or_404(_packages().operable_by(request.user), key=key)
    return _edit(request, found, _version(request, found))


def _edit(request: HttpRequest, found: Package | None, version: PackageVersion | None) -> HttpResponse:
    if request.method != "POST":
        return _draw(request, Draft.stored(request.user, found, version), found, version)
    draft, action = Draft.posted(request.user, found, request.POST), request.POST.get("action", "save")
    if action == "look":
        return JsonResponse(package_page.look(draft))
    if action == "yaml":
        return _draw(request, package_text.applied(draft, request.POST.get("yaml", "")), found, version)
    if action not in ("save", "check"):
        return _draw(request, draft.acted(action, request.POST.get("kind", "")), found, version)
    if draft.is_valid() and action == "save" and (saved := _save(request, draft, found)):
        messages.success(request, _("已保存，当前是 v%(number)s。") % {"number": saved.number})
        return redirect("web:package", saved.package.key)
    return _draw(request, draft, found, version)


def _save(request: HttpRequest, draft: Draft, found: Package | None) -> PackageVersion | None:
    actor, head = request.user.get_username(), draft.head
    nodes, parameters = draft.node_data(), draft.parameter_data()
    note, base, secrets = head.cleaned_data["note"], head.cleaned_data["base"], draft.secrets()
    try:
        saved = editing.save_package(
            found or Package(), head.values(), nodes, parameters, secrets, actor, note, timezone.now(), base
        )
    except InvalidPackage as error:
        draft.show(error.problems)
    except editing.InvalidEdit as error:
        draft.loose += [message for _path, message in error.problems]
    except editing.Overtaken as error:
        draft.loose.append(error.reason)
    else:
        editing.arrange(saved.package, draft.layout())
        return saved
    return None


def _draw(request: HttpRequest, draft: Draft, found: Package | None, version: PackageVersion | None) -> HttpResponse:
    return render(request, "fta/package_form.html", package_page.editor(draft, found, version))


@login_required
@require_POST
def archive(request: HttpRequest, key: str) -> HttpResponse:
    """Take a package out of use for good."""
    found = get_object_or_404(_packages().operable_by(request.user), key=key)
    try:
        editing.archive(found, request.user.get_username(), timezone.now())
    except editing.PackageInUse as error:
        messages.warning(request, error.reason)
        return redirect("web:package", key)
    messages.success(request, _("「%(name)s」已归档。") % {"name": found.name})
    return redirect("web:packages")


@login_required
@require_POST
def run(request: HttpRequest, key: str) -> HttpResponse:
    """Run a package by hand on one of the user's hosts, or only show what it would do."""
    found = get_object_or_404(_packages().visible_to(request.user), key=key)
    form = RunForm(found.current.parameters if found.current else [], request.POST, auto_id="run-%s")
    if form.is_valid():
        if not Host.objects.filter(in_scope(request.user, "business", "operator"), ip=form.cleaned_data["ip"]).exists():
            form.add_error("ip", _("清单里没有这台主机，或不在你的业务里"))
        elif made := _run(cast(User, request.user), found, form, request.POST.get("dry_run") == "1"):
            return redirect("web:execution", made)
    return render(request, "fta/package.html", package_page.context(found, found.current, request.user, form))


def _run(user: User, found: Package, form: RunForm, dry_run: bool) -> int | None:
    data = form.cleaned_data
    try:
        made = operations.run_by_hand(
            found, user, data["ip"], form.given(), data["reason"], timezone.now(), dry_run=dry_run
        )
    except (operations.CannotRun, operations.ReasonMissing) as error:
        form.add_error(None, str(error))
        return None
    return made.pk
