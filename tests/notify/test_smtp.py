"""Mail through a real conversation with a server: what it is sent, what it refuses, and what happens while it is away."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.utils import timezone

from fta.models.engine import DbNow
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery
from tests.notify.smtp import Smtp, running

pytestmark = pytest.mark.django_db
TEXT = "磁盘写满\n主机：a < b\n.一行以点开头\n" + "很长的一行" * 300
URL = "https://portal.example/executions/1/"


@pytest.fixture
def server(settings: Any) -> Iterator[Smtp]:
    with running() as started:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", started.port
        yield started


def post(*to: str, key: str = "k", **fields: Any) -> Delivery:
    made = outbox.post(
        dedup_key=key, kind="email", event="execution.failed", recipients=to, now=timezone.now(),
        message=Message("plain", title="磁盘写满", text=TEXT, url=URL), **fields,
    )  # fmt: skip
    assert made is not None
    return made


def again(deliver: Any, row: Delivery) -> Delivery:
    Delivery.objects.filter(state="pending").update(not_before=DbNow() - timedelta(seconds=1))
    deliver()
    row.refresh_from_db()
    return row


def test_it_sends_text_and_html(server: Smtp, deliver: Any) -> None:
    row = again(deliver, post("a@example.com", "b@example.com"))
    (letter,) = server.letters
    assert (row.state, row.attempts, row.last_error) == ("sent", 1, "")
    assert (letter.sender, letter.to) == (configured.DEFAULT_FROM_EMAIL, ["a@example.com", "b@example.com"])
    assert (letter.message["Subject"], letter.message["To"]) == ("磁盘写满", "a@example.com, b@example.com")
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert letter.message["Message-ID"] == row.provider["message_id"]
    assert letter.message.get_content_type() == "multipart/alternative"
    assert letter.part("plain").replace("\r\n", "\n").strip() == f"{TEXT}\n\n{URL}"
    page = letter.part("html")
    assert ("主机：a &lt; b" in page, ".一行以点开头" in page, f'href="{URL}"' in page) == (True, True, True)


def test_it_says_who_was_refused_while_others_got_it(server: Smtp, deliver: Any) -> None:
    server.refused = {"b@example.com": "550 no such user"}
    row = again(deliver, post("a@example.com", "b@example.com"))
    assert [letter.to for letter in server.letters] == [["a@example.com"]]
    assert (row.state, row.last_error) == ("sent", "邮件服务器没有收下：b@example.com 550。核对这些地址。")


@pytest.mark.parametrize(
    ("refused", "end", "state", "code"),
    [
        ({"a@example.com": "550 no such user"}, "", "failed", "550"),
        ({"a@example.com": "450 greylisted"}, "", "pending", "450"),
        ({"a@example.com": "550 no such user", "b@example.com": "450 greylisted"}, "", "pending", "450"),
        ({}, "451 try later", "pending", "451"),
        ({}, "554 spam", "failed", "554"),
    ],
)
def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not(
    server: Smtp, deliver: Any, refused: dict[str, str], end: str, state: str, code: str
) -> None:
    server.refused, server.end = refused, end
    row = again(deliver, post(*(refused or ["a@example.com"])))
    assert (row.state, row.last_code, server.letters) == (state, code, [])
    assert (code in row.last_error, bool(row.remedy)) == (True, True)

    server.refused, server.end = {name: said for name, said in refused.items() if said.startswith("5")}, "250 taken"
    again(deliver, row)
    assert (row.state, len(server.letters)) == (("sent", 1) if state == "pending" else ("failed", 0))


def test_it_waits_for_a_server_that_is_away(server: Smtp, deliver: Any) -> None:
    server.shutdown()
    server.server_close()
    row = again(deliver, post("a@example.com"))
    assert (row.state, row.attempts) == ("pending", 1)
    assert row.last_error.startswith("连不上邮件服务器")
    assert row.not_before is not None
    assert timezone.now() < row.not_before < timezone.now() + timedelta(minutes=1)
    with running(server.port) as back:
        again(deliver, row)
    assert (row.state, row.attempts, len(back.letters)) == ("sent", 2, 1)


def test_a_second_copy_after_a_broken_conversation_is_known_as_one(server: Smtp, deliver: Any) -> None:
    server.end = ""  # it takes the mail, and its answer is lost
    row = again(deliver, post("a@example.com"))
    assert (row.state, row.tries.get().outcome) == ("pending", "unknown")
    server.end = "250 taken"
    again(deliver, row)
    first, second = server.letters
    assert (row.state, first.message["Message-ID"]) == ("sent", second.message["Message-ID"])


def test_mails_that_waited_for_each_other_are_one(server: Smtp, deliver: Any) -> None:
    channel = Channel.objects.create(name="邮件", kind="email", config={"to": ["ops@example.com"]})
    soon = timezone.now() - timedelta(seconds=1)
    rows = [post(key=f"k{number}", channel=channel, not_before=soon) for number in range(20)]
    again(deliver, rows[0])
    (letter,) = server.letters
    assert (letter.to, letter.message["Subject"]) == (["ops@example.com"], "20 条通知合并为一条")
    assert letter.part("plain").count("· 磁盘写满") == 15
    assert "…… 另有 5 条" in letter.part("html")
    assert Delivery.objects.filter(state="sent", provider__digest=rows[0].pk).count() == 19
