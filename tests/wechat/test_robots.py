"""Groups' robots: which group, in which form, whom they remind, and what they send beside words."""

from typing import Any

import pytest

from notify import transports
from notify.message import Message
from notify.models import Channel
from notify.services.composing import build
from notify.transports import base
from notify.transports.fields import with_secrets
from tests.notify.test_transports import Sink, sink
from tests.wechat.conftest import Corp
from tests.wechat.delivering import channel, row, send
from wechat.models import WecomApp

__all__ = ["sink"]


def robot(corp: Corp, key: str = "demo1", form: str = "markdown", **more: Any) -> Channel:
    group = {"name": "值班一群", "webhook": f"{corp.base}/cgi-bin/webhook/send?key={key}", **more}
    others = {"name": "别的群", "webhook": "http://127.0.0.1:9/"}
    return channel("wecom_robot", groups=[others, group], message=form)


def test_it_sends_through_the_robot_of_the_named_group(corp: Corp) -> None:
    made = robot(corp, mentions=["lisi"])
    receipt = send(row(Message(form="plain", text="**磁盘写满**"), "值班一群", kind="wecom_robot", channel=made))
    (bubble,) = corp.world.robots["demo1"].bubbles
    assert bubble.body["content"] == "**磁盘写满**\n<@lisi>"
    assert "demo1" not in receipt.request + receipt.answer


def test_it_mentions_in_a_robots_text(corp: Corp) -> None:
    send(
        row(Message(form="text", text="写满", mentions=("@all",)), "值班一群", kind="wecom_robot", channel=robot(corp))
    )
    assert corp.world.robots["demo1"].bubbles[0].body["mentioned_list"] == ["@all"]


def test_it_reminds_by_mobile_number_in_a_text_only(corp: Corp) -> None:
    made = robot(corp, mentions=["lisi", "13800001111"])
    for form in ("text", "markdown"):
        send(row(Message(form=form, text="写满"), "值班一群", kind="wecom_robot", channel=made))  # type: ignore[arg-type]
    text, markdown = (bubble.body for bubble in corp.world.robots["demo1"].bubbles)
    assert (text["mentioned_list"], text["mentioned_mobile_list"]) == (["lisi"], ["13800001111"])
    assert markdown["content"] == "写满\n<@lisi>"


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("markdown_v2", ["markdown_v2"]),
        ("template_card", ["template_card"]),
        ("news", ["news"]),
        ("textcard", ["markdown"]),  # there is none for robots
        ("image", ["markdown"]),  # without a picture only its words
        ("file", ["text"]),
    ],
)
def test_a_robot_speaks_in_every_form(corp: Corp, form: str, kinds: list[str]) -> None:
    made = robot(corp, form=form)
    send(
        row(build("磁盘写满", ["主机：a"], "https://fta.example/1", form), "值班一群", kind="wecom_robot", channel=made)
    )
    bubbles = corp.world.robots["demo1"].bubbles
    assert [bubble.msgtype for bubble in bubbles] == kinds
    assert "磁盘写满" in str(bubbles[0].body)
    assert "https://fta.example/1" in str(bubbles[0].body)


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), ["news", "image"]),
        (b"<html>", ["news"]),
        (b"\xff\xd8\xff" + bytes(2 * 1024 * 1024), ["news"]),  # more than a robot takes
    ],
)
def test_a_robot_hands_on_the_picture_of_a_message(corp: Corp, sink: Sink, page: bytes, kinds: list[str]) -> None:
    sink.page = page
    url = f"http://127.0.0.1:{sink.server_port}/p.png"
    said = Message("news", "CPU", "高", url="https://g.example/", picture=url)
    send(row(said, "值班一群", kind="wecom_robot", channel=robot(corp, form="image")))
    assert [bubble.msgtype for bubble in corp.world.robots["demo1"].bubbles] == kinds


def test_a_robot_sends_the_whole_of_a_long_text_as_a_file(corp: Corp) -> None:
    lines = [f"第 {number} 行，磁盘写满" for number in range(2000)]
    long = build("磁盘写满", lines, "https://fta.example/1", "file")
    send(row(long, "值班一群", kind="wecom_robot", channel=robot(corp, form="file")))
    text, file = corp.world.robots["demo1"].bubbles
    assert text.body["content"].endswith("全文见附件。")
    assert (file.msgtype, file.body["name"]) == ("file", "message.txt")


def test_groups_that_are_written_as_one_are_taken_apart(corp: Corp) -> None:
    given = {"groups": [{"name": "一群 & 二群", "webhook": ["https://x/1", "https://x/2"], "mentions": ["lisi"]}]}
    assert with_secrets(transports.fields("wecom_robot"), given, {})["groups"] == [
        {"name": "一群", "webhook": "https://x/1", "mentions": ["lisi"]},
        {"name": "二群", "webhook": "https://x/2", "mentions": ["lisi"]},
    ]
    one = {"groups": [{"name": "一群&二群", "webhook": "https://x/1"}]}  # one robot that is in both
    assert with_secrets(transports.fields("wecom_robot"), one, {}) == one


def test_it_explains_a_removed_robot(corp: Corp) -> None:
    with pytest.raises(base.Refused) as raised:
        send(row(Message(form="text", text="x"), "值班一群", kind="wecom_robot", channel=robot(corp, "gone")))
    assert (raised.value.code, "Webhook" in raised.value.remedy) == ("93000", True)


def test_it_does_not_reach_inner_addresses_through_a_robot(app: WecomApp, settings: Any) -> None:
    settings.FTA_HTTP_ALLOW = []
    made = channel(
        "wecom_robot", groups=[{"name": "g", "webhook": "http://127.0.0.1:9/cgi-bin/webhook/send?key=abcdefgh"}]
    )
    with pytest.raises(base.Refused) as raised:
        send(row(Message(form="text", text="x"), "g", kind="wecom_robot", channel=made))
    assert "FTA_HTTP_ALLOW" in raised.value.remedy
    assert "abcdefgh" not in str(raised.value)


def test_it_does_not_repeat_a_robots_message_of_which_a_part_is_out(
    corp: Corp, monkeypatch: pytest.MonkeyPatch
) -> None:
    corp.world.robots["demo1"].sent_at.extend([corp.world.clock()] * 19)
    long = Message(form="text", text="\n".join(f"第 {number} 行，磁盘写满" for number in range(200)))
    with pytest.raises(base.OutcomeUnknown) as raised:
        send(row(long, "值班一群", kind="wecom_robot", channel=robot(corp)))
    assert "前 1 段已送达" in raised.value.text
    assert raised.value.remedy
