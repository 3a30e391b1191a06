"""What a test does to the simulator, as JSON. Loopback only."""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict

from django.http import HttpResponseForbidden, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase

from wechat.simulator import phone, pusher
from wechat.simulator.server import SimulatorRequest
from wechat.simulator.state import Json, Refused

Hook = Callable[[SimulatorRequest, Json], Json]


def hook(method: str) -> Callable[[Hook], Callable[[SimulatorRequest], HttpResponseBase]]:
    """Make a view of a hook: loopback only, JSON in and out, a refusal is 400."""

    def wrap(handler: Hook) -> Callable[[SimulatorRequest], HttpResponseBase]:
        @functools.wraps(handler)
        def view(request: SimulatorRequest) -> HttpResponseBase:
            if request.META.get("REMOTE_ADDR") not in ("127.0.0.1", "::1"):
                return HttpResponseForbidden("loopback only\n", content_type="text/plain")
            if request.method != method:
                return HttpResponseNotAllowed([method])
            try:
                body = json.loads(request.body or b"{}")
                _check(body)
                return JsonResponse(handler(request, body), json_dumps_params={"ensure_ascii": False})
            except (Refused, ValueError, KeyError) as error:
                return JsonResponse({"error": str(error)}, status=400)

        return view

    return wrap


def _check(body: Json) -> None:
    """Refuse what no hook can read; each looks itself at the fields that it needs."""
    if not isinstance(body, dict):
        raise Refused(40058, "the body must be an object")
    for name in ("userid", "text", "task_id", "key"):
        if not isinstance(body.get(name, ""), str):
            raise Refused(40058, f"{name} must be a string")
    selected = body.get("selected") or {}
    if not isinstance(selected, dict) or not all(_texts(options) for options in selected.values()):
        raise Refused(40058, "selected must be an object of lists of strings")


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _attempts(attempts: list[pusher.Attempt]) -> Json:
    return {"attempts": [asdict(attempt) for attempt in attempts]}


@hook("GET")
def state(request: SimulatorRequest, body: Json) -> Json:
    """Return everything that happened."""
    return request.world.snapshot()


@hook("POST")
def say(request: SimulatorRequest, body: Json) -> Json:
    """Let a member write to an application."""
    app = request.world.app(body.get("agentid") or request.world.config.apps[0].agent_id)
    return _attempts(phone.say(request.world, app, body["userid"], body["text"]))


@hook("POST")
def tap(request: SimulatorRequest, body: Json) -> Json:
    """Let a member press a button of a card."""
    pressed = (body["userid"], body["task_id"], body["key"], body.get("selected"))
    return _attempts(phone.tap(request.world, *pressed))


@hook("POST")
def menu_click(request: SimulatorRequest, body: Json) -> Json:
    """Let a member press a menu button, named by its key or URL."""
    app = request.world.app(body.get("agentid") or request.world.config.apps[0].agent_id)
    return _attempts(phone.click_menu(request.world, app, body["userid"], body["key"]))


@hook("POST")
def enter(request: SimulatorRequest, body: Json) -> Json:
    """Let a member open an application."""
    app = request.world.app(body.get("agentid") or request.world.config.apps[0].agent_id)
    return _attempts(phone.enter(request.world, app, body["userid"]))


@hook("POST")
def fault(request: SimulatorRequest, body: Json) -> Json:
    """Turn faults on or off."""
    with request.world.lock:
        request.world.faults.set(body)
        request.world.touch()
        return asdict(request.world.faults)


@hook("POST")
def reset(request: SimulatorRequest, body: Json) -> Json:
    """Forget everything."""
    request.world.reset()
    return {}


@hook("POST")
def check(request: SimulatorRequest, body: Json) -> Json:
    """Check the callback URL of an application."""
    app = request.world.app(body.get("agentid") or request.world.config.apps[0].agent_id)
    return {"passed": pusher.check_url(request.world, app)}
