"""Where monitoring tools post. The raw body is committed before the 2xx; no session, no template, no outside call on this path."""

import hashlib
import json
import logging
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from fta.engine import doorbell
from fta.intake.credentials import Claim, Known, client_ip, find_source, recall
from fta.intake.keeping import Body, keeper
from fta.intake.kind import RELAY, source_info
from fta.intake.sources import PARSERS
from fta.intake.sources.base import Parsed, Parser, RawRequest, Rejected, clean
from fta.lib.secrets import digest
from fta.models import Inbox, Source

logger = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
RETRY_AFTER_SECONDS = "10"
_NOT_KEPT = ("secret", "token", RELAY)
_LONGEST_KEY = 128  # of an Idempotency-Key that is kept as it is; a longer one by its digest
_KEPT_HEADERS = ("user-agent", "content-type")


class Refused(Exception):
    """An answer other than 2xx, with the reason for the sender."""

    def __init__(self, status: int, message: str, inbox: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.inbox = inbox


@csrf_exempt
def intake(request: HttpRequest, kind: str, secret: str = "") -> HttpResponse:
    """Take alerts of one kind: 202 {"accepted", "inbox"}; with ?wait=1 also what became of them within 5 s.

    With ?validate=1 nothing is kept: 200 {"valid"} when every alert can be read, else 400 with the reason.
    """
    return _taken(request, kind, secret)


@csrf_exempt
def relay(request: HttpRequest) -> HttpResponse:
    """Take a notification of Grafana as the web.py relay did: an alert, and a message to the channels of the source.

    It is answered as any intake; whom the source relays to (`relay_to`) hears of it once the engine has read it.
    """
    return _taken(request, "grafana", relays=True)


def _taken(request: HttpRequest, kind: str, secret: str = "", relays: bool = False) -> HttpResponse:
    try:
        inbox, parsed = _take(request, kind, secret, relays=relays)
    except Refused as refused:
        return _refusal(refused)
    except DatabaseError:
        logger.exception("Unable to store an alert request")
        return _refusal(Refused(503, "The portal cannot store alerts at this moment. Send again."))
    if inbox is None:
        return JsonResponse({"valid": len(parsed.alerts)})
    answer: dict[str, Any] = {"accepted": len(parsed.alerts), "inbox": inbox}
    if parsed.problems:
        answer["problems"] = [{"path": path, "message": message} for path, message in parsed.problems]
    if request.GET.get("wait") == "1":
        answer["alerts"] = _wait_for(inbox)
    return JsonResponse(answer, status=202)


@csrf_exempt
def original_push(request: HttpRequest, app_id: str) -> HttpResponse:
    """Take the original's REST push: the answer keeps its codes 1200, 1400, 1500, with a matching HTTP status."""
    try:
        inbox, parsed = _take(request, "rest", app_id=app_id)
    except Refused as refused:
        code = 1500 if refused.status >= 500 else 1400
        return _original(False, refused.message, code, refused.status)
    except DatabaseError:
        logger.exception("Unable to store an alert request")
        return _original(False, "The portal cannot store alerts at this moment. Send again.", 1500, 503)
    word, kept = ("valid", {}) if inbox is None else ("accepted", {"inbox": inbox})
    return _original(True, f"{word} {len(parsed.alerts)}", 1200, 200, {word: len(parsed.alerts), **kept})


def _original(result: bool, message: str, code: int, status: int, data: dict[str, Any] | None = None) -> JsonResponse:
    answer = JsonResponse({"result": result, "message": message, "data": data or {}, "code": code}, status=status)
    if status == 503:
        answer["Retry-After"] = RETRY_AFTER_SECONDS
    return answer


def _refusal(refused: Refused) -> JsonResponse:
    error: dict[str, Any] = {"code": refused.status, "message": refused.message}
    if refused.inbox is not None:
        error["inbox"] = refused.inbox
    answer = JsonResponse({"error": error}, status=refused.status)
    if refused.status == 503:
        answer["Retry-After"] = RETRY_AFTER_SECONDS
    if refused.status == 405:
        answer["Allow"] = "POST"
    return answer


def _take(
    request: HttpRequest, kind: str, secret: str = "", app_id: str = "", relays: bool = False
) -> tuple[int | None, Parsed]:
    """Keep the request's body and return its inbox id, None for a ?validate=1 that nothing is kept of. Raises Refused."""
    parser = PARSERS.get(kind)
    if parser is None:
        raise Refused(404, f"No source of kind {kind}. Known kinds: {', '.join(sorted(PARSERS))}.")
    if request.method not in ("POST", "PUT"):
        raise Refused(405, "Send alerts with POST.")
    claim = Claim.of(request, kind, secret, app_id)
    validates = request.GET.get("validate") == "1"
    known = None if validates or request.headers.get("Idempotency-Key") else recall(claim)
    raw = _raw(request, relays) if known is not None else None
    if known is not None and raw is not None:
        taken = _take_from(known, claim, raw, parser)
        if taken is not None:
            return taken
    source = find_source(claim)
    if source is None:
        raise Refused(401, f"The credential is missing or is of no enabled source of kind {kind}.")
    raw = raw or _raw(request, relays)
    if validates:
        return None, _valid(parser, raw, source)
    try:
        parsed = parser.parse(raw, source_info(source))
    except Rejected as error:
        kept = _keep(request, source, raw, Inbox.State.REJECTED, str(error))
        raise Refused(400, str(error), kept.pk) from error
    return _keep(request, source, raw, Inbox.State.NEW, "").pk, parsed


def _valid(parser: Parser, raw: RawRequest, source: Source) -> Parsed:
    """Read a body of which every alert must be readable, for somebody who sets a tool up. Raises Refused."""
    try:
        parsed = parser.parse(raw, source_info(source))
    except Rejected as error:
        raise Refused(400, str(error)) from error
    if parsed.problems:
        raise Refused(400, "; ".join(f"{path}: {message}" for path, message in parsed.problems)[:2000])
    return parsed


def _take_from(known: Known, claim: Claim, raw: RawRequest, parser: Parser) -> tuple[int, Parsed] | None:
    """Take alerts of a source that was seen before; None when it has changed since, or when they cannot be read."""
    try:
        parsed = parser.parse(raw, source_info(known.source))
    except Rejected:
        return None
    pk = keeper.keep(
        Body(
            source_id=known.source.pk,
            version=known.version,
            raw=raw.body,
            content_type=raw.content_type,
            query=_query(raw),
            headers=json.dumps(dict(raw.headers)),
            remote_ip=claim.address or None,
            received_at=timezone.now(),
            body_digest=hashlib.sha256(raw.body).hexdigest(),
        )
    )
    return None if pk is None else (pk, parsed)


def _raw(request: HttpRequest, relays: bool) -> RawRequest:
    """Read the body within its limit. Compressed bodies are refused: what they unfold to has no limit."""
    if request.headers.get("Content-Encoding", "identity").casefold() not in ("", "identity"):
        raise Refused(415, "Compressed bodies are not taken. Send the body as it is.")
    too_large = Refused(413, f"The body is larger than {settings.FTA_MAX_BODY} bytes. Send fewer alerts at once.")
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > settings.FTA_MAX_BODY:
        raise too_large
    body = request.read(settings.FTA_MAX_BODY + 1)
    if len(body) > settings.FTA_MAX_BODY:
        raise too_large
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() in _KEPT_HEADERS}
    query = {RELAY: "1"} if relays else {}  # first: the rest may be cut
    query |= {clean(key, 255): clean(value, 2000) for key, value in request.GET.items() if key not in _NOT_KEPT}
    return RawRequest(body, request.headers.get("Content-Type", "")[:200], query, headers)


def _query(raw: RawRequest) -> str:
    return urlencode(raw.query)[:2000]  # quoted: no value is taken for a mark of ours


def _keep(request: HttpRequest, source: Source, raw: RawRequest, state: str, error: str) -> Inbox:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > _LONGEST_KEY:
        key = f"sha256:{digest(key)}"
    inbox = Inbox(
        source=source,
        kind=source.kind,
        raw=raw.body,
        content_type=raw.content_type,
        query=_query(raw),
        headers=dict(raw.headers),
        remote_ip=client_ip(request) or None,
        received_at=timezone.now(),
        state=state,
        error=error[:2000],
        idem_key=(key or None) if state == Inbox.State.NEW else None,
        body_digest=hashlib.sha256(raw.body).hexdigest(),
    )
    try:
        with transaction.atomic():
            inbox.save(force_insert=True)
            if state == Inbox.State.NEW:
                doorbell.ring("inbox", inbox.pk)
    except IntegrityError:
        return _same_again(source, inbox)
    return inbox


def _same_again(source: Source, inbox: Inbox) -> Inbox:
    """Answer a repeated Idempotency-Key as the first time, unless the body is another one."""
    first = Inbox.objects.filter(source=source, idem_key=inbox.idem_key).first()
    if first is None:
        raise Refused(503, "The portal cannot store alerts at this moment. Send again.")
    if first.body_digest != inbox.body_digest:
        raise Refused(422, "This Idempotency-Key was used with another body. Use a new key.", first.pk)
    return first


def _wait_for(pk: int) -> list[Any]:
    """Return what became of the alerts; nothing when that is not known in time, or the database is lost: the body is kept."""
    with suppress(DatabaseError):
        return _watched(pk)
    logger.warning("Unable to tell what became of inbox row %s; it is kept", pk)
    return []


def _watched(pk: int) -> list[Any]:
    deadline = time.monotonic() + WAIT_SECONDS
    pause = 0.01
    while time.monotonic() < deadline:
        row = Inbox.objects.filter(pk=pk).exclude(state=Inbox.State.NEW).values_list("results", flat=True).first()
        if row is not None:
            return list(row)
        time.sleep(pause)
        pause = min(pause * 2, 0.2)
    return []
