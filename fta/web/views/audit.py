"""The audit trail, for admins: it holds every business's changes and decisions."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from fta import audit as trail
from fta.models import AuditEntry
from fta.models.scope import is_admin
from fta.web.filters import AuditFilter
from fta.web.paging import page_of


def _admins_only(request: HttpRequest) -> None:
    if not is_admin(request.user):
        raise PermissionDenied


@login_required
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """List audit entries, the newest first."""
    _admins_only(request)
    form = AuditFilter(request)
    page = page_of(AuditEntry.objects.filter(form.condition()), request)
    return render(request, "fta/audit.html", {"form": form, "page": page, "head": trail.head()})


@login_required
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Walk the whole chain and say whether it holds."""
    _admins_only(request)
    broken = trail.verify()
    if broken is None:
        messages.success(request, _("审计链校验通过：每一条都接得上前一条。"))
    else:
        messages.error(request, _("审计链在 #%(pk)s 处断开：这一条或它的前一条被改过。") % {"pk": broken.pk})
    return redirect("web:audit")
