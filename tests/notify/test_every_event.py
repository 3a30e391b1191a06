"""Every event that a rule may name: it happens, and the rule that names it, no other, tells of it once by every kind of channel.

What each channel receives is read where it arrives: whole, within the far side's limits, in the portal's language, and with nothing
in it that somebody else's text does there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import pytest
from django.core import mail

from notify import transports
from notify.message import Message
from notify.messages import EVENTS
from notify.models import Channel, ChannelKind, Delivery, NotificationRule
from tests.notify import happening
from tests.notify.happening import Happening
from tests.notify.test_transports import SECRET, Sink, sink
from tests.wechat.conftest import Corp, app, corp
from wechat.simulator import payloads

__all__ = ["app", "corp", "sink"]

pytestmark = pytest.mark.django_db
FORMS = {
    ChannelKind.WECOM_APP: ("text", "markdown", "textcard", "news", "template_card"),
    ChannelKind.WECOM_ROBOT: (
        "markdown", "text", "markdown_v2", "textcard", "news", "template_card", "image", "file"
    ),
    ChannelKind.WECOM_CHAT: ("text", "markdown", "textcard", "news"),
    ChannelKind.EMAIL: ("",),
    ChannelKind.WEBHOOK: ("",),
}  # fmt: skip
IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
# What the portal has on record is told in the words in which it was written down: faults, reasons, an approver's comment.
RECORDED = re.compile(r"(?:System fault|Reason|Not done): .*|Code \S+ · 驳回（网页审批）.*", re.MULTILINE)
# A name that was not filled in, a value that Python wrote, a line that names something and does not say it.
UNRESOLVED = re.compile(r"\{\{|\{%|%\(|\bNone\b|Undefined|[：:]\s*$|^\s*[，,]|· *$", re.MULTILINE)
THEIRS = re.compile(r"\{\{ 7.7 \}\}|%\((?:x\)s|x?\)?…)")  # what HOSTILE has of it, whole or where a card cuts it
LIVE = re.compile(r"<@|://evil|<script|<font color='")  # for WeCom in every form
LIVE_MARKDOWN = re.compile(r"\[win\]|`rm`|\*\*b\*\*")
BYTES = {"app": 2048, "chat": 2048, "robot": 4096}  # of markdown; a text holds 2048 everywhere
CARD_BYTES = {"title": 128, "description": 512, "url": 2048}
CARD_CHARACTERS = {"title": 64, "desc": 128, "sub_title_text": 200, "keyname": 10, "value": 60}


@dataclass
class Arrived:
    """What the far sides got: the requests as they were sent, before the simulator cuts what is too long."""

    requests: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrived]:
    made, check = Arrived(), payloads.check

    def noting(request: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        made.requests.append(request)
        return check(request, *args, **kwargs)

    monkeypatch.setattr(payloads, "check", noting)
    return made


def test_each_event_and_each_kind_of_channel_has_a_row() -> None:
    assert list(happening.EVENTS) == list(EVENTS)
    assert set(FORMS) == set(ChannelKind)


def channels(corp: Corp, hook: Sink) -> list[Channel]:
    webhook = f"{corp.base}/cgi-bin/webhook/send?key=demo1"
    configs: dict[ChannelKind, dict[str, Any]] = {
        ChannelKind.WECOM_APP: {"to_user": ["lisi"]},
        ChannelKind.WECOM_ROBOT: {"groups": [{"name": "oncall", "webhook": webhook}]},
        ChannelKind.WECOM_CHAT: {"chat_id": "FTAALERTS"},
        ChannelKind.EMAIL: {"to": ["lisi@example.com"]},
        ChannelKind.WEBHOOK: {"url": f"http://127.0.0.1:{hook.server_port}/hook", "secret": SECRET},
    }
    return [
        Channel.objects.create(name=f"{kind} {form}".strip(), kind=kind, config={**configs[kind], "message": form})
        for kind, forms in FORMS.items()
        for form in forms
    ]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("event", EVENTS)
def test_it_is_told_once_by_the_rule_that_names_it_and_arrives_whole(
    monkeypatch: pytest.MonkeyPatch, settings: Any, corp: Corp, sink: Sink, arrived: Arrived, event: str, language: str
) -> None:
    settings.LANGUAGE_CODE = language
    settings.FTA_HTTP_ALLOW = ["127.0.0.0/8"]
    happen, outcome, chinese, english = happening.EVENTS[event]
    there = channels(corp, sink)
    rules = {name: NotificationRule.objects.create(name=name, events=[name]) for name in EVENTS}
    for rule in rules.values():
        rule.channels.set(there if rule.name == event else there[:1])

    happen(Happening(monkeypatch, outcome or "succeeded"))

    told = Delivery.objects.filter(dedup_key__startswith=f"r{rules[event].pk}:").order_by("pk")
    assert sorted(told.values_list("channel__name", "event")) == sorted((channel.name, event) for channel in there)
    title = told.get(channel__name="wecom_app text").payload["message"]["title"]
    assert (english if language == "en" else chinese) in title
    for name, rule in rules.items():
        others = Delivery.objects.filter(dedup_key__startswith=f"r{rule.pk}:").exclude(event=name)
        assert not others.exists(), name

    for delivery in told:
        _forget_limits(corp)
        _arrives(delivery, arrived, sink, language)


def _forget_limits(corp: Corp) -> None:
    """Forget how many messages each member and group got: these are many more than an event has channels."""
    corp.world.reached_at.clear()
    for robot in corp.world.robots.values():
        robot.sent_at.clear()


def _arrives(delivery: Delivery, arrived: Arrived, sink: Sink, language: str) -> None:
    """Send one delivery, as the engine has it sent, and look at all that came of it."""
    arrived.requests.clear()
    mail.outbox.clear()
    sink.got.clear()
    where = str(delivery.channel)
    transports.get(delivery.kind).send(delivery, Message.from_json(delivery.payload["message"]))
    texts = _mail(where) if delivery.kind == "email" else _hooked(sink) if delivery.kind == "webhook" else []
    for request in arrived.requests:
        texts += _within(where, delivery.kind.removeprefix("wecom_"), request)
    assert texts, where
    for text in texts:
        ours = THEIRS.sub("", text)
        assert text.strip(), where
        assert not UNRESOLVED.search(ours), (where, UNRESOLVED.findall(ours), text)
        assert language != "en" or not IDEOGRAPH.search(RECORDED.sub("", text)), (where, text)


def _within(where: str, way: str, request: dict[str, Any]) -> list[str]:
    """Return the words of a request to WeCom; all of them are within their limits and do nothing there."""
    kind = request["msgtype"]
    body = request[kind]
    if kind == "file":
        return ["file"]
    if kind == "template_card":
        return _card(where, body)
    if kind in ("textcard", "news"):
        texts = list(body.get("articles", [body]))
        assert all(len(str(value).encode()) <= CARD_BYTES[name] for each in texts for name, value in each.items()), (
            where
        )
        assert not LIVE.search(str(texts)), (where, texts)
        return [str(each[name]) for each in texts for name in ("title", "description") if each.get(name)]
    content = str(body["content"])
    assert len(content.encode()) <= (2048 if kind == "text" else BYTES[way]), (where, len(content.encode()))
    assert not LIVE.search(content), (where, content)
    assert kind == "text" or not LIVE_MARKDOWN.search(content), (where, content)
    return [content]


def _card(where: str, card: dict[str, Any]) -> list[str]:
    words = {**card["main_title"], "sub_title_text": card["sub_title_text"]}
    assert all(len(words[name]) <= most for name, most in CARD_CHARACTERS.items() if name in words), (where, words)
    assert not LIVE.search(json.dumps(card, ensure_ascii=False)), (where, card)
    return [text for text in (*words.values(), card["source"]["desc"]) if text]


def _mail(where: str) -> list[str]:
    (sent,) = mail.outbox
    raw: EmailMessage = sent.message()  # type: ignore[assignment]
    ((html, _kind),) = sent.alternatives  # type: ignore[attr-defined]
    assert "<script" not in html, where
    assert "<font" not in html, where
    assert 'href="http://evil' not in html, where
    assert len(raw["Subject"]) < 998, where
    return [str(sent.subject), str(sent.body), re.sub(r"<[^>]*>", " ", html.split("<body", 1)[1].split(">", 1)[1])]


def _hooked(sink: Sink) -> list[str]:
    ((_headers, raw),) = sink.got
    said = json.loads(raw)
    assert not any(ord(char) < 32 and char != "\n" for char in said["title"] + said["text"])
    return [said["title"], said["text"]]
