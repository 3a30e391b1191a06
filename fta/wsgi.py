"""The WSGI entry, for gunicorn."""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def under_prefix(application: Application, prefix: str) -> Application:
    """Let a reverse proxy hand the path prefix on or cut it off: both reach the same page.

    `prefix` is SITE_PREFIX without its last slash, '' for none. Links carry the prefix by Django's FORCE_SCRIPT_NAME.
    """

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if prefix and path.startswith(prefix + "/"):
            environ = {**environ, "PATH_INFO": path[len(prefix) :]}
        return application(environ, start_response)

    return serve


def with_length(application: Application, most: int) -> Application:
    """Give a chunked request the length by which Django reads a body; of one that is longer than `most` only so much is read.

    The server ends such a body itself (`wsgi.input_terminated`); without a length Django would take it for empty.
    """

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").casefold() and environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read(most + 1)
            environ = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return application(environ, start_response)

    return serve


application = under_prefix(with_length(get_wsgi_application(), settings.FTA_MAX_BODY), settings.SITE_PREFIX.rstrip("/"))
