"""/wecom/cgi-bin/: what tools that speak to WeCom call, answered as WeCom answers (HTTP 200 with an error code)."""

import logging
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from wechat.errors import WecomError
from wechat.services import gateway

logger = logging.getLogger(__name__)


@csrf_exempt
@require_http_methods(["GET", "POST"])  # Grafana posts
def gettoken(request: HttpRequest) -> HttpResponse:
    """Give a client its token."""
    try:
        token = gateway.issue(request.GET.get("corpid", ""), request.GET.get("corpsecret", ""))
    except WecomError as error:
        return _refused(error)
    except DatabaseError:
        return _later()
    # Grafana reads `expire_in`.
    seconds = gateway.TOKEN_SECONDS
    return _answer(0, "ok", access_token=token, expires_in=seconds, expire_in=seconds)


@csrf_exempt
@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """Take a message: it is committed before the answer, and sent by the engine."""
    try:
        client = gateway.holder(request.GET.get("access_token", ""))
        row = gateway.take(client, request.read(gateway.MAX_BODY + 1), timezone.now())
    except WecomError as error:
        return _refused(error)
    except DatabaseError:
        logger.exception("Unable to take a message of the gateway")
        return _later()
    return _answer(0, "ok", msgid=f"gateway-{row.pk}")


def _refused(error: WecomError) -> JsonResponse:
    # Alertmanager up to 0.25 reads `code` and `error` and takes anything else for success.
    return _answer(error.errcode, error.errmsg, code=error.errcode, error=error.errmsg)


def _later() -> JsonResponse:
    """Tell a sender to come again: every tool repeats on a status of 5xx."""
    answer = _answer(-1, "system busy")
    answer.status_code = 503
    return answer


def _answer(errcode: int, errmsg: str, **more: Any) -> JsonResponse:
    return JsonResponse({"errcode": errcode, "errmsg": errmsg, **more})
