"""Mail, by Django's mail settings (EMAIL_URL)."""

import hashlib
import smtplib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.validators import validate_email
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notify.message import Message
from notify.models import Delivery
from notify.transports.base import NotSent, OutcomeUnknown, Receipt, Refused
from notify.transports.fields import Field


class EmailTransport:
    """Text, and the same as HTML in which every value is escaped: alert text is not ours, and the only link is the portal's.

    A second copy carries the same Message-ID, which readers fold into one.
    """

    label = gettext_lazy("邮件")
    fields = (Field("to", gettext_lazy("收件地址"), "lines", gettext_lazy("每行一个。"), required=True),)
    idempotent = True

    def send(self, delivery: Delivery, message: Message) -> Receipt:
        """Hand one mail to the server; raises by what the server said and when the connection broke."""
        config = delivery.channel.config if delivery.channel else {}
        to = list(delivery.recipients or config.get("to") or [])
        if not to:
            raise Refused(_("没有收件地址。"), remedy=_("给通知服务填收件人，或给人员填邮箱后重发。"))
        mail = self._mail(delivery, message, to)
        request = f"To: {', '.join(to)}\nSubject: {mail.subject}\nMessage-ID: {mail.extra_headers['Message-ID']}"
        try:
            with _refusals(mail) as refused:
                mail.send()
        except smtplib.SMTPResponseException as error:
            raise _answered(error.smtp_code, error.smtp_error, request) from error
        except smtplib.SMTPRecipientsRefused as error:
            code, text = min(error.recipients.values())  # one that is refused for now may be taken later
            raise _answered(code, text, request) from error
        except smtplib.SMTPServerDisconnected as error:
            remedy = _("检查邮件服务器后重发；已收到的人不会看到两封，两封的 Message-ID 相同。")
            raise OutcomeUnknown(
                _("邮件服务器中途断开。"), remedy=remedy, request=request, answer=str(error)
            ) from error
        except OSError as error:
            words = _("连不上邮件服务器：%(error)s") % {"error": error}
            raise NotSent(words, remedy=_("检查 EMAIL_URL 与网络。"), request=request) from error
        lacking = "、".join(f"{who} {code}" for who, (code, _text) in refused.items())
        note = _("邮件服务器没有收下：%(who)s。核对这些地址。") % {"who": lacking} if lacking else ""
        return Receipt({"message_id": mail.extra_headers["Message-ID"]}, request, str(refused or "OK"), note)

    def validate(self, config: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Check the addresses."""
        wrong = [value for value in config["to"] if not _is_address(value)]
        return [("to", _("“%(value)s”不是邮箱地址。") % {"value": value}) for value in wrong]

    def _mail(self, delivery: Delivery, message: Message, to: Sequence[str]) -> EmailMultiAlternatives:
        text = message.text or message.title
        body = text if not message.url or message.url in text else f"{text}\n\n{message.url}"
        subject = " ".join((message.title or text.split("\n", 1)[0]).split())[:200]
        domain = settings.DEFAULT_FROM_EMAIL.rsplit("@", 1)[-1].rstrip(">")
        stable = hashlib.sha256(delivery.dedup_key.encode()).hexdigest()[:32]
        headers = {"Message-ID": f"<{stable}@{domain}>", "Auto-Submitted": "auto-generated"}
        mail = EmailMultiAlternatives(subject, body, to=list(to), headers=headers)
        mail.attach_alternative(_as_html(message, subject), "text/html")
        return mail


@contextmanager
def _refusals(mail: EmailMultiAlternatives) -> Iterator[dict[str, tuple[int, bytes]]]:
    """Open the mail's connection and note the receivers that the server refuses while it takes others: Django drops them."""
    refused: dict[str, tuple[int, bytes]] = {}
    mail.connection = get_connection()
    with mail.connection as connection:
        server = getattr(connection, "connection", None)
        if isinstance(server, smtplib.SMTP):
            send = server.sendmail

            def noting(*args: Any, **kwargs: Any) -> dict[str, tuple[int, bytes]]:
                refused.update(send(*args, **kwargs))
                return refused

            server.sendmail = noting  # type: ignore[method-assign]
        yield refused


def _as_html(message: Message, subject: str) -> str:
    lines = [line for line in message.text.split("\n") if line.strip() and line.strip() != message.url]
    context = {"title": subject, "lines": lines[1:] if lines[:1] == [subject] else lines, "facts": message.facts}
    url = message.url if message.url.startswith(("http://", "https://")) else ""
    return render_to_string("notify/mail.html", context | {"url": url})


def _answered(code: int, text: bytes | str, request: str) -> NotSent | Refused:
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    kind, meaning = (
        (NotSent, _("邮件服务器暂时不收：%(code)s")) if 400 <= code < 500 else (Refused, _("邮件服务器拒收：%(code)s"))
    )
    return kind(
        meaning % {"code": f"{code} {words}"},
        code=str(code),
        remedy=_("核对收件地址与发件账号。"),
        request=request,
        answer=words,
    )


def _is_address(value: object) -> bool:
    try:
        validate_email(str(value))
    except ValidationError:
        return False
    return True
