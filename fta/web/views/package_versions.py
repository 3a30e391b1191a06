"""The versions of a package: listed, compared, restored, exported."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from fta.healing.versions import InvalidPackage, SameVersion, restore
from fta.models import Package, PackageVersion
from fta.web import package_compare, package_text
from fta.web.forms.packages import RestoreForm
from fta.web.paging import page_of


def _package(request: HttpRequest, key: str) -> Package:
    rows = Package.objects.visible_to(request.user).filter(archived=False).select_related("business", "current")
    return get_object_or_404(rows, key=key)


def _numbered(package: Package, number: str) -> PackageVersion:
    known = number if number.isascii() and number.isdigit() and len(number) < 9 else "0"
    return get_object_or_404(package.versions.select_related("package"), number=known)


@login_required
@require_safe
def versions(request: HttpRequest, key: str) -> HttpResponse:
    """List the versions of a package: who, when, why; two of them can be compared."""
    package = _package(request, key)
    page = page_of(package.versions.all(), request)
    return render(request, "fta/package_versions.html", {"package": package, "page": page})


@login_required
@require_safe
def compare(request: HttpRequest, key: str) -> HttpResponse:
    """Compare two versions, ?from=<n>&to=<n>; the older one is always the first."""
    package = _package(request, key)
    asked = [_numbered(package, request.GET.get(name, "")) for name in ("from", "to")]
    old, new = sorted(asked, key=lambda version: version.number)
    mine = Package.objects.operable_by(request.user).filter(pk=package.pk).exists()
    context = package_compare.context(old, new)
    return render(request, "fta/package_compare.html", {"package": package, "mine": mine, **context})


@login_required
@require_POST
def restored(request: HttpRequest, key: str, number: int) -> HttpResponse:
    """Make an older version current again, as a new version, with a reason."""
    package = get_object_or_404(Package.objects.operable_by(request.user).filter(archived=False), key=key)
    version = get_object_or_404(package.versions, number=number)
    form = RestoreForm(request.POST)
    if not form.is_valid():
        messages.warning(request, _("请填写原因，它会写入审计。"))
        return redirect(f"{_page(package)}?version={number}")
    try:
        made = restore(package, version, request.user.get_username(), form.cleaned_data["reason"], timezone.now())
    except SameVersion:
        messages.info(request, _("v%(number)s 与当前版本相同。") % {"number": number})
    except InvalidPackage as error:
        messages.warning(
            request, _("今天不能这样保存：%s。可以从它开始编辑。") % "；".join(p.message for p in error.problems)
        )
        return redirect(f"{_page(package)}?version={number}")
    else:
        messages.success(request, _("已恢复 v%(old)s，当前是 v%(new)s。") % {"old": number, "new": made.number})
    return redirect("web:package", key)


@login_required
@require_safe
def export(request: HttpRequest, key: str) -> HttpResponse:
    """Hand out the package as YAML, in its current or an older version (?version=<n>); secrets are not in it."""
    package = _package(request, key)
    asked = request.GET.get("version", str(package.current.number) if package.current else "")
    version = _numbered(package, asked)
    answer = HttpResponse(package_text.text_of_version(version), content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{package.key}-v{version.number}.yaml"'
    return answer


def _page(package: Package) -> str:
    return reverse("web:package", args=[package.key])
