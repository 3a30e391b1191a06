"""The gateway: tools that speak to WeCom directly speak to the portal instead, and the portal sends for them.

So one address is enough among the trusted ones (企业可信IP), whoever sends. Facts: WeCom's pages 91039 (gettoken) and 90236
(message/send), 90313 (error codes); what Alertmanager and Grafana send is told in their notifiers' sources.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.db import transaction

from fta.lib.secrets import matches
from notify import outbox
from notify.message import Message
from notify.models import ChannelKind, Delivery
from wechat.errors import WecomError
from wechat.models import GatewayCall, GatewayClient

TOKEN_SECONDS = 7200
EVENT = "gateway.message"
MAX_BODY = 256 * 1024
_SALT = "wecom-gateway"
_KEPT = timedelta(days=90)
_RECEIVERS = ("touser", "toparty", "totag")
_MOST_ARTICLES = 8
_MOST_MEMBERS = 1000


def issue(corp_id: str, secret: str) -> str:
    """Return a token of two hours for a client. Raises WecomError: 41002, 41004, 40013 or 40001, as WeCom would.

    It is signed and not stored: every web process can judge it, and it ends with the client's secret.
    """
    if not corp_id:
        raise WecomError(41002, "corpid missing")
    if not secret:
        raise WecomError(41004, "corpsecret missing")
    rows = list(GatewayClient.objects.filter(corp_id=corp_id, enabled=True, archived=False))
    if not rows:
        raise WecomError(40013, "invalid corpid")
    for row in rows:
        if matches(secret, row.secret_digest):
            return signing.dumps({"c": row.pk, "s": row.secret_digest[:16]}, salt=_SALT)
    raise WecomError(40001, "invalid credential")


def holder(token: str) -> GatewayClient:
    """Return the client of a token. Raises WecomError: 41001 without one, 42001 when it is over, 40014 for any other."""
    if not token:
        raise WecomError(41001, "access_token missing")
    try:
        said = signing.loads(token, salt=_SALT, max_age=TOKEN_SECONDS)
    except signing.SignatureExpired as error:
        raise WecomError(42001, "access_token expired") from error
    except signing.BadSignature as error:
        raise WecomError(40014, "invalid access_token") from error
    row = GatewayClient.objects.filter(pk=said["c"], enabled=True, archived=False).first()
    if row is None or row.secret_digest[:16] != said["s"]:
        raise WecomError(40014, "invalid access_token")
    return row


def take(client: GatewayClient, raw: bytes, now: datetime) -> Delivery:
    """Write a client's message as a delivery of the portal's own application, and the call into the client's log.

    `raw` is the request's body, or its first MAX_BODY + 1 bytes. Raises WecomError with the code that WeCom has for what
    is wrong; that is in the log too.
    """
    body: dict[str, Any] = {}
    try:
        body = _read(raw)
        with transaction.atomic():
            # One at a time for each client: the limit is counted on the rows.
            GatewayClient.objects.select_for_update().get(pk=client.pk)
            _within_limit(client, now)
            message = _message(client, body)
            row = outbox.post(
                dedup_key=f"gateway:{client.pk}:{uuid.uuid4().hex}",
                kind=ChannelKind.WECOM_APP,
                event=EVENT,
                message=message,
                recipients=_listed(body.get("touser")),
                now=now,
            )
            assert row is not None  # noqa: S101 - its key is new
            _log(client, body, now, 0, "ok", row)
            return row
    except WecomError as error:
        _log(client, body, now, error.errcode, error.errmsg, None)
        raise


def _within_limit(client: GatewayClient, now: datetime) -> None:
    calls = GatewayCall.objects.filter(client=client, at__gt=now - timedelta(minutes=1), errcode=0)
    if calls.count() >= client.per_minute:
        raise WecomError(45009, f"api freq out of limit: {client.per_minute} a minute")


def _log(
    client: GatewayClient, body: Mapping[str, Any], now: datetime, code: int, text: str, row: Delivery | None
) -> None:
    receivers = " ".join(f"{name}={body[name]}" for name in _RECEIVERS if body.get(name))
    GatewayCall.objects.create(
        client=client, at=now, msgtype=str(body.get("msgtype") or "")[:32], receivers=receivers[:255],
        errcode=code, errmsg=text[:255], delivery_ref=row.pk if row else None,
    )  # fmt: skip
    GatewayCall.objects.filter(client=client, at__lt=now - _KEPT).delete()


def _read(raw: bytes) -> dict[str, Any]:
    """Return the JSON of a request's body. Raises WecomError 45002 for too much, 47001 for anything else than an object."""
    if len(raw) > MAX_BODY:
        raise WecomError(45002, f"the body is larger than {MAX_BODY} bytes")
    try:
        body = json.loads(raw)
        text = json.dumps(body, ensure_ascii=False)
        text.encode()  # half of a surrogate pair can be written in JSON, but not stored
    except (ValueError, RecursionError) as error:
        raise WecomError(47001, "data format error") from error
    if not isinstance(body, dict) or "\\u0000" in text:
        raise WecomError(47001, "data format error")
    return body


def _message(client: GatewayClient, body: Mapping[str, Any]) -> Message:
    # Alertmanager and Grafana write the agent id as a string.
    if body.get("agentid") in (None, ""):
        raise WecomError(41011, "agentid missing")
    if str(body["agentid"]) != str(client.agent_id):
        raise WecomError(301002, "agentid is not of this secret")
    if not any(_listed(body.get(name)) for name in _RECEIVERS):
        raise WecomError(82001, "touser, toparty and totag are all empty")
    if len(_listed(body.get("touser"))) > _MOST_MEMBERS:
        raise WecomError(40032, f"touser names more than {_MOST_MEMBERS} members; @all reaches everybody")
    build = _FORMS.get(str(body.get("msgtype")))
    if build is None:
        raise WecomError(40008, "invalid message type: text, markdown, textcard and news are taken")
    # Only the part that msgtype names counts: Alertmanager sends an empty `text` beside its `markdown`.
    part = body.get(body["msgtype"])
    message = build(part if isinstance(part, dict) else {})
    others = {name: _joined(body.get(name)) for name in ("toparty", "totag") if _listed(body.get(name))}
    return replace(message, data={**message.data, "to": others})


def _text(part: Mapping[str, Any]) -> Message:
    content = _words(part, "content")
    return Message("text", _first_line(content), content)


def _markdown(part: Mapping[str, Any]) -> Message:
    return replace(_text(part), form="markdown")


def _textcard(part: Mapping[str, Any]) -> Message:
    return Message("textcard", _words(part, "title"), _words(part, "description"), _words(part, "url"))


def _news(part: Mapping[str, Any]) -> Message:
    given = part.get("articles")
    articles = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    if not articles or len(articles) > _MOST_ARTICLES:
        raise WecomError(45008, f"1 to {_MOST_ARTICLES} articles")
    first = articles[0]
    title, url = _words(first, "title"), str(first.get("url") or "")
    kept = [
        {name: str(each[name]) for name in ("title", "description", "url", "picurl") if each.get(name)}
        for each in articles
    ]
    return Message("news", title, str(first.get("description") or ""), url, data={"articles": kept})


_FORMS = {"text": _text, "markdown": _markdown, "textcard": _textcard, "news": _news}


def _words(part: Mapping[str, Any], name: str) -> str:
    text = str(part.get(name) or "").strip()
    if not text:
        raise WecomError(44004, f"{name} is empty")
    return text


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0][:128]


def _listed(value: Any) -> list[str]:
    """Return the names of a list that WeCom writes with bars; Alertmanager users put blanks around them."""
    return [name for name in (item.strip() for item in str(value or "").split("|")) if name]


def _joined(value: Any) -> str:
    return "|".join(_listed(value))
