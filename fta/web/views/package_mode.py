"""Set how far a package may go by itself."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from fta import operations
from fta.models import Package
from fta.web.actions import actor_of
from fta.web.package_mode import ModeForm
from fta.web.refusals import REFUSALS, words_of


@login_required
@require_POST
def mode(request: HttpRequest, key: str) -> HttpResponse:
    """Set the mode of a package that the user operates."""
    found = get_object_or_404(Package.objects.operable_by(request.user).filter(archived=False), key=key)
    form = ModeForm(found, request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error())
        return redirect("web:package", key)
    data = form.cleaned_data
    try:
        operations.set_mode(found, data["mode"], data["reason"], actor_of(request), timezone.now())
    except REFUSALS as error:
        messages.warning(request, words_of(error))
    else:
        messages.success(request, _("运行方式改为「%(mode)s」。") % {"mode": found.get_mode_display()})
    return redirect("web:package", key)
