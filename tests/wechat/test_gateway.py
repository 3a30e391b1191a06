"""The gateway: tools that speak to WeCom are answered as WeCom answers, and the portal sends for them."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from fta.lib.secrets import digest
from notify.delivery import DeliveryKind
from notify.models import Delivery
from tests.wechat.conftest import Corp
from wechat.models import GatewayCall, GatewayClient
from wechat.services import gateway

pytestmark = pytest.mark.django_db

SECRET = "prometheus-own-secret+/1"
# As captured from Alertmanager 0.25: agentid and safe are texts, the part of the other msgtype is there and empty.
FROM_ALERTMANAGER = {
    "text": {"content": "A & <b> 告警 firing"}, "touser": "lisi", "agentid": "7", "safe": "0", "msgtype": "text",
    "markdown": {"content": ""},
}  # fmt: skip


@pytest.fixture
def prometheus() -> GatewayClient:
    return GatewayClient.objects.create(
        name="prometheus", corp_id="portal", agent_id=7, secret_digest=digest(SECRET), per_minute=3
    )


def token(client: Client, corp_id: str = "portal", secret: str = SECRET, method: str = "get") -> Any:
    query = {"corpid": corp_id, "corpsecret": secret}
    return getattr(client, method)("/wecom/cgi-bin/gettoken", query_params=query).json()


def send(client: Client, access_token: str, body: Any) -> Any:
    url = "/wecom/cgi-bin/message/send"
    answer = client.post(url, body, "application/json", query_params={"access_token": access_token})
    assert answer.status_code == 200
    return answer.json()


def deliver() -> None:
    kind = DeliveryKind()
    for pk in kind.due(100, timezone.now()):
        kind.do(pk)


@pytest.mark.parametrize("method", ["get", "post"])  # Grafana posts
def test_it_gives_a_client_its_token(client: Client, prometheus: GatewayClient, method: str) -> None:
    answer = token(client, method=method)
    assert (answer["errcode"], answer["expires_in"]) == (0, 7200)
    assert gateway.holder(answer["access_token"]) == prometheus


@pytest.mark.parametrize(
    ("corp_id", "secret", "code"),
    [("", SECRET, 41002), ("portal", "", 41004), ("other", SECRET, 40013), ("portal", "wrong", 40001)],
)
def test_it_gives_nobody_else_one(
    client: Client, prometheus: GatewayClient, corp_id: str, secret: str, code: int
) -> None:
    answer = token(client, corp_id, secret)
    # Alertmanager up to 0.25 reads `code`.
    assert (answer["errcode"], answer["code"], "access_token" in answer) == (code, code, False)


def test_it_sends_for_the_client_by_its_own_application(client: Client, prometheus: GatewayClient, corp: Corp) -> None:
    access = token(client)["access_token"]
    assert send(client, access, FROM_ALERTMANAGER)["errcode"] == 0
    party = {"toparty": " 1 ", "agentid": "7", "msgtype": "markdown", "markdown": {"content": "**HighCPU**"}}
    assert send(client, access, party | {"text": {"content": ""}})["errcode"] == 0
    article = {"title": "CPU", "description": "高", "url": "http://grafana/d/1", "picurl": "http://grafana/1.png"}
    news = {"touser": "lisi", "agentid": 7, "msgtype": "news", "news": {"articles": [article]}}
    assert send(client, access, news)["errcode"] == 0

    deliver()

    # The corp refuses an agent id that is not of the token's application: it never hears of the client's own.
    assert [bubble.body.get("content") or bubble.body for bubble in corp.inbox("lisi")] == [
        "A & <b> 告警 firing",
        "**HighCPU**",
        {"articles": [article]},
    ]
    assert "**HighCPU**" in corp.texts("wangwu")  # of the same department
    calls = GatewayCall.objects.order_by("id").values_list("client__name", "msgtype", "receivers", "errcode")
    assert list(calls)[1] == ("prometheus", "markdown", "toparty= 1 ", 0)


def test_what_is_too_long_for_its_form_arrives_whole(client: Client, prometheus: GatewayClient, corp: Corp) -> None:
    access, content = token(client)["access_token"], "第一行，磁盘写满\n" * 900  # 22 kB
    body: dict[str, Any] = {"touser": "lisi", "agentid": 7}
    send(client, access, body | {"msgtype": "text", "text": {"content": content}})
    card = {"title": "CPU", "description": "高" * 300, "url": "http://grafana/d/1"}
    send(client, access, body | {"msgtype": "textcard", "textcard": card})
    article = {"title": "CPU", "description": "高" * 300, "url": "http://grafana/d/1"}
    send(
        client,
        access,
        body | {"msgtype": "news", "news": {"articles": [article, {"title": "内存", "url": "http://g/2"}]}},
    )
    deliver()

    *_parts, last, shown, whole, news, all_of_it = corp.inbox("lisi")
    page = f"http://mycompany.com/notify/deliveries/{Delivery.objects.order_by('pk')[0].pk}/"
    assert last.body["content"].endswith(f"字未显示，全文：{page}")
    assert (shown.msgtype, shown.body["description"][-1], whole.body["content"]) == (
        "textcard",
        "…",
        "CPU\n" + "高" * 300,
    )
    assert news.body["articles"][0]["description"].endswith("高…")
    assert all_of_it.body["content"] == "CPU\n" + "高" * 300 + "\n内存"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"agentid": ""}, 41011),
        ({"agentid": "8"}, 301002),
        ({"touser": " "}, 82001),
        ({"msgtype": "template_card"}, 40008),
        ({"text": {"content": " "}}, 44004),
        ({"text": "a text"}, 44004),
        ({"msgtype": "news", "news": {"articles": []}}, 45008),
    ],
)
def test_it_refuses_as_wecom_would_and_logs_it(
    client: Client, prometheus: GatewayClient, changes: Any, code: int
) -> None:
    answer = send(client, token(client)["access_token"], FROM_ALERTMANAGER | changes)
    assert (answer["errcode"], answer["code"]) == (code, code)
    assert (Delivery.objects.count(), GatewayCall.objects.get().errcode) == (0, code)


@pytest.mark.parametrize("body", ["", "[]", "{", "[" * 100_000, '"x"'])
def test_it_refuses_what_is_no_message(client: Client, prometheus: GatewayClient, body: str) -> None:
    assert send(client, token(client)["access_token"], body)["errcode"] == 47001


def test_a_token_ends_with_its_time_and_with_its_secret(client: Client, prometheus: GatewayClient) -> None:
    access = token(client)["access_token"]
    assert send(client, "", FROM_ALERTMANAGER)["errcode"] == 41001
    assert send(client, access + "x", FROM_ALERTMANAGER)["errcode"] == 40014
    with time_machine.travel(timezone.now() + timedelta(seconds=7201)):
        assert send(client, access, FROM_ALERTMANAGER)["errcode"] == 42001
    GatewayClient.objects.update(secret_digest=digest("a new secret of the client"))
    assert send(client, access, FROM_ALERTMANAGER)["errcode"] == 40014
    assert Delivery.objects.count() == 0


def test_it_takes_no_more_than_the_limit_in_a_minute(client: Client, prometheus: GatewayClient) -> None:
    access = token(client)["access_token"]
    codes = [send(client, access, FROM_ALERTMANAGER)["errcode"] for _ in range(4)]
    assert (codes, Delivery.objects.count()) == ([0, 0, 0, 45009], 3)
    GatewayCall.objects.update(at=timezone.now() - timedelta(seconds=61))
    assert send(client, access, FROM_ALERTMANAGER)["errcode"] == 0


def test_a_database_that_is_away_asks_to_come_again(
    client: Client, prometheus: GatewayClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = token(client)["access_token"]

    def away(*args: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(gateway, "take", away)
    url = "/wecom/cgi-bin/message/send"
    answer = client.post(url, FROM_ALERTMANAGER, "application/json", query_params={"access_token": access})
    assert (answer.status_code, answer.json()["errcode"]) == (503, -1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"msgtype": "news", "news": {"articles": 5}}, 45008),
        ({"msgtype": "news", "news": {"articles": True}}, 45008),
        ({"touser": "\ud800"}, 47001),
        ({"text": {"content": "a\x00b"}}, 47001),
        ({"touser": "|".join(f"m{n}" for n in range(1001))}, 40032),
    ],
)
def test_it_answers_odd_bodies_as_wecom_would(
    client: Client, prometheus: GatewayClient, changes: dict[str, Any], code: int
) -> None:
    access = token(client)["access_token"]
    assert send(client, access, json.dumps(FROM_ALERTMANAGER | changes))["errcode"] == code
    assert not Delivery.objects.exists()
