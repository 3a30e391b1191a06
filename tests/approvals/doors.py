"""The doors through which people answer, as they look from outside: what is sent in, and the words that come back."""

import itertools
import json
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from django.test import Client
from django.urls import reverse

from approvals.models import Approval
from fta.lib.secrets import digest
from fta.models import ApiKey, Person
from notify.models import Delivery
from tests.wechat.conftest import AGENT, Corp
from tests.wechat.entry_stub import AES_KEY, CORP, TOKEN
from wechat.crypto import Crypto

_numbers = itertools.count(1)
_CRYPTO = Crypto(TOKEN, AES_KEY, CORP)
_WORDS = re.compile(r"<(?:script|style)[\s\S]*?</(?:script|style)>|<[^>]*>")

Door = Callable[[Corp, Person, Approval, str], str]


def _entry(sender: str, kind: str, inner: str) -> str:
    """Bring a message to the callback entry and return the text that the portal posts back."""
    said = Delivery.objects.filter(event="reply").count()
    plaintext = (
        f"<xml><ToUserName>{CORP}</ToUserName><FromUserName><![CDATA[{sender}]]></FromUserName>"
        f"<CreateTime>{int(time.time())}</CreateTime><MsgType>{kind}</MsgType>{inner}<AgentID>{AGENT}</AgentID></xml>"
    )
    stamp = str(int(time.time()))
    sealed, _signature = _CRYPTO.encrypt(plaintext, "0", "0")
    query = {"msg_signature": _CRYPTO.sign(stamp, "n", sealed), "timestamp": stamp, "nonce": "n"}
    body = f"<xml><ToUserName>{CORP}</ToUserName><AgentID>{AGENT}</AgentID><Encrypt>{sealed}</Encrypt></xml>"
    answer = Client().post("/wechat/entry/", body, content_type="text/xml", query_params=query)
    assert answer.status_code == 200
    new = Delivery.objects.filter(event="reply").order_by("pk")[said:]
    assert all(row.recipients == [sender.casefold()] for row in new)
    return "\n".join(row.payload["message"]["text"] for row in new)


def reply_as(sender: str, text: str) -> str:
    """Type a text to the application."""
    return _entry(sender, "text", f"<Content><![CDATA[{text}]]></Content><MsgId>{next(_numbers)}</MsgId>")


def press_as(sender: str, key: str) -> str:
    """Press a button of a card."""
    number = next(_numbers)
    inner = (
        f"<Event>template_card_event</Event><EventKey>{key}</EventKey><TaskId>t{number}</TaskId>"
        f"<CardType>button_interaction</CardType><ResponseCode>r{number}</ResponseCode>"
    )
    return _entry(sender, "event", inner)


def enter_todo(corp: Corp, userid: str) -> Client:
    """Open the todo pages on the phone of a member: WeCom says who it is."""
    client = Client()
    state = parse_qs(urlsplit(client.get(reverse("wechat:oauth")).headers["Location"]).query)["state"][0]
    client.get(reverse("wechat:oauth"), {"code": corp.world.issue_login_code(AGENT, userid), "state": state})
    return client


def words(client: Client, url: str, data: dict[str, str]) -> str:
    """Post a form and return its status when it is refused, else the text of the page that follows."""
    answer = client.post(url, data, follow=True)
    if answer.redirect_chain and reverse("login") in answer.redirect_chain[-1][0]:
        return "login"
    if any("/connect/oauth2/authorize" in url for url, _status in answer.redirect_chain):
        return "login"
    return f"{answer.status_code} {' '.join(_WORDS.sub(' ', answer.content.decode()).split())}"


def reply(corp: Corp, who: Person, approval: Approval, answer: str) -> str:
    return reply_as(who.wecom_userid, f"{'TY' if answer == 'approve' else 'BH'} {approval.code}")


def card(corp: Corp, who: Person, approval: Approval, answer: str) -> str:
    return press_as(who.wecom_userid, f"{answer}:{approval.pk}")


def todo(corp: Corp, who: Person, approval: Approval, answer: str) -> str:
    url = reverse("wechat:todo-detail", args=[approval.pk])
    client = enter_todo(corp, who.wecom_userid)
    return words(client, url, {"answer": answer, "seen": approval.plan_sha256})


def web(corp: Corp, who: Person, approval: Approval, answer: str) -> str:
    client = Client()
    client.force_login(who.user)
    url = reverse("approvals:decide", args=[approval.pk])
    return words(client, url, {"answer": answer, "seen": approval.plan_sha256})


def rest(corp: Corp, who: Person, approval: Approval, answer: str) -> str:
    key = f"key-of-{who.user.username}-0123456789"
    ApiKey.objects.get_or_create(name=who.user.username, defaults={"key_digest": digest(key), "user": who.user})
    said = Client().post(
        f"/api/v1/approvals/{approval.pk}/decide/", json.dumps({"decision": answer}),
        content_type="application/json", headers={"Authorization": f"Bearer {key}"},
    )  # fmt: skip
    return f"{said.status_code} {json.dumps(said.json(), ensure_ascii=False)}"


DOORS: dict[str, Door] = {"reply": reply, "card": card, "todo": todo, "web": web, "rest": rest}
CHANNEL = {"reply": "reply", "card": "card", "todo": "todo", "web": "web", "rest": "api"}
YES = {
    "reply": "审批成功",
    "card": "审批成功",
    "todo": "已同意。",
    "web": "已同意 1 个",
    "rest": '"decision": "approve"',
}
