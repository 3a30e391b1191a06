"""Mail and webhook, on a real local server."""

import json
import smtplib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core import checks, mail
from django.core.mail.backends import smtp
from django.utils import timezone

from fta.models import Person
from notify import outbox, transports
from notify.message import Message
from notify.models import Channel, Delivery
from notify.transports.webhook import sign

pytestmark = pytest.mark.django_db
SECRET = "webhook-secret-0123456789"


class Sink(HTTPServer):
    got: list[tuple[dict[str, str], bytes]]
    status: int
    page: bytes


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(b"thanks")

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.page)

        def log_message(self, *args: Any) -> None:
            return

    server = Sink(("127.0.0.1", 0), Handler)
    server.got, server.status, server.page = [], 200, b""
    settings.FTA_HTTP_ALLOW = [f"127.0.0.1:{server.server_port}"]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def webhook(port: int) -> Channel:
    url = f"http://127.0.0.1:{port}/hook"
    return Channel.objects.create(name="发布平台", kind="webhook", config={"url": url, "secret": SECRET})


def post(channel: Channel | None, key: str = "k1", **fields: Any) -> Delivery:
    message = Message("plain", title="执行失败\r\nBcc: x@y", text="执行失败\n原因", url="https://portal/1/")
    kind = channel.kind if channel else "email"
    made = outbox.post(
        dedup_key=key,
        kind=kind,
        event="execution.failed",
        message=message,
        channel=channel,
        now=timezone.now(),
        **fields,
    )
    assert made is not None
    return made


def test_a_webhook_is_signed_and_has_a_stable_key(sink: Sink, deliver: Any) -> None:
    row = post(webhook(sink.server_port), "r1:c1:值班群")
    deliver()
    row.refresh_from_db()
    assert row.state == "sent"
    headers, body = sink.got[0]
    assert headers["x-fta-signature"] == sign(SECRET, headers["x-fta-timestamp"], body)
    assert headers["idempotency-key"].isascii()
    said = json.loads(body)
    assert (said["event"], said["id"], said["url"]) == ("execution.failed", "r1:c1:值班群", "https://portal/1/")
    assert SECRET not in row.tries.get().request


@pytest.mark.parametrize(("status", "state"), [(500, "pending"), (429, "pending"), (302, "failed"), (401, "failed")])
def test_a_webhooks_answer_decides(sink: Sink, deliver: Any, status: int, state: str) -> None:
    sink.status = status
    row = post(webhook(sink.server_port))
    deliver()
    row.refresh_from_db()
    assert (row.state, row.last_code, len(sink.got)) == (state, str(status), 1)
    assert row.remedy


def test_a_webhook_goes_nowhere_it_may_not(sink: Sink, deliver: Any, settings: Any) -> None:
    settings.FTA_HTTP_ALLOW = []
    row = post(webhook(sink.server_port))
    deliver()
    row.refresh_from_db()
    assert (row.state, sink.got) == ("failed", [])
    assert "FTA_HTTP_ALLOW" in row.remedy


def test_mail_is_text_and_html_with_a_stable_id(deliver: Any, mailoutbox: Any) -> None:
    channel = Channel.objects.create(name="邮件", kind="email", config={"to": ["ops@example.com"]})
    post(channel)
    deliver()
    Delivery.objects.update(state="pending")
    deliver()
    first, second = mailoutbox
    assert first.to == ["ops@example.com"]
    assert first.subject == "执行失败 Bcc: x@y"
    assert first.body == "执行失败\n原因\n\nhttps://portal/1/"
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    ((page, kind),) = first.alternatives
    assert kind == "text/html"
    assert "<h1" in page
    assert ">原因</p>" in page
    assert 'href="https://portal/1/"' in page


def test_what_an_alert_says_is_no_html_in_a_mail(deliver: Any, mailoutbox: Any) -> None:
    channel = Channel.objects.create(name="邮件", kind="email", config={"to": ["ops@example.com"]})
    hostile = "<img src=x onerror=alert(1)> <a href='http://evil/'>x</a>"
    message = Message(
        "plain", title="磁盘", text=f"磁盘\n{hostile}", url="javascript:alert(1)", facts=((hostile, hostile),)
    )
    outbox.post(dedup_key="h", kind="email", event="test", message=message, channel=channel, now=timezone.now())
    deliver()
    page = mailoutbox[0].alternatives[0][0]
    assert "<img" not in page
    assert "&lt;img" in page
    assert "<a " not in page


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ConnectionRefusedError("no"), "pending"),
        (smtplib.SMTPServerDisconnected("gone"), "pending"),
        (smtplib.SMTPDataError(451, b"later"), "pending"),
        (smtplib.SMTPDataError(554, b"spam"), "failed"),
        (smtplib.SMTPRecipientsRefused({"a@b": (550, b"unknown user")}), "failed"),
    ],
)
def test_mail_errors_keep_their_class(
    deliver: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str
) -> None:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(mail.EmailMessage, "send", refuse)
    row = post(None, recipients=["a@example.com"])
    deliver()
    row.refresh_from_db()
    assert row.state == state
    assert row.last_error
    assert row.remedy


def test_mail_says_whom_the_server_refused_while_it_took_others(deliver: Any) -> None:
    class Half(smtplib.SMTP):
        def sendmail(self, frm: str, to: Any, *args: Any, **kwargs: Any) -> dict[str, tuple[int, bytes]]:
            return {to[1]: (550, b"unknown user")}

    class Backend(smtp.EmailBackend):
        def open(self) -> bool:
            self.connection, new = self.connection or Half(), self.connection is None
            return new

    row = post(None, recipients=["a@example.com", "b@example.com"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("notify.transports.email.get_connection", lambda *args, **kwargs: Backend())
        deliver()
    row.refresh_from_db()
    assert (row.state, "b@example.com 550" in row.last_error, "a@example.com" in row.last_error) == (
        "sent",
        True,
        False,
    )


def test_nobody_listens_and_it_says_what_to_do(deliver: Any, settings: Any) -> None:
    settings.FTA_HTTP_ALLOW = ["127.0.0.1:9"]
    row = post(webhook(9))
    deliver()
    row.refresh_from_db()
    assert (row.state, bool(row.remedy)) == ("pending", True)


def test_a_message_of_another_version_says_what_to_do(deliver: Any, admin: Person, mailoutbox: Any) -> None:
    row = post(None, recipients=["a@example.com"])
    Delivery.objects.filter(pk=row.pk).update(payload={"message": {"form": "pigeon"}})
    deliver()
    row.refresh_from_db()
    assert (row.state, bool(row.remedy)) == ("failed", True)
    assert "发不出消息" in mailoutbox[0].subject  # and the admins hear of it


def test_mail_to_nobody_fails_with_a_remedy(deliver: Any) -> None:
    row = post(None)
    deliver()
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("failed", "没有收件地址。")
    assert row.remedy


def test_every_transport_of_the_settings_loads(settings: Any) -> None:
    assert [error for error in checks.run_checks() if error.id and error.id.startswith("notify.")] == []
    settings.NOTIFY_TRANSPORTS = {"email": "notify.nowhere.Transport"}
    ids = {error.id for error in checks.run_checks()}
    assert {"notify.E001", "notify.E002"} <= ids
    with pytest.raises(KeyError):
        transports.get("webhook")
