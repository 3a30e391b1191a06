"""Signing in: the way to WeCom and the way back."""

import logging

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from fta.lib import http
from wechat import oauth
from wechat.client import NotConfigured, default_app
from wechat.errors import WecomError

logger = logging.getLogger(__name__)


@require_GET
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Send the browser to WeCom, or take it back from there with a code."""
    now = timezone.now()
    try:
        app = default_app()
        if "state" not in request.GET and "code" not in request.GET:
            return HttpResponseRedirect(oauth.begin(request, app, request.GET.get("next", ""), now))
        code, state = request.GET.get("code", ""), request.GET.get("state", "")
        return HttpResponseRedirect(oauth.complete(request, app, code, state, now))
    except NotConfigured:
        return redirect("login")
    except oauth.SignInRefused as refused:
        logger.warning("A sign-in through WeCom was refused: %s", refused)
        return _refused(request, refused.userid)
    except (WecomError, http.HttpError) as error:
        logger.warning("WeCom did not tell who signs in: %s", error)
        return _refused(request, "")


def _refused(request: HttpRequest, userid: str) -> HttpResponse:
    return render(request, "wechat/refused.html", {"userid": userid}, status=403)
