"""Signing in through WeCom (pages 96441, 96442, 98171): one state a redirect, one exchange a code, a session of our own."""

import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib.auth import login
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from fta import audit
from fta.lib import links
from fta.models import Person
from wechat.client import Client
from wechat.models import VENDOR_API_HOST, WecomApp

STATES = "wecom_oauth"
STATE_SECONDS = 600
STATES_KEPT = 5
_BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignInRefused(Exception):
    """The redirect back is not ours, or the person may not come in; `reason` is for the log, `userid` for the page."""

    def __init__(self, reason: str, userid: str = "") -> None:
        super().__init__(reason)
        self.userid = userid


def inside_wecom(request: HttpRequest) -> bool:
    """Tell whether WeCom's own web view asks, where signing in needs no question."""
    agent = request.headers.get("User-Agent", "").casefold()
    return "wxwork" in agent or "micromessenger" in agent


def offered(app: WecomApp | None, request: HttpRequest) -> bool:
    """Tell whether to send a visitor straight to WeCom: from its web view, or to a stand-in for it."""
    if app is None or not app.can_call:
        return False
    return inside_wecom(request) or not _is_vendor(app)


def safe_next(target: str) -> str:
    """Return `target` when it is a path of this site, else the todo list."""
    plain = target.isprintable() and "\\" not in target and target.startswith("/") and not target.startswith("//")
    if plain and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return target
    return reverse("wechat:todo")


def begin(request: HttpRequest, app: WecomApp, target: str, now: datetime) -> str:
    """Note a fresh state in this browser's session and return the address where WeCom asks who it is."""
    state = secrets.token_hex(16)
    known = dict(sorted(_states(request).items(), key=lambda item: item[1]["at"])[-STATES_KEPT + 1 :])
    request.session[STATES] = {**known, state: {"at": now.timestamp(), "next": safe_next(target)}}
    query = {"appid": app.corp_id, "redirect_uri": redirect_uri(request, app), "state": state}
    origin = _origin(app)
    if _is_vendor(app) and not inside_wecom(request):
        web = {"login_type": "CorpApp", **query, "agentid": str(app.agent_id or "")}
        return f"https://login.work.weixin.qq.com/wwlogin/sso/login?{urlencode(web)}"
    query |= {"response_type": "code", "scope": "snsapi_base", "agentid": str(app.agent_id or "")}
    return f"{origin}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"


def redirect_uri(request: HttpRequest, app: WecomApp) -> str:
    """Return where WeCom sends the browser back: fixed by the configuration, never by the request when it is set.

    A stand-in for WeCom runs beside the portal and knows no public name: there the browser comes back to where it was.
    """
    path = reverse("wechat:oauth")
    link = links.absolute(path) if _is_vendor(app) else path
    return link if "://" in link else request.build_absolute_uri(path)


def complete(request: HttpRequest, app: WecomApp, code: str, state: str, now: datetime) -> str:
    """Sign the visitor in and return where to go.

    Raises SignInRefused, and what the client raises when WeCom does not answer or does not take the code.
    """
    states = _states(request)
    noted = states.pop(state, None)
    if noted is not None:  # a visitor whom the portal sent nowhere leaves no session behind
        request.session[STATES] = states  # used up, whatever comes of it
    if noted is None or not 0 <= now.timestamp() - noted["at"] <= STATE_SECONDS:
        raise SignInRefused("the state is not one of this browser's, or is too old")
    if not code or len(code) > 512:
        raise SignInRefused("no usable code")
    userid = Client(app).user_by_code(code)
    if userid is None:
        raise SignInRefused("not a member of the corp")
    person = Person.objects.by_wecom(userid).select_related("user").first()
    if person is None:
        raise SignInRefused("no active person has this WeCom account", userid)
    login(request, person.user, backend=_BACKEND)  # gives the session a new key and notes when
    audit.record(person.user.get_username(), "wechat.sign_in", person, now)
    return str(noted["next"])


def _states(request: HttpRequest) -> dict[str, dict[str, Any]]:
    return dict(request.session.get(STATES) or {})


def _is_vendor(app: WecomApp) -> bool:
    return urlsplit(app.api_base).hostname == VENDOR_API_HOST


def _origin(app: WecomApp) -> str:
    """Return where the question is asked: at WeCom, or at the stand-in that the API base names."""
    base = urlsplit(app.api_base)
    return "https://open.weixin.qq.com" if _is_vendor(app) else f"{base.scheme}://{base.netloc}"
