"""The callback entry: the check of the address, forgeries, repeats, and what a real message does."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from approvals.models import Approval, Decision
from fta.models import AuditEntry, Person
from notify.models import Delivery
from tests.wechat.conftest import AGENT, external
from tests.wechat.entry_stub import AES_KEY, CORP, TOKEN
from wechat.crypto import Crypto
from wechat.models import WecomApp, WecomEvent
from wechat.services import configuration

URL = "/wechat/entry/"
CRYPTO = Crypto(TOKEN, AES_KEY, CORP)


def query(sealed: str, timestamp: str | None = None, crypto: Crypto = CRYPTO, **more: str) -> dict[str, str]:
    stamp = timestamp or str(int(time.time()))
    return {"msg_signature": crypto.sign(stamp, "n0nce", sealed), "timestamp": stamp, "nonce": "n0nce", **more}


def plain(inner: str, *, sender: str = "lisi", corp: str = CORP, agent: object = AGENT, kind: str = "text") -> str:
    return (
        f"<xml><ToUserName><![CDATA[{corp}]]></ToUserName><FromUserName><![CDATA[{sender}]]></FromUserName>"
        f"<CreateTime>1700000000</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>{inner}<AgentID>{agent}</AgentID></xml>"
    )


def text(content: str, msg_id: int = 1, **more: Any) -> str:
    return plain(f"<Content><![CDATA[{content}]]></Content><MsgId>{msg_id}</MsgId>", **more)


def press(key: str, response_code: str = "r1", task_id: str = "fta-1-1-s0", **more: Any) -> str:
    inner = (
        f"<Event>template_card_event</Event><EventKey><![CDATA[{key}]]></EventKey><TaskId>{task_id}</TaskId>"
        f"<CardType>button_interaction</CardType><ResponseCode>{response_code}</ResponseCode>"
    )
    return plain(inner, kind="event", **more)


def event(name: str, key: str = "") -> str:
    return plain(f"<Event>{name}</Event><EventKey><![CDATA[{key}]]></EventKey>", kind="event")


def envelope(sealed: str, corp: str = CORP, agent: object = AGENT) -> str:
    return (
        f"<xml><ToUserName><![CDATA[{corp}]]></ToUserName><AgentID><![CDATA[{agent}]]></AgentID>"
        f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    )


def post(client: Client, plaintext: str, **more: Any) -> Any:
    sealed, _signature = CRYPTO.encrypt(plaintext, "0", "0")
    return send(client, envelope(sealed), query(sealed, **more))


def send(client: Client, body: str | bytes, params: Mapping[str, str]) -> Any:
    return client.post(URL, body, content_type="text/xml", query_params=dict(params))


def replies() -> list[str]:
    return [row.payload["message"]["text"] for row in Delivery.objects.filter(event="reply").order_by("pk")]


def test_it_answers_the_check_of_the_address_with_the_bare_text(client: Client, app: WecomApp) -> None:
    sealed, _signature = CRYPTO.encrypt("1616140317555161061", "0", "0")
    answer = client.get(URL, query(sealed, timestamp="1", echostr=sealed))
    assert (answer.status_code, answer.content) == (200, b"1616140317555161061")
    assert answer["Content-Type"].startswith("text/plain")
    app.refresh_from_db()
    assert app.callback_verified_at is not None
    assert WecomEvent.objects.count() == 0


def test_it_refuses_a_wrong_check_of_the_address(client: Client, app: WecomApp) -> None:
    sealed, _signature = CRYPTO.encrypt("1", "0", "0")
    other = Crypto("othertoken", AES_KEY, CORP)
    for params in ({}, query(sealed, crypto=other, echostr=sealed), query(sealed, echostr="")):
        assert client.get(URL, params).status_code == 403
    app.refresh_from_db()
    assert app.callback_verified_at is None


NEW_TOKEN, NEW_KEY = "FreshToken0123456789", "FreshKey0123456789012345678901234567890abcd"


def test_no_callback_is_lost_while_the_secrets_are_changed(client: Client, app: WecomApp, approval: Approval) -> None:
    """WeCom goes on with the old ones until the new ones are saved there, and for a few minutes more."""
    now = timezone.now()
    configuration.verified(app, now)
    configuration.save({"token": NEW_TOKEN, "encoding_aes_key": NEW_KEY}, None, "boss", now)
    app.refresh_from_db()
    assert app.callback_verified_at is None
    assert post(client, text("待办", msg_id=1)).status_code == 200

    sealed, _signature = (fresh := Crypto(NEW_TOKEN, NEW_KEY, CORP)).encrypt("1616140317555161061", "0", "0")
    assert client.get(URL, query(sealed, crypto=fresh, echostr=sealed)).content == b"1616140317555161061"
    app.refresh_from_db()
    assert app.callback_verified_at is not None
    assert app.previous_until is not None
    assert app.previous_until <= timezone.now() + configuration.SETTLED

    assert post(client, text("待办", msg_id=2)).status_code == 200  # a repeat of WeCom's
    WecomApp.objects.update(previous_until=now)
    assert post(client, text("待办", msg_id=3)).status_code == 403
    sealed, _signature = fresh.encrypt(text("TY CHG-1", msg_id=4), "0", "0")
    assert send(client, envelope(sealed), query(sealed, crypto=fresh)).status_code == 200
    approval.refresh_from_db()
    assert approval.state == "approved"


def test_a_message_shows_that_wecom_has_the_secrets(client: Client, app: WecomApp, approval: Approval) -> None:
    """Who moved a working set-up here never pressed 保存 in WeCom; a change of the secrets must lose nothing then either."""
    assert post(client, text("待办", msg_id=1)).status_code == 200
    app.refresh_from_db()
    assert app.callback_verified_at is not None
    configuration.save({"token": NEW_TOKEN, "encoding_aes_key": NEW_KEY}, None, "boss", timezone.now())
    assert post(client, text("待办", msg_id=2)).status_code == 200
    app.refresh_from_db()
    assert app.callback_verified_at is None  # the old ones opened it

    fresh = Crypto(NEW_TOKEN, NEW_KEY, CORP)
    sealed, _signature = fresh.encrypt(text("TY CHG-1", msg_id=3), "0", "0")
    assert send(client, envelope(sealed), query(sealed, crypto=fresh)).status_code == 200
    app.refresh_from_db()
    assert app.callback_verified_at is not None
    assert app.previous_until is not None
    assert app.previous_until <= timezone.now() + configuration.SETTLED


def test_secrets_that_were_cleared_or_never_verified_end_at_once(
    client: Client, app: WecomApp, operator: Person
) -> None:
    now = timezone.now()
    configuration.save({"token": NEW_TOKEN}, None, "boss", now)  # nobody had saved the old one in WeCom
    assert post(client, text("待办")).status_code == 403
    app.refresh_from_db()
    configuration.verified(app, now)
    configuration.save({"token": "AnotherToken"}, None, "boss", now)
    configuration.save({"token": ""}, None, "boss", now)
    app.refresh_from_db()
    assert (app.previous_token, app.previous_until) == ("", None)


def test_it_approves_by_reply(client: Client, app: WecomApp, approval: Approval) -> None:
    answer = post(client, text("TY CHG-1 已确认"))
    assert (answer.status_code, answer.content) == (200, b"")
    approval.refresh_from_db()
    assert (approval.state, approval.channel) == ("approved", "reply")
    assert approval.comment == "同意（微信审批）：已确认"
    assert replies() == ["【故障自愈】审批成功"]
    assert AuditEntry.objects.filter(verb="approval.decide", actor="lisi").count() == 1


def test_it_answers_by_the_application_that_was_written_to(client: Client, app: WecomApp, approval: Approval) -> None:
    WecomApp.objects.create(
        name="ops", corp_id=CORP, agent_id=AGENT + 1, secret="s" * 43, token=TOKEN, encoding_aes_key=AES_KEY
    )
    sealed, _signature = CRYPTO.encrypt(text("TY CHG-1", agent=AGENT + 1), "0", "0")
    assert send(client, envelope(sealed, agent=AGENT + 1), query(sealed)).status_code == 200
    post(client, text("待办", msg_id=2))
    sent_by = [row.payload["message"]["data"]["app"] for row in Delivery.objects.filter(event="reply").order_by("pk")]
    assert sent_by == ["ops", "default"]


def test_it_audits_the_answer_of_an_unknown_sender_to_any_code(client: Client, app: WecomApp, operator: Person) -> None:
    made = external("release", operator)
    post(client, text("TY release", sender="nobody"))
    refused = AuditEntry.objects.get(verb="approval.decide_refused")
    assert (refused.actor, refused.object_id, refused.data["why"]) == ("nobody", str(made.pk), "not_registered")


def test_it_refuses_by_card(client: Client, app: WecomApp, approval: Approval) -> None:
    assert post(client, press(f"refuse:{approval.pk}", sender="LISI")).status_code == 200
    approval.refresh_from_db()
    assert (approval.state, approval.channel, approval.comment) == ("refused", "card", "驳回（微信审批）")
    assert replies() == ["【故障自愈】审批成功"]


def test_it_does_a_repeat_only_once(client: Client, app: WecomApp, approval: Approval) -> None:
    answers = [post(client, text("TY CHG-1", msg_id=7)) for _ in range(5)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"")}
    assert (Decision.objects.count(), WecomEvent.objects.count(), len(replies())) == (1, 1, 1)


def test_it_tells_two_presses_of_one_second_apart(client: Client, app: WecomApp, approval: Approval) -> None:
    post(client, press(f"approve:{approval.pk}", "r1"))
    post(client, press(f"approve:{approval.pk}", "r2"))
    post(client, press(f"approve:{approval.pk}", "r2"))
    assert WecomEvent.objects.count() == 2
    assert replies()[0] == "【故障自愈】审批成功"
    assert replies()[1].startswith("【故障自愈】审批失败：")
    assert len(replies()) == 2


def test_it_tells_a_stranger_why_nothing_happened(
    client: Client, app: WecomApp, approval: Approval, approver: Person
) -> None:
    post(client, press(f"approve:{approval.pk}", sender="wangwu"))
    post(client, text("TY CHG-1", sender="nobody"))
    approval.refresh_from_db()
    assert approval.state == "pending"
    assert replies()[0].startswith("【故障自愈】审批失败：你不是 CHG-1 的审批人")
    assert "nobody 没有登记" in replies()[1]
    assert AuditEntry.objects.filter(verb="approval.decide_refused", actor="wangwu").exists()


def test_it_refuses_somebody_whose_account_was_disabled(
    client: Client, app: WecomApp, approval: Approval, operator: Person
) -> None:
    Person.objects.filter(pk=operator.pk).update(active=False)
    post(client, press(f"approve:{approval.pk}"))
    approval.refresh_from_db()
    assert approval.state == "pending"


@pytest.mark.parametrize("key", ["approve:999999", "approve:", "approve:x", "approve:" + "9" * 40, "mute:1", ""])
def test_it_answers_a_button_that_it_did_not_draw(client: Client, app: WecomApp, operator: Person, key: str) -> None:
    assert post(client, press(key)).status_code == 200
    assert replies()[0].startswith("【故障自愈】审批失败：")


def test_it_is_silent_when_the_application_is_opened(client: Client, app: WecomApp, operator: Person) -> None:
    for name in ("enter_agent", "view", "unheard_of", "LOCATION"):
        assert post(client, event(name)).status_code == 200
    assert replies() == []
    assert WecomEvent.objects.count() == 4


def test_it_lists_what_waits_on_a_click(client: Client, app: WecomApp, approval: Approval) -> None:
    post(client, event("click", "PENDING"))
    assert "CHG-1" in replies()[0]
    assert "http://mycompany.com/wechat/todo/" in replies()[0]


def test_it_greets_on_subscribe_and_answers_a_picture(client: Client, app: WecomApp, operator: Person) -> None:
    post(client, event("subscribe"))
    post(client, plain("<PicUrl>x</PicUrl><MsgId>5</MsgId>", kind="image"))
    assert "已接入" in replies()[0]
    assert "只认文字" in replies()[1]


def test_it_takes_json(client: Client, app: WecomApp, approval: Approval) -> None:
    inner = {
        "ToUserName": CORP, "FromUserName": "lisi", "CreateTime": 1, "MsgType": "text",
        "Content": "ty chg-1", "MsgId": 3, "AgentID": AGENT,
    }  # fmt: skip
    sealed, _signature = CRYPTO.encrypt(json.dumps(inner), "0", "0")
    body = json.dumps({"tousername": CORP, "encrypt": sealed, "agentid": str(AGENT)})
    assert send(client, body, query(sealed)).status_code == 200
    approval.refresh_from_db()
    assert approval.state == "approved"


def forgeries() -> dict[str, tuple[str | bytes, dict[str, str]]]:
    sealed, _signature = CRYPTO.encrypt(text("TY CHG-1"), "0", "0")
    good = query(sealed)

    def inner(plaintext: str, crypto: Crypto = CRYPTO) -> tuple[str, dict[str, str]]:
        made, _signature = crypto.encrypt(plaintext, "0", "0")
        return envelope(made), query(made)

    twice = f"<xml><ToUserName>{CORP}</ToUserName><Encrypt>{sealed}</Encrypt><Encrypt>{sealed}</Encrypt></xml>"
    stale, ahead = str(int(time.time()) - 700), str(int(time.time()) + 700)
    return {
        "no signature": (envelope(sealed), {}),
        "another signature": (envelope(sealed), {**good, "msg_signature": "0" * 40}),
        "another nonce": (envelope(sealed), {**good, "nonce": "other"}),
        "too old": (envelope(sealed), query(sealed, timestamp=stale)),
        "of the future": (envelope(sealed), query(sealed, timestamp=ahead)),
        "no time": (envelope(sealed), query(sealed, timestamp="soon")),
        "another corp outside": (envelope(sealed, corp="wwother"), good),
        "another application outside": (envelope(sealed, agent=7), good),
        "another corp at the end": inner(text("TY CHG-1"), Crypto(TOKEN, AES_KEY, "wwother")),
        "another corp inside": inner(text("TY CHG-1", corp="wwother")),
        "another application inside": inner(text("TY CHG-1", agent=7)),
        "no application inside": inner(text("TY CHG-1", agent="")),
        "two ciphertexts": (twice, good),
        "not xml inside": inner("TY CHG-1"),
        "a document type": ('<!DOCTYPE x [<!ENTITY a "b">]>' + envelope(sealed), good),
        "empty": ("", good),
        "random": (b"\x00\xff\xfe" * 100, good),
        "too large": (envelope(sealed) + " " * 70_000, good),
        "a torn ciphertext": (envelope(sealed[:-8]), query(sealed[:-8])),
    }


@pytest.mark.parametrize("name", sorted(forgeries()))
def test_it_refuses_forgeries_all_alike(client: Client, app: WecomApp, approval: Approval, name: str) -> None:
    body, params = forgeries()[name]
    answer = send(client, body, params)
    assert (answer.status_code, answer.content) == (403, b"forbidden")
    approval.refresh_from_db()
    assert approval.state == "pending"
    assert (WecomEvent.objects.count(), len(replies())) == (0, 0)


def test_it_refuses_everything_while_nothing_is_configured(client: Client, app: WecomApp) -> None:
    sealed, _signature = CRYPTO.encrypt(text("TY CHG-1"), "0", "0")
    WecomApp.objects.update(token="")
    assert send(client, envelope(sealed), query(sealed)).status_code == 403
    assert client.get(URL, query(sealed, echostr=sealed)).status_code == 403


def test_it_asks_wecom_to_come_again_when_the_database_is_down(
    client: Client, app: WecomApp, approval: Approval, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: object) -> bool:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patched:
        patched.setattr("wechat.views.entry.events.receive", down)
        answer = post(client, text("TY CHG-1", msg_id=9))
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert post(client, text("TY CHG-1", msg_id=9)).status_code == 200
    approval.refresh_from_db()
    assert approval.state == "approved"


def test_it_forgets_a_message_whose_effect_failed(
    client: Client, app: WecomApp, approval: Approval, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**kwargs: object) -> None:
        raise OperationalError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("wechat.events.outbox.post", broken)
        assert post(client, text("TY CHG-1", msg_id=9)).status_code == 503
    approval.refresh_from_db()
    assert (approval.state, WecomEvent.objects.count()) == ("pending", 0)


def test_it_needs_no_csrf_token_and_opens_no_session(app: WecomApp, operator: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = post(client, text("帮助"))
    assert answer.status_code == 200
    assert not answer.cookies
