"""What every call of the server API shares: the token, the faults, the log and the form of the answer."""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpResponse, JsonResponse
from django.utils.http import http_date
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wechat.simulator import shapes
from wechat.simulator.config import App
from wechat.simulator.server import SimulatorRequest
from wechat.simulator.state import Json, Refused
from wechat.simulator.world import World

SENDS_A_MINUTE = 30
DETAIL = 4000


@dataclass(frozen=True)
class ApiCall:
    """One call of the API: whose token it carries, its query and its JSON body."""

    world: World
    request: SimulatorRequest
    body: Json
    _app: App | None = None

    @property
    def app(self) -> App:
        """Return the application of the call's token. Raises Refused(41001) for a call without one."""
        if self._app is None:
            raise Refused(41001, "access_token missing")
        return self._app

    def query(self, name: str) -> str:
        """Return a query parameter or ""."""
        return str(self.request.GET.get(name, ""))


Handler = Callable[[ApiCall], Json]
View = Callable[[SimulatorRequest], HttpResponse]


def endpoint(
    name: str, *, post: bool = False, reads_body: bool = True, token: bool = True, sends: bool = False
) -> Callable[[Handler], View]:
    """Make a view of a handler that returns the answer's fields or raises Refused.

    `post`: GET is refused. `reads_body`: the body is JSON. `sends`: faults of sending apply.
    """

    def wrap(handler: Handler) -> View:
        @functools.wraps(handler)
        def view(request: SimulatorRequest) -> HttpResponse:
            world = request.world
            if sends and world.faults.next_http_statuses:
                return HttpResponse(status=world.faults.next_http_statuses.pop(0))
            if sends and world.faults.server_error:
                return HttpResponse(status=500)
            answer = {"errcode": 0, "errmsg": "ok"}
            body: Json = {}
            try:
                body = _body(request) if post and reads_body else {}
                with world.lock:
                    answer |= handler(_admit(request, body, post=post, token=token, sends=sends))
            except Refused as refused:
                answer |= _refusal(refused, str(request.META.get("REMOTE_ADDR", "")))
            _record(world, name, body, answer)
            if sends and world.faults.slow_seconds:
                # The work is done, the answer is late: for the caller the outcome is unknown.
                time.sleep(world.faults.slow_seconds)
            return _response(answer, world.clock())

        return view

    return wrap


def _body(request: SimulatorRequest) -> Json:
    if request.method != "POST":
        raise Refused(40058, "invalid Request Parameter: POST is required")
    try:
        body = json.loads(request.body)
        json.dumps(body, ensure_ascii=False).encode()  # half a character has no place in any answer
    except (ValueError, RecursionError) as error:
        raise Refused(40058, "invalid json") from error
    if not isinstance(body, dict):
        raise Refused(40058, "invalid json")
    shapes.check(body)
    return body


def _admit(request: SimulatorRequest, body: Json, *, post: bool, token: bool, sends: bool) -> ApiCall:
    world = request.world
    # Only the query counts: a token in a header or in the body is as good as none.
    app = world.app_of_token(request.GET.get("access_token")) if token else None
    trusted = world.config.trusted_ips
    outside = bool(trusted) and request.META.get("REMOTE_ADDR") not in trusted
    if (token and outside) or (sends and world.faults.untrusted_ip):
        raise Refused(60020, "not allow to access from your ip")
    if token and sends and world.faults.agent_closed:
        raise Refused(50003, "agent is disabled")
    if sends:
        _throttle(world)
        if world.faults.next_errcodes:
            raise Refused(world.faults.next_errcodes.pop(0), "made to fail")
    return ApiCall(world, request, body, app)


def _throttle(world: World) -> None:
    now = world.clock()
    while world.sends_at and world.sends_at[0] <= now - 60:
        world.sends_at.popleft()
    world.sends_at.append(now)
    if world.faults.over_frequency and len(world.sends_at) > SENDS_A_MINUTE:
        raise Refused(45009, "api freq out of limit")


def _refusal(refused: Refused, address: str) -> Json:
    text = (
        f"{refused.text}, hint: [{time.time_ns() // 1000}], from ip: {address}, "
        f"more info at https://open.work.weixin.qq.com/devtool/query?e={refused.code}"
    )
    # Alertmanager up to 0.25 reads `code` and `error` instead of the two that the server really sends.
    return {"errcode": refused.code, "errmsg": text, "code": refused.code, "error": text}


def _record(world: World, name: str, body: Json, answer: Json) -> None:
    errcode = int(answer["errcode"])
    detail = json.dumps({"request": body, "answer": answer}, ensure_ascii=False, indent=1)
    world.record("in", name, summary(body, answer), detail[:DETAIL], errcode)


KIND_NAMES = {
    "text": _("文本"),
    "markdown": _("Markdown"),
    "markdown_v2": _("Markdown"),
    "textcard": _("文本卡片"),
    "news": _("图文"),
    "template_card": _("模板卡片"),
}


def summary(body: Json, answer: Json) -> str:
    """Return what a call was about, in a few words."""
    if answer["errcode"]:
        return str(answer["errmsg"]).split(", hint")[0]
    if "access_token" in answer:
        return gettext("有效 {seconds} 秒").format(seconds=f"{answer['expires_in']:,}")
    kind = str(body.get("msgtype") or "")
    to = str(body.get("touser") or body.get("chatid") or "|".join(body.get("userids") or [])).replace("|", "、")
    words = [str(KIND_NAMES.get(kind, kind)), f"→ {to}" if to else "", _excerpt(body)]
    return " ".join(word for word in words if word)


def _excerpt(body: Json) -> str:
    """Return the beginning of what the member reads."""
    inner = body.get(str(body.get("msgtype"))) or body.get("template_card") or body.get("button")
    if not isinstance(inner, dict):
        return ""
    title = (inner.get("main_title") or {}).get("title")
    text = inner.get("content") or inner.get("title") or title or inner.get("replace_name") or ""
    return f"“{str(text)[:40]}”" if text else ""


def _response(answer: Json, now: float) -> HttpResponse:
    response = JsonResponse(answer, json_dumps_params={"ensure_ascii": False})
    response["Content-Type"] = "application/json; charset=UTF-8"
    response["Date"] = http_date(now)
    if answer["errcode"]:
        response["error-code"] = str(answer["errcode"])
        response["error-msg"] = str(answer["errmsg"]).split(", hint")[0]
    return response
