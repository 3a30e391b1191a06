"""A small HTTP server around one corp. It uses Django's requests, URLs and templates, but none of the portal's
middleware, so that it needs neither a database nor the portal's address."""

import logging
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.handlers.wsgi import WSGIRequest
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.http import HttpResponseBase, HttpResponseForbidden, HttpResponseNotFound, HttpResponseServerError
from django.urls import Resolver404, get_resolver, set_script_prefix, set_urlconf

from wechat.simulator.world import World

URLCONF = "wechat.simulator.urls"
POLICY = "default-src 'self'"

logger = logging.getLogger(__name__)


class SimulatorRequest(WSGIRequest):
    """A request to a simulated corp."""

    def __init__(self, environ: WSGIEnvironment, world: World) -> None:
        super().__init__(environ)
        self.world = world
        # The portal may live under a prefix; the simulator never does.
        self.path = self.path_info


class Application:
    """The WSGI application of one corp."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        set_urlconf(URLCONF)
        set_script_prefix("/")
        response = self._respond(SimulatorRequest(environ, self.world))
        response.headers.setdefault("Content-Security-Policy", POLICY)
        headers = [*response.items(), *(("Set-Cookie", c.OutputString()) for c in response.cookies.values())]
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        return response

    def _respond(self, request: SimulatorRequest) -> HttpResponseBase:
        # A browser names the page that posts; a page of another origin may not act here.
        origin = request.META.get("HTTP_ORIGIN")
        if request.method == "POST" and origin and urlsplit(origin).netloc != request.META.get("HTTP_HOST"):
            return HttpResponseForbidden("403 another origin\n", content_type="text/plain")
        try:
            match = get_resolver(URLCONF).resolve(request.path_info)
        except Resolver404:
            return HttpResponseNotFound("404 Not Found\n", content_type="text/plain")
        try:
            response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        except Exception:
            logger.exception("Unable to answer %s %s", request.method, request.path_info)
            return HttpResponseServerError("500\n", content_type="text/plain")
        return response


class _Handler(WSGIRequestHandler):
    """Django's handler without its line on the console for every request."""

    def log_message(self, format: str, *args: Any) -> None:
        if len(args) > 1 and str(args[1]) >= str(int(HTTPStatus.INTERNAL_SERVER_ERROR)):
            logger.warning(format, *args)


class _Server(ThreadedWSGIServer):
    """A server whose slow answers never keep it from ending."""

    daemon_threads = True
    request_queue_size = 128


def make_server(world: World, host: str = "127.0.0.1", port: int = 0) -> ThreadedWSGIServer:
    """Return a bound server; port 0 takes a free one."""
    server = _Server((host, port), _Handler, allow_reuse_address=True)
    server.set_app(Application(world))
    return server


def start(world: World, port: int = 0) -> tuple[str, Callable[[], None]]:
    """Serve a corp on loopback in the background and return its base URL and a function that stops it."""
    server = make_server(world, port=port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wecom-simulator", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"http://127.0.0.1:{server.server_address[1]}", stop
