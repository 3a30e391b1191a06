"""A signed JSON POST to any address that may be reached (FTA_HTTP_ALLOW)."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.lib.http import AnswerTooLarge, DestinationRefused, HttpError, InvalidRequest, Response, request
from notify.message import Message
from notify.models import Delivery
from notify.transports.base import NOT_SENT, NotSent, OutcomeUnknown, Receipt, Refused
from notify.transports.fields import Field

MIN_SECRET = 16


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the X-FTA-Signature: hex HMAC-SHA256 of `timestamp.body`, so that a copy cannot be replayed later."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


# Who knows the secret that is shared with the systems which get callbacks; filled by the floor that speaks with them.
_callback_secrets: list[Callable[[], str]] = []


def sign_callbacks_with(secret: Callable[[], str]) -> None:
    """Register who tells the secret of callbacks: deliveries without a channel, to the address in their message."""
    _callback_secrets.append(secret)


class WebhookTransport:
    """The receiver drops a second copy by its Idempotency-Key, which is the same at each try."""

    label = gettext_lazy("Webhook")
    fields = (
        Field("url", gettext_lazy("地址"), help=gettext_lazy("内网地址还要写进 FTA_HTTP_ALLOW。"), required=True),
        Field(
            "secret",
            gettext_lazy("签名密钥"),
            "secret",
            gettext_lazy("至少 16 个字符；接收方用它核对 X-FTA-Signature。"),
            required=True,
        ),
    )
    idempotent = True

    def send(self, delivery: Delivery, message: Message) -> Receipt:
        """POST the message once; 2xx is sent, 408, 425, 429 and 5xx are tried again, all else is a refusal."""
        url, secret = _target(delivery, message)
        body = json.dumps(_body(delivery, message), ensure_ascii=False, sort_keys=True).encode()
        shown = body.decode()
        try:
            answer = request("POST", url, headers=_headers(delivery, secret, body), data=body)
        except (DestinationRefused, InvalidRequest) as error:
            remedy = _("核对地址；内网地址要写进 FTA_HTTP_ALLOW，再重发。")
            raise Refused(_("这个地址不能发：%(error)s") % {"error": error}, remedy=remedy, request=shown) from error
        except AnswerTooLarge:
            return Receipt(request=shown, answer=_("（应答过大，未读完）"))
        except HttpError as error:
            kind = NotSent if error.outcome == NOT_SENT else OutcomeUnknown
            remedy = _("检查对方的服务与到它的网络，然后重发；重复的由 Idempotency-Key 识别。")
            raise kind(_("Webhook 没有应答：%(error)s") % {"error": error}, remedy=remedy, request=shown) from error
        return _judge(answer, shown)

    def validate(self, config: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Check the address and the secret."""
        problems = []
        parts = urlsplit(str(config.get("url") or ""))
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            problems.append(("url", _("填完整的 http:// 或 https:// 地址，不带账号。")))
        if len(str(config.get("secret") or "")) < MIN_SECRET:
            problems.append(("secret", _("签名密钥至少 %(count)d 个字符。") % {"count": MIN_SECRET}))
        return problems


def _target(delivery: Delivery, message: Message) -> tuple[str, str]:
    """Return where to post and what to sign with; a callback goes where its message says. Raises Refused."""
    if delivery.channel is None:
        url, secret = message.url, _callback_secrets[-1]() if _callback_secrets else ""
        if not secret:
            raise Refused(_("没有为回调签名的密钥。"), remedy=_("在企业微信配置页填写审批接口的 TOKEN 后重发。"))
        return url, secret
    url = str(delivery.channel.config.get("url") or "")
    if not url:
        raise Refused(_("没有填 Webhook 地址。"), remedy=_("在通知服务里填地址后重发。"))
    return url, str(delivery.channel.config.get("secret") or "")


def _body(delivery: Delivery, message: Message) -> dict[str, Any]:
    return {
        "id": delivery.dedup_key,
        "event": delivery.event,
        "title": message.title,
        "text": message.text,
        "url": message.url,
        "alert": delivery.alert_id,
        "execution": delivery.execution_id,
        "approval": delivery.approval_ref,
        "created_at": delivery.created_at.isoformat(),
        "data": message.data,
    }


def _headers(delivery: Delivery, secret: str, body: bytes) -> dict[str, str]:
    timestamp = str(int(timezone.now().timestamp()))
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Idempotency-Key": _ascii(delivery.dedup_key),
        "X-FTA-Event": delivery.event,
        "X-FTA-Timestamp": timestamp,
        "X-FTA-Signature": sign(secret, timestamp, body),
    }


def _ascii(key: str) -> str:
    """Return the key as a header can carry it: names of channels may be Chinese."""
    return key if key.isascii() and key.isprintable() else hashlib.sha256(key.encode()).hexdigest()


def _judge(answer: Response, shown: str) -> Receipt:
    text = f"{answer.status}\n{answer.text[:2000]}"
    if 200 <= answer.status < 300:
        return Receipt(request=shown, answer=text)
    again = answer.status in (408, 425, 429) or answer.status >= 500
    code = str(answer.status)
    if again:
        remedy = _("对方暂时不能处理；等它恢复后重发。")
        raise NotSent(_("Webhook 应答 %(code)s") % {"code": code}, code=code, remedy=remedy, request=shown, answer=text)
    raise Refused(
        _("Webhook 拒收：%(code)s") % {"code": code},
        code=code,
        remedy=_("对照下面的应答检查地址与签名密钥，改好后重发。"),
        request=shown,
        answer=text,
    )
