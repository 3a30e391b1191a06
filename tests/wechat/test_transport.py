"""The transports, through the outbox and the engine where that matters, against the simulated corp."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta.models import Person
from notify import transports
from notify.message import Message
from notify.models import Delivery, DeliveryAttempt
from notify.services.composing import build
from notify.transports import base
from tests.wechat.conftest import Corp
from tests.wechat.delivering import channel, row, send
from wechat.models import CardCopy, WecomApp

ASKED = Message(
    form="approval_card",
    title="执行前审批：磁盘清理",
    text="磁盘清理（127.0.0.10）",
    url="http://mycompany.com/wechat/todo/7/",
    facts=(("告警", "disk_full /data 98%"), ("风险", "高")),
    task_id="fta-7-1-s0",
    buttons=(("驳回", "refuse:7", "2"), ("同意", "approve:7", "1"), ("详情", "detail", "4")),
)
ENDED = Message(
    form="card_update",
    title="磁盘清理（127.0.0.10）",
    text="李四 已在 14:05:12 同意",
    url="http://mycompany.com/wechat/todo/7/",
    state="approved",
)


def test_it_sends_a_text_exactly(corp: Corp) -> None:
    receipt = send(row(Message(form="text", text="【故障自愈】审批成功"), "lisi"))
    assert corp.texts("lisi") == ["【故障自愈】审批成功"]
    assert receipt.provider["msgid"][0].startswith("sim-")
    assert receipt.note == ""


def test_it_sends_one_delivery_once_and_two_like_ones_twice(corp: Corp) -> None:
    message = Message(form="text", text="【故障自愈】审批成功")
    first, second = row(message, "lisi"), row(message, "lisi")
    for delivery in (first, first, second):
        send(delivery)
    assert len(corp.texts("lisi")) == 2


def test_it_splits_a_long_text_by_bytes_at_line_ends(corp: Corp) -> None:
    lines = [f"第 {number} 行，磁盘使用率超过阈值" for number in range(100)]
    send(row(Message(form="text", text="\n".join(lines)), "lisi"))
    parts = corp.texts("lisi")
    assert 2 <= len(parts) <= 4
    assert all(len(part.encode()) <= 2048 for part in parts)
    assert "\n".join(parts).split("\n") == lines


def test_it_uses_the_channels_own_receivers_and_form(corp: Corp) -> None:
    made = channel("wecom_app", to_user=["lisi"], to_party=[2], message="markdown")
    send(row(Message(form="plain", title="磁盘", text="**写满**"), channel=made))
    assert [bubble.msgtype for bubble in corp.inbox("lisi")] == ["markdown"]
    assert [bubble.msgtype for bubble in corp.inbox("zhaoliu")] == ["markdown"]


@pytest.mark.parametrize("form", ["textcard", "news", "template_card"])
def test_it_sends_cards_with_a_link_and_text_without(corp: Corp, form: str) -> None:
    made = channel("wecom_app", to_user=["lisi"], message=form)
    send(row(Message(form="plain", title="磁盘写满", text="98%", url="http://mycompany.com/x"), channel=made))
    send(row(Message(form="plain", title="磁盘写满", text="98%"), channel=made))
    assert [bubble.msgtype for bubble in corp.inbox("lisi")] == [form, "text"]
    built = build("磁盘写满", ["98%"], "", form)  # as a rule's message for this channel is
    send(row(built, channel=made))
    assert corp.texts("lisi")[-1] == "磁盘写满\n98%"


def test_it_reports_who_did_not_get_it(corp: Corp) -> None:
    receipt = send(row(Message(form="text", text="x"), "lisi", "Ghost"))
    assert "ghost" in receipt.note
    assert corp.texts("lisi") == ["x"]


@pytest.mark.parametrize(
    ("code", "error", "code_shown"),
    [
        (-1, base.NotSent, "-1"),
        (45009, base.NotSent, "45009"),
        (45033, base.NotSent, "45033"),
        (60011, base.Refused, "60011"),
        (50003, base.Refused, "50003"),
        (99999, base.Refused, "99999"),
    ],
)
def test_it_sorts_errors_by_what_they_ask_for(
    corp: Corp, code: int, error: type[base.TransportError], code_shown: str
) -> None:
    corp.world.faults.set({"next_errcodes": [code]})
    with pytest.raises(error) as raised:
        send(row(Message(form="text", text="x"), "lisi"))
    assert type(raised.value) is error
    assert raised.value.code == code_shown
    assert raised.value.remedy


def test_it_waits_out_the_window_of_a_limit(corp: Corp) -> None:
    corp.world.faults.set({"next_errcodes": [45009]})
    with pytest.raises(base.NotSent) as raised:
        send(row(Message(form="text", text="x"), "lisi"))
    assert raised.value.retry_after == 60


def test_it_shows_the_address_that_is_not_trusted(corp: Corp) -> None:
    corp.world.faults.set({"untrusted_ip": True})
    with pytest.raises(base.Refused) as raised:
        send(row(Message(form="text", text="x"), "lisi"))
    assert raised.value.code == "60020"
    assert "企业微信看到的地址是 127.0.0.1" in raised.value.remedy
    assert "企业可信IP" in raised.value.remedy


def test_it_reaches_more_accounts_than_one_request_takes(corp: Corp) -> None:
    ghosts = [f"ghost{number}" for number in range(3000)]
    to = ["lisi", *ghosts[:2500], "wangwu", *ghosts[2500:]]  # the second thousand is unknown as a whole
    made = channel("wecom_app", to_user=to, to_party=[2])
    for delivery in (row(Message(form="text", text="一"), *to), row(Message(form="text", text="二"), channel=made)):
        receipt = send(delivery)
        assert list(receipt.missed or ()) == ghosts
        assert len(receipt.provider["msgid"]) == 4
    assert (corp.texts("lisi"), corp.texts("wangwu")) == (["一", "二"], ["一", "二"])


def test_it_refuses_when_all_receivers_are_wrong_or_none_is_named(corp: Corp) -> None:
    for to, code in ((("ghost",), "81013"), ((), "82001")):
        with pytest.raises(base.Refused) as raised:
            send(row(Message(form="text", text="x"), *to))
        assert raised.value.code == code


def test_it_says_unknown_when_the_answer_is_lost(corp: Corp) -> None:
    corp.world.faults.set({"next_http_statuses": [502]})
    with pytest.raises(base.OutcomeUnknown) as raised:
        send(row(Message(form="text", text="x"), "lisi"))
    assert (raised.value.max_tries, bool(raised.value.remedy)) == (3, True)


def test_it_says_not_sent_when_nobody_listens(app: WecomApp) -> None:
    WecomApp.objects.update(api_url="http://127.0.0.1:9/")
    with pytest.raises(base.NotSent) as raised:
        send(row(Message(form="text", text="x"), "lisi"))
    assert raised.value.remedy


def test_it_says_what_to_do_without_an_application(db: None) -> None:
    with pytest.raises(base.Refused) as raised:
        send(row(Message(form="text", text="x"), "lisi"))
    assert "企业微信配置页" in raised.value.remedy


# --- cards ---


@pytest.fixture
def asked(corp: Corp) -> Delivery:
    delivery = row(ASKED, "lisi", "wangwu", approval_ref=7)
    send(delivery)
    Delivery.objects.filter(pk=delivery.pk).update(state="sent")
    return delivery


def ended(**more: Any) -> Delivery:
    return row(ENDED, "lisi", "wangwu", approval_ref=7, **more)


def test_it_sends_a_card_and_keeps_its_response_code(corp: Corp, asked: Delivery) -> None:
    card = corp.inbox("lisi")[0].body
    assert card["card_type"] == "button_interaction"
    assert [button.get("key") or button.get("url") for button in card["button_list"]] == [
        "refuse:7",
        "approve:7",
        "http://mycompany.com/wechat/todo/7/",
    ]
    copy = CardCopy.objects.get()
    assert (copy.task_id, copy.userids, copy.approval_ref) == ("fta-7-1-s0", ["lisi", "wangwu"], 7)
    assert copy.response_code in corp.world.response_codes


def test_it_does_not_send_a_card_twice(corp: Corp, asked: Delivery) -> None:
    corp.world.duplicates.clear()
    DeliveryAttempt.objects.create(delivery=asked, number=1, started_at=timezone.now(), outcome="unknown")
    assert "先前已经送达" in send(asked).note
    assert len(corp.inbox("lisi")) == 1
    assert CardCopy.objects.get().response_code


@pytest.mark.parametrize("before", [None, "not_sent", "refused"])
def test_it_does_not_take_anothers_card_for_its_own(corp: Corp, asked: Delivery, before: str | None) -> None:
    CardCopy.objects.all().delete()
    mine = row(ASKED, "zhaoliu", approval_ref=7)
    if before:
        DeliveryAttempt.objects.create(delivery=mine, number=1, started_at=timezone.now(), outcome=before)
    with pytest.raises(base.Refused) as raised:
        send(mine)
    assert raised.value.code == "42014"
    assert "没有送达" in raised.value.text


def test_it_shows_no_button_without_a_page(corp: Corp) -> None:
    send(row(replace(ASKED, url=""), "lisi", approval_ref=7))
    card = corp.inbox("lisi")[0].body
    assert [button["key"] for button in card["button_list"]] == ["refuse:7", "approve:7"]


def test_it_closes_the_card_of_every_receiver(corp: Corp, asked: Delivery) -> None:
    send(ended())
    for userid in ("lisi", "wangwu"):
        (bubble,) = corp.inbox(userid)
        assert bubble.card is not None
        assert bubble.card.locked
        assert bubble.card.body["main_title"]["desc"] == "李四 已在 14:05:12 同意"
    assert CardCopy.objects.get().used_at is not None


def test_it_tells_by_message_when_the_card_cannot_be_updated(corp: Corp, asked: Delivery) -> None:
    for right in corp.world.response_codes.values():
        right.used = True
    receipt = send(ended())
    assert "改发消息" in receipt.note
    assert "李四 已在 14:05:12 同意" in corp.texts("wangwu")[-1]


def test_it_tells_by_message_after_72_hours(corp: Corp, asked: Delivery) -> None:
    CardCopy.objects.update(issued_at=timezone.now() - timedelta(hours=73))
    send(ended())
    assert corp.calls("message/update_template_card") == 0
    assert "李四" in corp.texts("lisi")[-1]


def test_it_updates_a_card_by_the_application_that_sent_it(corp: Corp, asked: Delivery) -> None:
    WecomApp.objects.update(is_default=False)
    other = WecomApp.objects.create(
        name="other", is_default=True, corp_id="elsewhere", agent_id=7, secret="s", api_url=corp.app.api_url
    )
    assert send(ended()).note == ""
    (bubble,) = corp.inbox("lisi")
    assert bubble.card is not None
    assert bubble.card.locked
    assert other.pk != CardCopy.objects.get().app_id


def test_it_goes_on_when_one_of_the_cards_is_refused(corp: Corp, asked: Delivery) -> None:
    other = row(replace(ASKED, task_id="fta-7-1-s1"), "zhaoliu", approval_ref=7)
    send(other)
    Delivery.objects.filter(pk=other.pk).update(state="sent")
    corp.world.faults.set({"next_errcodes": [42015, 81013]})  # the first update, and the message instead of it
    with pytest.raises(base.Refused):
        send(ended())
    (bubble,) = corp.inbox("zhaoliu")
    assert bubble.card is not None
    assert bubble.card.locked
    assert list(CardCopy.objects.filter(used_at=None).values_list("task_id", flat=True)) == ["fta-7-1-s0"]
    corp.world.faults.set({"next_errcodes": [42015]})
    assert "改发消息：lisi、wangwu" in send(ended()).note
    assert "李四 已在 14:05:12 同意" in corp.texts("wangwu")[-1]


def test_it_takes_a_used_code_for_its_own_earlier_try(corp: Corp, asked: Delivery) -> None:
    for right in corp.world.response_codes.values():
        right.used = True
    delivery = ended()
    delivery.attempts = 2
    assert send(delivery).note == ""
    assert len(corp.inbox("lisi")) == 1


def test_it_waits_for_a_card_that_is_still_being_sent(corp: Corp) -> None:
    going = row(ASKED, "lisi", approval_ref=7)
    CardCopy.objects.create(
        app=corp.app, approval_ref=7, delivery_ref=going.pk, task_id="t", userids=["lisi"], issued_at=timezone.now()
    )
    Delivery.objects.filter(pk=going.pk).update(event="approval.asked", lane=Delivery.Lane.APPROVAL, state="sending")
    with pytest.raises(base.NotSent) as raised:
        send(ended())
    assert (raised.value.retry_after, raised.value.alone) == (5, True)


# --- robots and chats ---


def test_it_sends_into_a_chat(corp: Corp) -> None:
    made = channel("wecom_chat", chat_id="FTAALERTS", owner="lisi", members=["lisi", "wangwu"])
    send(row(Message(form="plain", text="磁盘写满"), kind="wecom_chat", channel=made))
    assert corp.world.chats["FTAALERTS"].bubbles[0].body["content"] == "磁盘写满"


def test_it_makes_a_chat_that_is_missing(corp: Corp) -> None:
    made = channel("wecom_chat", chat_id="NEW1", owner="lisi", members=["lisi", "wangwu"])
    send(row(Message(form="plain", text="磁盘写满"), kind="wecom_chat", channel=made))
    chat = corp.world.chats["NEW1"]
    assert (chat.name, chat.owner, len(chat.bubbles)) == ("wecom_chat", "lisi", 1)


def test_it_refuses_a_missing_chat_without_members(corp: Corp) -> None:
    with pytest.raises(base.Refused):
        send(row(Message(form="text", text="x"), kind="wecom_chat", channel=channel("wecom_chat", chat_id="NOPE")))


_GROUP = {"name": "g", "webhook": "https://x/?key=1"}


@pytest.mark.parametrize(
    ("kind", "good", "bad", "field"),
    [
        ("wecom_app", {"to_user": ["lisi"]}, {}, "to_user"),
        ("wecom_app", {"to_party": ["2"]}, {"to_user": ["a"], "message": "fax"}, "message"),
        ("wecom_app", {"to_user": ["lisi"]}, {"to_user": {"a": 1}}, "to_user"),
        ("wecom_app", {"to_user": ["lisi"], "app": ""}, {"to_user": ["lisi"], "to_usr": "a"}, "to_usr"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": []}, "groups"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": [{"name": "g", "webhook": "x"}]}, "groups"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": [{"webhook": "https://x/"}]}, "groups"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": "g"}, "groups"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": [_GROUP], "message": "fax"}, "message"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": [_GROUP, _GROUP]}, "groups"),
        ("wecom_robot", {"groups": [_GROUP]}, {"groups": [{"name": "a&b", "webhook": ["https://x/"]}]}, "groups"),
        ("wecom_chat", {"members": ["a", "b"]}, {"members": ["a"]}, "members"),
        ("wecom_chat", {"chat_id": "A1"}, {}, "members"),
        ("wecom_chat", {"chat_id": "A1"}, {"chat_id": "群"}, "chat_id"),
        ("wecom_chat", {"chat_id": "A1"}, {"chat_id": "A1", "members": ["a", "b"], "owner": "c"}, "owner"),
    ],
)
def test_it_checks_a_channels_configuration(kind: str, good: dict[str, Any], bad: dict[str, Any], field: str) -> None:
    assert transports.check(kind, good) == []
    assert [name for name, _ in transports.check(kind, bad)] == [field]


def test_it_reaches_the_person_who_replied(corp: Corp, operator: Person) -> None:
    send(row(Message(form="text", text="答"), operator.wecom_userid))
    assert corp.texts("lisi") == ["答"]


LONG = "磁盘写满，请尽快清理。" * 40  # 1,320 bytes


@pytest.mark.parametrize(
    ("form", "title", "text", "shown", "follows"),
    [
        ("textcard", "磁盘", LONG, "description", f"磁盘\n{LONG}"),
        ("news", "磁盘", LONG, "description", f"磁盘\n{LONG}"),
        ("template_card", "磁盘", LONG, "sub_title_text", f"磁盘\n{LONG}"),
        ("textcard", "标题" * 40, "写满", "title", "标题" * 40 + "\n写满"),
        ("textcard", "", LONG, "title description", LONG),
        ("textcard", "标题" * 40, "标题" * 40 + "写满", "title", ""),
        ("textcard", "磁盘", "写满" * 85, "", ""),
        ("news", "磁盘", "", "", ""),
    ],
)
def test_a_card_that_is_cut_says_so_and_the_whole_follows(
    corp: Corp, form: str, title: str, text: str, shown: str, follows: str
) -> None:
    made = channel("wecom_app", to_user=["lisi"], message=form)
    send(row(Message(form="plain", title=title, text=text, url="http://grafana/d/1"), channel=made))
    card, *rest = corp.inbox("lisi")
    body = card.body.get("articles", [card.body])[0]
    marked = {name for name, value in body.items() if str(value).endswith("…")}
    assert marked == set(shown.split())
    for name in marked:
        assert (title if name == "title" and title else text).startswith(body[name].removesuffix("…"))
        assert len(body[name].encode()) <= {"title": 128, "description": 512, "sub_title_text": 600}[name]
    assert [bubble.body["content"] for bubble in rest] == ([follows] if follows else [])


@pytest.mark.parametrize("form", ["text", "markdown", "textcard"])
def test_what_is_longer_than_four_messages_ends_with_the_page_of_its_delivery(corp: Corp, form: str) -> None:
    made = channel("wecom_app", to_user=["lisi"], message=form)
    link = "http://mycompany.com/x" if form == "textcard" else ""
    delivery = row(Message(form="plain", title="磁盘", text=LONG * 9, url=link), channel=made)
    send(delivery)
    assert corp.texts("lisi")[-1].endswith(f"字未显示，全文：http://mycompany.com/notify/deliveries/{delivery.pk}/")
