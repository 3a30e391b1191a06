"""/api/model/send_sms/: Grafana's notification becomes an alert, and a message to the channels of its source."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from fta.engine.loop import Engine
from fta.models import Alert, Inbox, Source
from notify.models import Channel, Delivery
from tests import factories

pytestmark = pytest.mark.django_db

PAYLOADS = Path(__file__).parent.parent / "payloads"
SECRET = "grafana-secret-0123456789"
URL = "/api/model/send_sms/"


@pytest.fixture
def grafana(app_channel: Channel) -> Source:
    chat = Channel.objects.create(name="告警群", kind="wecom_chat", config={"chat_id": "FTAALERTS"})
    return factories.source(
        "grafana", kind="grafana", secret=SECRET, business=factories.business(), relay_to=[app_channel.name, chat.name]
    )


def legacy(name: str = "alerting_image_url") -> bytes:
    return (PAYLOADS / f"grafana_legacy/{name}.json").read_bytes()


def post(client: Client, body: bytes, **more: Any) -> Any:
    answer = client.post(URL, body, "application/json", **more)
    Engine(work=["inbox"]).drain()
    return answer


def said(kind: str) -> Any:
    return Delivery.objects.get(event="source.relayed", kind=kind).payload["message"]


BASIC = "Basic " + b64encode(f"grafana:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "credential",
    [
        {"query_params": {"secret": SECRET}},
        {"headers": {"Authorization": BASIC}},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
    ],
)
def test_it_sends_a_news_card_to_people_and_the_chat(client: Client, grafana: Source, credential: Any) -> None:
    answer = post(client, legacy(), **credential)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert Alert.objects.get().alert_type == "Load peaking!"
    for kind in ("wecom_app", "wecom_chat"):
        card = said(kind)
        assert (card["form"], card["title"], card["picture"]) == ("news", "My alert", "http://s3.image.url")
        assert card["url"] == "http://url.to.grafana/db/dashboard/my_dashboard?panelId=2"
        assert card["text"].startswith("Load is peaking.")
    assert "relay" not in Alert.objects.get().labels


def test_it_takes_the_unified_format_as_well(client: Client, grafana: Source) -> None:
    body = (PAYLOADS / "grafana_unified/v9_mixed.json").read_bytes()
    assert post(client, body, query_params={"secret": SECRET}).status_code == 202
    wanted = json.loads(body)
    assert said("wecom_app")["title"] == " ".join(wanted["title"].split())
    assert said("wecom_app")["url"].startswith("http")


def test_one_notification_is_handed_on_once(client: Client, grafana: Source) -> None:
    post(client, legacy(), query_params={"secret": SECRET})
    Inbox.objects.update(state="new")
    Engine(work=["inbox"]).drain()
    assert Delivery.objects.filter(event="source.relayed").count() == 2


@pytest.mark.parametrize("query", ["relay=1", "x=a%26relay=1", "x=%26relay%3D1%26", "relay=1%26relay=1", "a%26relay=1"])
def test_the_intake_alone_hands_nothing_on(client: Client, grafana: Source, query: str) -> None:
    answer = client.post(f"/intake/grafana/?{query}&secret={SECRET}", legacy(), "application/json")
    Engine(work=["inbox"]).drain()
    assert (answer.status_code, Delivery.objects.filter(event="source.relayed").count()) == (202, 0)


@pytest.mark.parametrize(
    ("body", "secret", "status"),
    [(b"{}", SECRET, 400), (b"[1]", SECRET, 400), (b"{", SECRET, 400), (None, "wrong", 401)],
)
def test_it_refuses_what_it_cannot_read_and_whom_it_does_not_know(
    client: Client, grafana: Source, body: bytes | None, secret: str, status: int
) -> None:
    assert post(client, body or legacy(), query_params={"secret": secret}).status_code == status
    assert not Delivery.objects.exists()


def test_it_tells_of_a_channel_that_is_gone(client: Client, grafana: Source, mailoutbox: Any) -> None:
    Channel.objects.filter(kind="wecom_chat").update(enabled=False)
    post(client, legacy(), query_params={"secret": SECRET})
    assert Delivery.objects.filter(event="source.relayed").count() == 1
    assert Alert.objects.count() == 1


def test_its_words_are_no_links_and_its_address_is(client: Client, grafana: Source) -> None:
    body = json.loads(legacy()) | {"title": "<a href='http://evil.example.com'>x</a>", "message": "a\nb http://evil/"}
    post(client, json.dumps(body).encode(), query_params={"secret": SECRET})
    card = said("wecom_app")
    assert card["title"] == "＜a href='http：//evil.example.com'＞x＜/a＞"
    assert card["text"].startswith("a\nb http：//evil/")
    assert card["url"].startswith("http://url.to.grafana/")
