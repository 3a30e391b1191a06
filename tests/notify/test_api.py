"""/api/v1/ of notification: read by role and scope, test a channel, send again."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fta.models import Business
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery, NotificationRule
from tests import factories
from tests.notify.conftest import FakeTransport

pytestmark = pytest.mark.django_db

OPERATOR, VIEWER, FOREIGN = "operator-key-0123456789", "viewer-key-0123456789", "foreign-key-0123456789"


@pytest.fixture(autouse=True)
def keys(game: Business, pay: Business) -> None:
    factories.api_key(OPERATOR, "operator", game)
    factories.api_key(VIEWER, "viewer", game)
    factories.api_key(FOREIGN, "operator", pay)


@pytest.fixture
def delivery(app_channel: Channel) -> Delivery:
    run = factories.execution(alert=factories.alert(host=factories.host()))
    row = outbox.post(
        dedup_key="k1",
        kind="wecom_app",
        event="execution.failed",
        message=Message("text", title="失败", text="失败"),
        channel=app_channel,
        recipients=["lisi"],
        execution=run,
        now=timezone.now(),
    )
    assert row is not None
    Delivery.objects.filter(pk=row.pk).update(state="failed", last_code="60020", remedy="加入可信 IP")
    return row


def call(key: str, path: str, method: str = "get") -> Any:
    return getattr(Client(), method)(f"/api/v1/{path}", headers={"Authorization": f"Bearer {key}"})


def test_channels_are_read_without_their_secrets(robots: Channel) -> None:
    Channel.objects.create(
        name="钩", kind="webhook", config={"url": "https://h/x", "secret": "signing-secret-0123456789"}
    )
    Channel.objects.filter(pk=robots.pk).update(fallback=Channel.objects.get(name="钩"))
    answer = call(VIEWER, "channels/")
    assert answer.status_code == 200
    assert {row["name"]: row["fallback"] for row in answer.json()["results"]} == {"值班群": "钩", "钩": None}
    assert {row["name"] for row in answer.json()["results"]} == {"值班群", "钩"}
    assert "signing-secret" not in answer.content.decode()
    assert "https://h/1" not in answer.content.decode()
    assert call("no-such-key-0123456789", "channels/").status_code == 401


def test_an_operator_tests_a_channel_and_sees_what_became_of_it(
    robots: Channel, fake: type[FakeTransport], deliver: Any
) -> None:
    assert call(VIEWER, f"channels/{robots.pk}/test/", "post").status_code in (403, 404)
    assert not Delivery.objects.exists()
    answer = call(OPERATOR, f"channels/{robots.pk}/test/", "post")
    assert answer.status_code == 202
    deliver()
    states = [call(OPERATOR, f"deliveries/{pk}/").json()["state"] for pk in answer.json()["deliveries"]]
    assert states == ["sent", "sent"]


def test_deliveries_are_those_of_the_keys_businesses(delivery: Delivery) -> None:
    answer = call(OPERATOR, "deliveries/?state=failed").json()
    assert answer["count"] == 1
    row = answer["results"][0]
    assert (row["id"], row["channel"], row["recipients"], row["last_code"]) == (delivery.pk, "wecom", ["lisi"], "60020")
    assert (row["execution"], row["approval"], row["remedy"]) == (delivery.execution_id, None, "加入可信 IP")
    assert call(OPERATOR, "deliveries/?state=sent").json()["count"] == 0
    assert call(FOREIGN, "deliveries/").json()["count"] == 0
    assert call(FOREIGN, f"deliveries/{delivery.pk}/").status_code == 404


def test_only_the_business_sends_again_and_only_what_failed(
    delivery: Delivery, fake: type[FakeTransport], deliver: Any
) -> None:
    path = f"deliveries/{delivery.pk}/resend/"
    assert call(FOREIGN, path, "post").status_code == 404
    assert call(VIEWER, path, "post").status_code in (403, 404)
    assert call(OPERATOR, path, "post").json()["state"] == "pending"
    deliver()
    assert len(fake.sent) == 1
    refused = call(OPERATOR, path, "post")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_resendable")


def test_notification_rules_are_listed(app_channel: Channel) -> None:
    options = {"group_by": ["alert_type"], "group_wait": 30}
    rule = NotificationRule.objects.create(name="自愈结果", events=["execution.*"], options=options)
    other = NotificationRule.objects.create(name="自愈", events=["*"])
    other.channels.add(app_channel)
    rule.channels.add(app_channel)
    bare, row = call(VIEWER, "notification-rules/").json()["results"]
    assert (row["name"], row["events"], row["channels"], row["template"]) == (
        "自愈结果",
        ["execution.*"],
        ["wecom"],
        None,
    )
    spans = ("group_by", "group_wait", "group_interval", "repeat_interval")
    assert [row[name] for name in spans] == [["alert_type"], 30, 0, 0]
    assert [bare[name] for name in spans] == [[], 0, 0, 0]
