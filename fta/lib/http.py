"""The one door for HTTP: TLS always verified, no redirects, no proxies, time and size limited, the destination judged.

Errors say what is known of the effect: `not_sent` (nothing left this machine) or `unknown` (it left, and no whole answer came).
A status code is not an error here.
"""

import http.client
import json as jsonlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import certifi
from django.utils.translation import gettext as _
from requests import PreparedRequest, Request
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict

from fta.lib.destinations import permitted, resolve
from fta.lib.types import JSON

_CHUNK = 64 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"})


class HttpError(Exception):
    """A request that got no whole answer; `outcome` says whether it may have had an effect."""

    outcome = "unknown"


class NotSent(HttpError):
    """Nothing was sent: the name has no address, or no connection came about. Safe to try again."""

    outcome = "not_sent"


class DestinationRefused(NotSent):
    """The address is neither public nor in FTA_HTTP_ALLOW. Trying again is of no use."""


class InvalidRequest(NotSent):
    """The URL or a header cannot be sent as given. Trying again is of no use."""


class OutcomeUnknown(HttpError):
    """The request was sent, at least in part, and no whole answer came."""


class AnswerTooLarge(OutcomeUnknown):
    """The answer is larger than the caller takes."""


@dataclass(frozen=True)
class Response:
    """An answer; `elapsed` is in seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed: float

    @property
    def text(self) -> str:
        """Return the body as text in its declared encoding; what does not fit is replaced."""
        found = re.search(r"charset=\"?([\w.:-]+)", self.headers.get("Content-Type", ""))
        try:
            return self.body.decode(found[1] if found else "utf-8", errors="replace")
        except (LookupError, ValueError):
            return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError when it is none."""
        try:
            return jsonlib.loads(self.body)
        except RecursionError as error:
            raise ValueError("The answer is nested too deeply.") from error


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: JSON = None,
    data: Mapping[str, str] | str | bytes | None = None,
    params: Mapping[str, str] | None = None,
    files: Mapping[str, Any] | None = None,
    timeout: tuple[float, float] = (3.0, 10.0),
    max_bytes: int = 1_000_000,
    trusted: bool = False,
) -> Response:
    """Send one request and return its answer.

    `timeout` is in seconds: to connect, and for everything after that up to the last byte. `trusted` is for an address that
    an administrator configured: the test for inner ranges is left out. Raises HttpError.
    """
    prepared = _prepare(method, url, headers=headers, json=json, data=data, params=params, files=files)
    parts = urlsplit(str(prepared.url))
    host, tls = str(parts.hostname), parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    started = time.monotonic()
    sock = _dial(host, port, tls, timeout[0], trusted)
    connection = http.client.HTTPConnection(host, port, timeout=timeout[1])
    connection.sock = sock
    try:
        with _deadline(sock, timeout[1]):
            _send(connection, prepared, parts.netloc)
            answer = connection.getresponse()
            body = _read(answer, max_bytes)
    except (OSError, http.client.HTTPException) as error:
        raise OutcomeUnknown(_("请求已发出，但没有收到完整应答（%s）") % _where(host, port)) from error
    finally:
        connection.close()
        sock.close()
    return Response(answer.status, CaseInsensitiveDict(answer.getheaders()), body, time.monotonic() - started)


def _prepare(method: str, url: str, headers: Mapping[str, str] | None, **body: Any) -> PreparedRequest:
    if _CONTROL.search(url) or "\\" in url or " " in url:
        raise InvalidRequest(_("地址中含有不允许的字符"))
    for name, value in (headers or {}).items():
        if not _TOKEN.fullmatch(name) or name.casefold() in _OURS or _CONTROL.search(value):
            raise InvalidRequest(_("请求头 %s 不能发送：名称或内容不合规") % repr(name)[:64])
    try:
        sent = {name: value.encode() for name, value in (headers or {}).items()}
        prepared = Request(method.upper(), url, headers={"User-Agent": "fta-portal", **sent}, **body).prepare()
        parts = urlsplit(str(prepared.url))
        valid = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except (RequestException, ValueError) as error:  # UnicodeError is a ValueError
        raise InvalidRequest(_("地址或内容无效，不能发送")) from error
    if not valid or not _TOKEN.fullmatch(str(prepared.method)):
        raise InvalidRequest(_("地址无效：只支持 http 和 https，且不能带用户名"))
    return prepared


def _dial(host: str, port: int, tls: bool, timeout: float, trusted: bool) -> socket.socket:
    """Return a connection to one of the host's permitted addresses, TLS done."""
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise NotSent(_("域名无法解析：%s") % host) from error
    allowed = permitted(host, port, addresses, trusted)
    if not allowed:
        raise DestinationRefused(
            _("不允许访问 %s：它不是公网地址，也不在 FTA_HTTP_ALLOW 中。如确需访问，请把它加入 FTA_HTTP_ALLOW 后重启")
            % _where(host, port)
        )
    until = time.monotonic() + timeout
    last: OSError | None = None
    for address in allowed:
        try:
            sock = socket.create_connection((address, port), timeout=max(0.05, until - time.monotonic()))
            return _secure(sock, host) if tls else sock
        except OSError as error:  # ssl.SSLError is one
            last = error
    reason = _("证书或 TLS 握手失败") if isinstance(last, ssl.SSLError) else _("连接失败或超时")
    raise NotSent(_("未能连接 %(where)s：%(reason)s") % {"where": _where(host, port), "reason": reason}) from last


def _secure(sock: socket.socket, host: str) -> socket.socket:
    try:
        return tls_context().wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the settings of TLS: certificates always verified, by the system's authorities and by certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _send(connection: http.client.HTTPConnection, prepared: PreparedRequest, netloc: str) -> None:
    connection.putrequest(str(prepared.method), prepared.path_url, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", netloc)
    connection.putheader("Connection", "close")
    connection.putheader("Accept-Encoding", "identity")  # nothing to inflate, so no bomb
    for name, value in prepared.headers.items():
        connection.putheader(name, value)
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    connection.endheaders(body)


def _read(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := answer.read(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise AnswerTooLarge(_("应答超过 %s 字节") % max_bytes)
    return bytes(body)


@contextmanager
def _deadline(sock: socket.socket, seconds: float) -> Iterator[None]:
    """End the exchange after so many seconds; a timeout of the socket alone lets a server drip bytes for ever."""
    sock.settimeout(seconds)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's, which would drop TLS under the reader
        except OSError:
            return  # it has ended by itself

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if expired.is_set():  # a body that ends with the connection would look whole
        raise TimeoutError("The answer took too long.")


def _where(host: str, port: int) -> str:
    """Name the destination without the path, which may hold a secret."""
    return f"{host}:{port}"
