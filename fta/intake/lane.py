"""The narrow way of machines: senders of alerts, WeCom's callbacks and probes need no session, no sign-in and no messages."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

_PROBES = ("/healthz/", "/readyz/", "/metrics")
_ADDRESSES = ("/intake/", "/event/api/", "/api/model/send_sms", "/wechat/entry/", "/wecom/cgi-bin/", *_PROBES)
# What CSPMiddleware and XFrameOptionsMiddleware say for pages; these answers load nothing.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


class MachineLane:
    """Answers the addresses of machines by itself; stands behind SecurityMiddleware and before everything for people."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(_ADDRESSES):
            return self.get_response(request)
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return self.get_response(request)
        if not request.path_info.startswith(_PROBES):  # platforms ask by the address of a container
            request.get_host()  # raises DisallowedHost, as CommonMiddleware would
        request.resolver_match = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if not response.streaming and not response.has_header("Content-Length"):
            response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
        return response
