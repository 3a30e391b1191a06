"""A way to notify that the portal does not know: a class and a line in the settings are all that it takes."""

from typing import Any

import pytest
from django.core import checks
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.config import document
from fta.models import Business, Person
from notify.message import Message
from notify.models import Channel, Delivery
from notify.transports.base import Receipt
from notify.transports.fields import Field
from tests import factories

pytestmark = pytest.mark.django_db
TOKEN, VIEWER = "token-of-the-pager-0123456789", "viewer-key-0123456789"


class PagerTransport:
    label = "寻呼机"
    fields = (
        Field("numbers", "号码", "lines", required=True),
        Field("region", "地区", "choice", choices=(("cn", "国内"), ("hk", "香港"))),
        Field("token", "令牌", "secret", required=True),
    )
    idempotent = True
    sent: list[tuple[dict[str, Any], str]] = []

    def send(self, delivery: Delivery, message: Message) -> Receipt:
        assert delivery.channel
        self.sent.append((delivery.channel.config, message.title))
        return Receipt(request=message.text)

    def validate(self, config: Any) -> list[tuple[str, str]]:
        return [("numbers", f"“{number}”不是号码。") for number in config["numbers"] if not str(number).isdigit()]


@pytest.fixture(autouse=True)
def key(game: Business) -> None:
    factories.api_key(VIEWER, "viewer", game)


def shown(channel: Channel) -> Any:
    path = f"/api/v1/channels/{channel.pk}/"
    return Client().get(path, headers={"Authorization": f"Bearer {VIEWER}"}).json()


@pytest.fixture(autouse=True)
def pager(settings: Any) -> type[PagerTransport]:
    settings.NOTIFY_TRANSPORTS = {**settings.NOTIFY_TRANSPORTS, "pager": f"{__name__}.PagerTransport"}
    PagerTransport.sent.clear()
    return PagerTransport


def test_its_channel_is_made_tested_and_delivered_through(
    client: Client, admin: Person, pager: type[PagerTransport], deliver: Any
) -> None:
    assert [error for error in checks.run_checks() if error.id and error.id.startswith("notify.")] == []
    client.force_login(admin.user)
    assert "寻呼机" in client.get(reverse("notify:channels")).content.decode()
    new, data = reverse("notify:channel-new", args=["pager"]), {"name": "机房", "enabled": "on", "region": "hk"}
    for wrong, said in (
        ({"numbers": "119"}, "必填项"),
        ({"numbers": "one", "token": TOKEN}, "不是号码"),
        ({"numbers": "119", "token": TOKEN, "region": "mars"}, "mars"),
    ):
        page = client.post(new, data | wrong)
        assert (page.status_code, said in page.content.decode()) == (400, True), wrong
    assert client.post(new, data | {"numbers": "119\n120", "token": TOKEN}).status_code == 302
    channel = Channel.objects.get()
    page = client.get(reverse("notify:channel", args=[channel.pk]))
    assert "119\n120" in page.content.decode()
    assert TOKEN not in page.content.decode()
    client.post(page.request["PATH_INFO"], data | {"numbers": "119"})
    channel.refresh_from_db()
    config = {"numbers": ["119"], "region": "hk", "token": TOKEN}
    assert channel.config == config
    answer = shown(channel)
    assert (answer["kind"], answer["config"]) == ("pager", {"numbers": ["119"], "region": "hk"})
    assert client.post(reverse("notify:channel-test", args=[channel.pk])).status_code == 302
    deliver()
    assert pager.sent == [(config, "测试消息：“机房”可以收到")]
    assert Delivery.objects.get().state == "sent"


def test_the_configuration_file_takes_it_and_an_export_leaves_its_secret_out() -> None:
    line = "{name: 机房, kind: pager, numbers: 119, token: %s}"
    for part, fault in (
        ("{name: 机房, kind: pager, token: x, colour: red}", "channels[0].colour"),
        ("{name: 机房, kind: pager, numbers: {a: 1}, token: x}", "channels[0].numbers"),
        ("{name: 机房, kind: pager, token: x}", "channels[0].numbers"),
    ):
        with pytest.raises(document.InvalidConfiguration) as raised:
            document.apply(f"version: 1\nchannels: [{part}]", "boss", timezone.now())
        assert fault in str(raised.value), part
    assert not Channel.objects.exists()
    document.apply(f"version: 1\nchannels: [{line % TOKEN}]", "boss", timezone.now())
    text = document.export()
    assert ("pager" in text, TOKEN in text) == (True, False)
    document.apply(f"version: 1\nchannels: [{line % ''}]", "boss", timezone.now())
    assert Channel.objects.get(enabled=True).config == {"numbers": ["119"], "token": TOKEN}


def test_it_declares_no_key_that_every_channel_has(
    pager: type[PagerTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pager, "fields", (Field("name", "名"),))
    assert "notify.E004" in {error.id for error in checks.run_checks()}


def test_a_kind_that_is_no_longer_named_shows_nothing_and_sends_nothing(
    client: Client, admin: Person, settings: Any
) -> None:
    channel = Channel.objects.create(name="机房", kind="pager", config={"numbers": ["119"], "token": TOKEN})
    del settings.NOTIFY_TRANSPORTS["pager"]
    client.force_login(admin.user)
    url = reverse("notify:channel", args=[channel.pk])
    assert client.get(reverse("notify:channels")).status_code == 200
    assert TOKEN not in client.get(url).content.decode()
    assert "没有“pager”这种通知方式" in client.post(url, {"name": "机房", "enabled": "on"}).content.decode()
    assert shown(channel)["config"] == {}
    assert TOKEN not in document.export()
