"""Web login: the redirect inside the client, the page for the desktop, and the exchange of the code."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.template.loader import render_to_string

from wechat.simulator.server import SimulatorRequest
from wechat.simulator.state import Json, Refused
from wechat.simulator.views.endpoint import ApiCall, endpoint

CODE_SECONDS = 300
COOKIE = "sim_member"


def authorize(request: SimulatorRequest) -> HttpResponse:
    """Send the browser back with a code for whoever holds the phone; ask who that is when nobody does."""
    world, query = request.world, request.GET
    target = urlsplit(query.get("redirect_uri", ""))
    if query.get("appid") != world.config.corp_id or target.scheme not in ("http", "https"):
        return HttpResponseBadRequest("redirect_uri or appid is wrong\n", content_type="text/plain")
    member = world.member(query.get("member") or request.COOKIES.get(COOKIE, ""))
    if member is None:
        links = [(person, f"{request.path}?{_with_member(request, person.userid)}") for person in world.config.members]
        return HttpResponse(render_to_string("simulator/who.html", {"links": links}))
    try:
        app = world.app(query.get("agentid") or world.config.apps[0].agent_id)
    except Refused as refused:
        return HttpResponseBadRequest(f"{refused}\n", content_type="text/plain")
    code = world.issue_login_code(app.agent_id, member.userid)
    world.record("out", "oauth2/authorize", member.userid)
    answer = urlencode([*parse_qsl(target.query), ("code", code), ("state", query.get("state", ""))])
    response = HttpResponseRedirect(urlunsplit(target._replace(query=answer, fragment="")))
    response.set_cookie(COOKIE, member.userid, httponly=True, samesite="Lax")
    return response


def _with_member(request: SimulatorRequest, userid: str) -> str:
    query = request.GET.copy()
    query["member"] = userid
    return query.urlencode()


def _who(call: ApiCall) -> str:
    code = call.world.login_codes.get(call.query("code"))
    if code is None or code.used or code.agent_id != call.app.agent_id:
        raise Refused(40029, "invalid code")
    if call.world.clock() - code.issued_at > CODE_SECONDS:
        raise Refused(40029, "invalid code")
    code.used = True
    return code.userid


@endpoint("auth/getuserinfo")
def user_info(call: ApiCall) -> Json:
    """Tell whose code it is."""
    return {"userid": _who(call)}


@endpoint("user/getuserinfo")
def legacy_user_info(call: ApiCall) -> Json:
    """Tell whose code it is, as the older call does."""
    return {"UserId": _who(call), "DeviceId": ""}
