"""Approvals of other systems: `POST /wechat/create_approve/`, as the original's callers know it."""

import hmac
import logging

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from approvals import services
from wechat.forms import ExternalForm
from wechat.selectors import active_app

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def create_approve(request: HttpRequest) -> JsonResponse:
    """Open an approval that is answered in WeCom by its `obj_id`, like every other."""
    if not _may_call(request):
        return _failed(_("token不正确"), 401)
    try:
        form = ExternalForm.of(request.body)
    except (ValueError, RecursionError, RequestDataTooBig):
        return _failed(_("POST不是合法JSON"), 400)
    if not form.is_valid():
        return _failed(form.why(), 400)
    data = form.cleaned_data
    try:
        approval = services.open_external(
            code=data["obj_id"], message=data["message"], verifiers=form.verifiers(), now=timezone.now(),
            callback_url=data["callback_url"], actor="api:create_approve",
        )  # fmt: skip
    except services.CodeInUse as refusal:
        return _failed(refusal.reason, 409)
    return JsonResponse({"result": True, "message": _("创建审批单成功"), "data": {"approve_id": approval.pk}})


def _may_call(request: HttpRequest) -> bool:
    """Compare in constant time; while no token is configured nobody may call."""
    app = active_app()
    expected = app.api_token if app else ""
    return bool(expected) and hmac.compare_digest(request.headers.get("TOKEN", "").encode(), expected.encode())


def _failed(message: str, status: int) -> JsonResponse:
    return JsonResponse({"result": False, "message": message, "data": None}, status=status)
