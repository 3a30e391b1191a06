"""The page: a phone, the faults and the log. Every form works without script."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from django.contrib.staticfiles.views import serve
from django.core.exceptions import SuspiciousFileOperation
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST

from wechat.simulator import phone, pusher
from wechat.simulator.config import DemoAlert
from wechat.simulator.server import SimulatorRequest
from wechat.simulator.state import Refused
from wechat.simulator.views.oauth import COOKIE
from wechat.simulator.views.phone_context import PARTS, changes_of, context_of, holder, local, render_part

ALERT_SECONDS = 10


def show(request: SimulatorRequest) -> HttpResponse:
    """Show the page; picking a member puts the phone into that member's hand, also for the login."""
    context = context_of(request)
    for part in PARTS:
        context[f"{part}_part"], _mark = render_part(part, context)
    response = HttpResponse(render_to_string("simulator/page.html", context))
    response.set_cookie(COOKIE, context["member"].userid, httponly=True, samesite="Lax")
    return response


def live(request: SimulatorRequest, part: str) -> HttpResponse:
    """Return a part that changed, or 204, upon which the page keeps what it has."""
    if part not in PARTS:
        return HttpResponse(status=404)
    html, mark = render_part(part, context_of(request))
    return HttpResponse(status=204) if mark == request.GET.get("mark") else HttpResponse(html)


def _back(request: SimulatorRequest) -> HttpResponse:
    query = {"member": holder(request).userid, "tab": request.POST.get("tab", "app")}
    return HttpResponseRedirect(f"{reverse('page')}?{urlencode(query)}", status=303)


@require_POST
def say(request: SimulatorRequest) -> HttpResponse:
    """Send what the member typed."""
    text = request.POST.get("text", "").strip()
    if text:
        phone.say(request.world, request.world.config.apps[0], holder(request).userid, text)
    return _back(request)


@require_POST
def tap(request: SimulatorRequest) -> HttpResponse:
    """Press a button of a card."""
    chosen = {name[2:]: request.POST.getlist(name) for name in request.POST if name.startswith("q:")}
    pressed = (request.POST.get("task_id", ""), request.POST.get("key", ""), chosen)
    try:
        phone.tap(request.world, holder(request).userid, *pressed)
    except Refused as refused:
        request.world.record("out", "template_card_event", refused.text, result=refused.code)
    return _back(request)


@require_POST
def menu(request: SimulatorRequest) -> HttpResponse:
    """Press a menu button; one of type view also opens its address."""
    app = request.world.config.apps[0]
    buttons = phone.menu_buttons(request.world, app)
    number = request.POST.get("button", "")
    if not number.isdecimal() or int(number) >= len(buttons):
        return _back(request)
    button = buttons[int(number)]
    phone.click_menu(request.world, app, holder(request).userid, str(button.get("url") or button.get("key")))
    if button["type"] == "view":
        return HttpResponseRedirect(local(button["url"]), status=303)
    return _back(request)


@require_POST
def fault(request: SimulatorRequest) -> HttpResponse:
    """Turn a switch over."""
    with request.world.lock:
        request.world.faults.set(changes_of(request.world.faults, request.POST.get("name", "")))
        request.world.touch()
    return _back(request)


@require_POST
def clear(request: SimulatorRequest) -> HttpResponse:
    """Empty the conversations."""
    request.world.clear_conversations()
    return _back(request)


@require_POST
def check(request: SimulatorRequest) -> HttpResponse:
    """Check the callback URL."""
    pusher.check_url(request.world, request.world.config.apps[0])
    return _back(request)


@require_POST
def alert(request: SimulatorRequest) -> HttpResponse:
    """Post one of the configured alerts."""
    alerts = request.world.config.demo_alerts
    number = request.POST.get("alert", "")
    if number.isdecimal() and int(number) < len(alerts):
        chosen = alerts[int(number)]
        status, note = _post(chosen)
        request.world.record("out", chosen.label, note, chosen.body, status)
    return _back(request)


def _post(chosen: DemoAlert) -> tuple[int, str]:
    target = urlsplit(chosen.url)
    kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
    connection = kind(target.hostname or "", target.port, timeout=ALERT_SECONDS)
    try:
        path = f"{target.path}?{target.query}" if target.query else target.path
        connection.request("POST", path, chosen.body.encode(), {"Content-Type": "application/json", **chosen.headers})
        response = connection.getresponse()
        return response.status, response.read(300).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return pusher.NO_ANSWER, str(error)
    finally:
        connection.close()


def static(request: SimulatorRequest, path: str) -> HttpResponseBase:
    """Serve the page's style and script from the project's static files."""
    try:
        return serve(request, path, insecure=True)
    except (Http404, SuspiciousFileOperation):
        return HttpResponse(status=404)
