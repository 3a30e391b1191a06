"""The callback entry: WeCom's check of the address, and every message and event.

Whatever is forged, damaged or not for us gets the same answer. A fault of ours, such as a database that is down, is answered
503, upon which WeCom tries again.
"""

import logging
from datetime import datetime

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from wechat import events
from wechat.crypto import CallbackRefused, Crypto
from wechat.models import WecomApp
from wechat.services import configuration
from wechat.xml import MAX_BYTES, Envelope, Message, parse_envelope, parse_message

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600


@method_decorator(csrf_exempt, name="dispatch")
class Entry(View):
    """The address that is entered at 接收消息 → 设置 API 接收."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer the check of the address: the bare plaintext, within a second; nothing else happens."""
        try:
            for app in _apps():
                plain = _checked(app, request, timezone.now())
                if plain is not None:
                    return HttpResponse(plain, content_type="text/plain; charset=utf-8")
        except Exception:
            logger.exception("Unable to take a WeCom callback")
            return _unavailable()
        return _refused("no application verifies this address")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Take one message or event; it is done before the answer, which is empty."""
        now = timezone.now()
        try:
            app, message = _open(request, now)
            events.receive(app, message, now)
        except CallbackRefused as refused:
            return _refused(str(refused))
        except Exception:
            logger.exception("Unable to take a WeCom callback")
            return _unavailable()
        return HttpResponse(content_type="text/plain; charset=utf-8")


def _apps() -> list[WecomApp]:
    rows = WecomApp.objects.filter(archived=False).order_by("-is_default", "id")
    return [app for app in rows if app.can_receive]


def _decrypted(app: WecomApp, request: HttpRequest, encrypt: str, now: datetime) -> tuple[str, bool]:
    """Return a plaintext, and whether the present secrets opened it; after a change those before open it for a while.

    Raises CallbackRefused with what the present ones say.
    """
    signature, timestamp, nonce = (request.GET.get(name, "") for name in ("msg_signature", "timestamp", "nonce"))
    refusal: CallbackRefused | None = None
    for number, (token, key) in enumerate(app.callback_secrets(now)):
        try:
            return Crypto(token, key, app.corp_id).decrypt(signature, timestamp, nonce, encrypt), number == 0
        except CallbackRefused as refused:
            refusal = refusal or refused
    raise refusal or CallbackRefused(CallbackRefused.SIGNATURE, "no secrets")


def _checked(app: WecomApp, request: HttpRequest, now: datetime) -> str | None:
    try:
        plain, present = _decrypted(app, request, request.GET.get("echostr", ""), now)
    except CallbackRefused:
        return None
    if present:
        configuration.verified(app, now)
    return plain


def _open(request: HttpRequest, now: datetime) -> tuple[WecomApp, Message]:
    """Return the application and its message; raises CallbackRefused for everything that is not WeCom's."""
    envelope = parse_envelope(_body(request))
    app = _addressee(envelope)
    timestamp = request.GET.get("timestamp", "")
    plain, present = _decrypted(app, request, envelope.encrypt, now)
    message = parse_message(plain)
    if message.to_user != app.corp_id or message.agent_id != str(app.agent_id or ""):
        raise CallbackRefused(CallbackRefused.RECEIVE_ID, "the message inside is for another corp or application")
    if not timestamp.isdecimal() or len(timestamp) > 12 or abs(now.timestamp() - int(timestamp)) > FRESH_SECONDS:
        raise CallbackRefused(CallbackRefused.SIGNATURE, "the message is not of the last ten minutes")
    if any("\x00" in value for value in vars(message).values() if isinstance(value, str)):
        raise CallbackRefused(CallbackRefused.PARSE, "a value holds a NUL character")
    if present and app.callback_verified_at is None:  # WeCom had these secrets before the portal did: it moved, say
        configuration.verified(app, now)
    return app, message


def _body(request: HttpRequest) -> bytes:
    try:
        return request.read(MAX_BYTES + 1)
    except UnreadablePostError as error:
        raise CallbackRefused(CallbackRefused.PARSE, "the body could not be read") from error


def _addressee(envelope: Envelope) -> WecomApp:
    """Return the application that the envelope names; its secrets then have to prove it."""
    for app in _apps():
        if envelope.to_user == app.corp_id and envelope.agent_id in ("", str(app.agent_id)):
            return app
    raise CallbackRefused(CallbackRefused.RECEIVE_ID, "no application of this name")


def _refused(reason: str) -> HttpResponse:
    logger.warning("A WeCom callback was refused: %s", reason)
    return HttpResponse("forbidden", status=403, content_type="text/plain; charset=utf-8")


def _unavailable() -> HttpResponse:
    response = HttpResponse("unavailable", status=503, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = "1"
    return response
