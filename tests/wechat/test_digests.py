"""What is more than WeCom lets through in a minute waits and goes as one message: to robots, group chats, tags."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta.engine.loop import Engine
from fta.models.engine import DbNow
from notify import outbox
from notify.message import Message
from notify.models import Allowance, Channel, Delivery
from tests.wechat.conftest import Corp
from tests.wechat.delivering import channel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _only_deliveries(settings: Any) -> None:
    settings.FTA_WORK_KINDS = ["notify.delivery.DeliveryKind"]


def post(made: Channel, number: int, **fields: Any) -> None:
    message = Message("plain", f"第 {number} 件", f"第 {number} 件", mentions=(f"m{number % 3}",))
    fields = {"kind": made.kind, "event": "execution.failed", "channel": made, "now": timezone.now()} | fields
    outbox.post(dedup_key=f"{made.pk}:{number}", message=message, **fields)


def engine() -> None:
    Engine(work=["delivery"]).drain()


def a_minute_later() -> None:
    Allowance.objects.all().delete()
    Delivery.objects.filter(state="pending").update(not_before=DbNow() - timedelta(seconds=1))


@pytest.mark.parametrize("form", ["text", "markdown", "markdown_v2", "news", "template_card", "image", "file"])
def test_what_a_robot_may_not_send_becomes_one_message(corp: Corp, form: str) -> None:
    group = {"name": "值班一群", "webhook": f"{corp.base}/cgi-bin/webhook/send?key=demo1"}
    made = channel("wecom_robot", groups=[group], message=form)
    for number in range(40):
        post(made, number, recipients=["值班一群"])
    bubbles = corp.world.robots["demo1"].bubbles
    engine()
    assert len(bubbles) == 15  # what is kept for approvals is left
    corp.world.robots["demo1"].sent_at.clear()
    a_minute_later()
    engine()
    (last,) = bubbles[15:]
    said = str(last.body)
    assert ("25 条通知合并为一条" in said, "第 15 件" in said, "另有 10 条" in said) == (True, True, True)
    if form in ("text", "markdown", "image"):
        assert all(f"m{each}" in said for each in range(3))  # everybody is reminded
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_what_a_group_chat_was_refused_becomes_one_message(corp: Corp) -> None:
    made = channel("wecom_chat", chat_id="FTAALERTS", members=["lisi", "wangwu"])
    for number in range(8):
        post(made, number)
    corp.world.faults.set({"next_errcodes": [45009]})
    engine()
    assert set(Delivery.objects.values_list("state", "attempts")) == {("pending", 0)}
    a_minute_later()
    engine()
    (bubble,) = corp.world.chats["FTAALERTS"].bubbles
    assert str(bubble.body["content"]).startswith("8 条通知合并为一条\n· 第 0 件")
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_a_group_chat_has_no_limit_of_ours(corp: Corp) -> None:
    made = channel("wecom_chat", chat_id="FTAALERTS", members=["lisi", "wangwu"])
    for number in range(40):
        post(made, number)
    engine()
    assert len(corp.world.chats["FTAALERTS"].bubbles) == 40


@pytest.mark.parametrize("to", [{"to_tag": ["7"]}, {"to_tag": "7"}, {"to_party": ["1"]}, {"to_user": ["@all"]}])
def test_nothing_to_a_tag_a_department_or_all_is_dropped_in_silence(corp: Corp, to: dict[str, Any]) -> None:
    object.__setattr__(corp.world.config, "tags", {7: ("lisi", "wangwu")})
    made = channel("wecom_app", **to)
    for number in range(40):
        post(made, number)
    engine()
    assert len(corp.inbox("lisi")) == 20
    corp.world.reached_at.clear()
    a_minute_later()
    engine()
    assert corp.texts("lisi")[20].startswith("20 条通知合并为一条")
    assert (corp.inbox("wangwu")[20:] != [], corp.world.dropped) == (True, [])


def test_what_comes_through_the_gateway_for_a_tag_keeps_within_the_limit_too(corp: Corp) -> None:
    object.__setattr__(corp.world.config, "tags", {7: ("lisi",), 8: ("zhaoliu",)})
    for number in range(40):
        message = Message("text", "x", f"第 {number} 件", data={"to": {"totag": "7"}})
        fields: dict[str, Any] = {"kind": "wecom_app", "event": "gateway.message", "now": timezone.now()}
        outbox.post(dedup_key=f"g{number}", message=message, **fields)
    other = replace(message, data={"to": {"totag": "8"}})
    outbox.post(dedup_key="other", message=other, **fields)
    engine()
    assert (len(corp.inbox("lisi")), len(corp.inbox("zhaoliu")), corp.world.dropped) == (20, 1, [])


def test_a_tag_is_sent_as_such(corp: Corp) -> None:
    object.__setattr__(corp.world.config, "tags", {7: ("lisi",), 8: ("zhaoliu",)})
    post(channel("wecom_app", to_tag=["7", "8", "99"]), 1)
    engine()
    row = Delivery.objects.get()
    assert ([len(corp.inbox(name)) for name in ("lisi", "zhaoliu", "wangwu")], row.state) == ([1, 1, 0], "sent")
    assert row.last_error == "没有送到标签 99。"


def test_a_tag_that_nobody_has_fails_with_a_remedy(corp: Corp) -> None:
    post(channel("wecom_app", to_tag=["99"]), 1)
    engine()
    row = Delivery.objects.get(event="execution.failed")
    assert (row.state, row.last_code, bool(row.remedy)) == ("failed", "81013", True)
