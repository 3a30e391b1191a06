"""How fresh a sign-in must be before somebody says yes to something of high risk: a browser or phone may lie open on a desk."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import redirect_to_login
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from approvals.models import Approval, Decision
from fta.models import Package

STAMP = "signed_in_at"
FRESH_SECONDS = 900


@receiver(user_logged_in)
def stamp(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """Note in the session when its owner proved who they are, whichever way."""
    if request is not None:
        request.session[STAMP] = timezone.now().timestamp()


def must_sign_in(request: HttpRequest, ids: Iterable[int], answer: str, now: datetime) -> bool:
    """Tell whether this session is too old for a yes to these approvals. A no harms nothing, however old the session."""
    if answer != Decision.Answer.APPROVE:
        return False
    age = now.timestamp() - float(request.session.get(STAMP) or 0)
    if 0 <= age <= FRESH_SECONDS:
        return False
    # The plan's risk is that of the riskiest package in it, as it was when it was frozen; the package may be riskier by now.
    high = Q(execution__plan__package__risk=Package.Risk.HIGH) | Q(execution__package__risk=Package.Risk.HIGH)
    return Approval.objects.filter(high, pk__in=list(ids)).exists()


def explain(request: HttpRequest) -> None:
    """Say why nothing was decided yet."""
    text = _("其中有高风险的套餐，登录已超过 15 分钟，没有决定。请重新确认身份后再决定一次。")
    messages.warning(request, text)


def sign_in_again(request: HttpRequest, target: str) -> HttpResponseRedirect:
    """End the session and send its owner through the portal's own door, then to `target`."""
    logout(request)
    explain(request)
    return redirect_to_login(target)
