"""A transport that does what the test wants, in the place of WeCom's."""

from collections.abc import Iterator
from typing import Any

import pytest

from fta.engine.loop import Engine
from fta.models import Person
from notify.message import Message
from notify.models import Channel, Delivery
from notify.transports.base import Receipt, TransportError
from notify.transports.fields import Field


class FakeTransport:
    """Keeps what was sent; raises what was planned, one error a call."""

    label = "企业微信"
    fields = (Field("to_user", "账号", "lines"), Field("groups", "群", "groups"))
    idempotent = True
    sent: list[tuple[Delivery, Message]] = []
    plan: list[TransportError] = []

    def send(self, delivery: Delivery, message: Message) -> Receipt:
        if self.plan:
            raise self.plan.pop(0)
        self.sent.append((delivery, message))
        return Receipt({"msgid": "m1"}, request=message.text, answer="ok")

    def validate(self, config: Any) -> list[tuple[str, str]]:
        return [] if config.get("to_user") or config.get("groups") else [("to_user", "至少填写一个账号。")]


class OnceTransport(FakeTransport):
    idempotent = False


@pytest.fixture
def fake(settings: Any) -> Iterator[type[FakeTransport]]:
    settings.NOTIFY_TRANSPORTS = {
        **settings.NOTIFY_TRANSPORTS,
        "wecom_app": "tests.notify.conftest.FakeTransport",
        "wecom_robot": "tests.notify.conftest.OnceTransport",
        "wecom_chat": "tests.notify.conftest.OnceTransport",
    }
    FakeTransport.sent.clear()
    FakeTransport.plan.clear()
    yield FakeTransport
    FakeTransport.sent.clear()
    FakeTransport.plan.clear()


@pytest.fixture
def deliver(settings: Any) -> Any:
    """Do all due deliveries, as the engine does."""
    settings.FTA_WORK_KINDS = ["notify.delivery.DeliveryKind"]
    return lambda: Engine(work=["delivery"]).drain()


@pytest.fixture
def app_channel(db: None) -> Channel:
    return Channel.objects.create(name="wecom", kind="wecom_app", config={"to_user": ["lisi"]})


@pytest.fixture
def robots(db: None) -> Channel:
    groups = [{"name": "值班一群", "webhook": "https://h/1"}, {"name": "值班二群", "webhook": "https://h/2"}]
    return Channel.objects.create(name="值班群", kind="wecom_robot", config={"groups": groups})


@pytest.fixture
def maintainer(operator: Person) -> Person:
    business = operator.businesses.get()
    business.maintainers.add(operator)
    return operator
