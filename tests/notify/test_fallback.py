"""What becomes of a message that its channel does not deliver: another channel, else mail, and never in a circle."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta import signals
from fta.models import Person
from fta.models.engine import DbNow
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery, NotificationRule
from notify.transports.base import NotSent, OutcomeUnknown, Receipt, Refused
from tests import factories
from tests.notify.conftest import FakeTransport

pytestmark = pytest.mark.django_db
MARKDOWN = Message(
    "markdown", "磁盘写满", '**<font color="warning">磁盘写满</font>**\n> 98%\n[查看详情](https://x/1)', "https://x/1"
)
CARD = Message("textcard", "磁盘写满", "98%", "https://x/1")


def post(channel: Channel, message: Message = MARKDOWN, *to: str, **fields: Any) -> Delivery:
    made = outbox.post(
        dedup_key="k1", kind=channel.kind, event="alert.firing", channel=channel, message=message, recipients=to,
        now=timezone.now(), **fields,
    )  # fmt: skip
    assert made is not None
    return made


def work(deliver: Any) -> None:
    """Send all that is due within a minute."""
    for _ in range(6):
        Delivery.objects.filter(state="pending", not_before__lt=timezone.now() + timedelta(seconds=60)).update(
            not_before=DbNow() - timedelta(seconds=1)
        )
        deliver()


def second(row: Delivery) -> Delivery:
    return Delivery.objects.get(payload__instead_of=row.pk)


def refused(code: str) -> Refused:
    return Refused(f"企业微信拒绝：{code}", code=code, remedy="去改")


@pytest.mark.parametrize("message", [MARKDOWN, CARD])
@pytest.mark.parametrize("to", [(), ("LiSi", "ghost")])
@pytest.mark.parametrize("code", ["60020", "40001", "81013"])
def test_without_another_channel_the_receivers_are_mailed(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, operator: Person, mailoutbox: Any,
    message: Message, to: tuple[str, ...], code: str,
) -> None:  # fmt: skip
    row = post(app_channel, message, *to)
    fake.plan.append(refused(code))
    work(deliver)
    (mail,) = [each for each in mailoutbox if each.to == ["lisi@example.com"]]
    assert mail.subject == "磁盘写满"
    assert "98%" in mail.body
    assert "https://x/1" in mail.body
    assert "**" not in mail.body
    assert (second(row).state, second(row).event) == ("sent", "alert.firing")
    client = Client()
    client.force_login(factories.person("boss", "admin").user)
    page = client.get(reverse("notify:delivery", args=[second(row).pk])).content.decode()
    assert f'{reverse("notify:delivery", args=[row.pk])}">#{row.pk}</a>' in page


def test_a_storm_of_failures_is_one_mail(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, operator: Person, mailoutbox: Any
) -> None:
    for number in range(6):
        outbox.post(dedup_key=f"k{number}", kind="wecom_app", event="alert.firing", channel=app_channel,
                    message=MARKDOWN, now=timezone.now())  # fmt: skip
    fake.plan.extend(refused("60020") for _ in range(6))
    work(deliver)
    assert [mail.subject for mail in mailoutbox if mail.to == ["lisi@example.com"]] == ["6 条通知合并为一条"]


@pytest.mark.parametrize("to", [(), ("lisi",)])
def test_the_fallback_takes_what_failed(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, robots: Channel, operator: Person, mailoutbox: Any,
    to: tuple[str, ...],
) -> None:  # fmt: skip
    Channel.objects.filter(pk=app_channel.pk).update(fallback=robots)
    app_channel.refresh_from_db()
    post(app_channel, MARKDOWN, *to, people=[operator] if to else None)
    fake.plan.append(refused("60020"))
    work(deliver)
    told = [(row.kind, row.recipients, message.text, message.mentions) for row, message in fake.sent]
    words = "磁盘写满\n98%\n查看详情 https://x/1"
    assert told == [("wecom_robot", [name], words, to) for name in ("值班一群", "值班二群")]
    assert [mail for mail in mailoutbox if mail.to == ["lisi@example.com"]] == []


@pytest.mark.parametrize(
    "errors", [[refused("60020")], [NotSent("忙", code="-1", max_tries=1)], [OutcomeUnknown("断")] * 5]
)
def test_it_is_taken_whatever_it_failed_for(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, robots: Channel, errors: list[Exception]
) -> None:
    Channel.objects.filter(pk=app_channel.pk).update(fallback=robots)
    app_channel.refresh_from_db()
    post(app_channel)
    fake.plan.extend(errors)  # type: ignore[arg-type]
    work(deliver)
    assert {row.kind for row, _message in fake.sent} == {"wecom_robot"}


def test_it_never_goes_round(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, robots: Channel, operator: Person, mailoutbox: Any
) -> None:
    Channel.objects.filter(pk=app_channel.pk).update(fallback=robots)
    Channel.objects.filter(pk=robots.pk).update(fallback=app_channel)
    app_channel.refresh_from_db()
    post(app_channel, MARKDOWN, "lisi", people=[operator])
    fake.plan.extend(refused("93000") for _ in range(9))
    work(deliver)
    assert [mail.subject for mail in mailoutbox if mail.to == ["lisi@example.com"]] == ["磁盘写满"]
    assert Delivery.objects.filter(event="alert.firing").exclude(kind="email").count() == 3
    assert Delivery.objects.filter(state__in=("pending", "sending")).count() == 0


@pytest.mark.parametrize("by", ["mail", "fallback"])
def test_whom_wecom_left_out_is_told_as_well(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, robots: Channel, operator: Person,
    approver: Person, monkeypatch: pytest.MonkeyPatch, by: str,
) -> None:  # fmt: skip
    if by == "fallback":
        Channel.objects.filter(pk=app_channel.pk).update(fallback=robots)
        app_channel.refresh_from_db()
    monkeypatch.setattr(
        FakeTransport,
        "send",
        lambda self, row, message: Receipt(note="没有送到", missed=["wangwu"] if row.recipients[1:] else []),
    )
    row = post(app_channel, MARKDOWN, "lisi", "wangwu")
    work(deliver)
    found = [
        (each.kind, each.recipients) for each in Delivery.objects.filter(payload__instead_of=row.pk).order_by("pk")
    ]
    robot = [("wecom_robot", ["值班一群"]), ("wecom_robot", ["值班二群"])]
    assert found == (robot if by == "fallback" else [("email", ["wangwu@example.com"])])


def test_a_fault_that_its_rule_cannot_tell_is_mailed_to_the_admins(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, admin: Person, mailoutbox: Any
) -> None:
    NotificationRule.objects.create(name="故障", events=["system.fault"]).channels.add(app_channel)
    signals.announce(signals.system_fault, text="审计链断了", subject="audit")
    fake.plan.append(refused("60020"))
    work(deliver)
    assert [mail.subject for mail in mailoutbox if mail.to == ["boss@example.com"]] == ["系统故障：审计链断了"]
    assert Delivery.objects.filter(event="system.fault").count() == 2


@pytest.mark.parametrize("out", [{"enabled": False}, {"archived": True}])
def test_a_fault_whose_channels_are_out_of_use_is_mailed_to_the_admins(
    app_channel: Channel, admin: Person, out: dict[str, bool]
) -> None:
    NotificationRule.objects.create(name="故障", events=["system.fault"]).channels.add(app_channel)
    Channel.objects.update(**out)
    signals.announce(signals.system_fault, text="审计链断了", subject="audit")
    assert [(row.kind, row.recipients) for row in Delivery.objects.all()] == [("email", ["boss@example.com"])]


def test_people_without_an_account_are_mailed_and_the_channels_own_hear_nothing(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, admin: Person, mailoutbox: Any
) -> None:
    factories.person("bob", wecom="")
    NotificationRule.objects.create(name="给 bob", events=["alert.*"], to=["bob"]).channels.add(app_channel)
    signals.announce(signals.alerts_fired, alerts=[factories.alert()])
    work(deliver)
    assert fake.sent == []
    row = Delivery.objects.get(kind="wecom_app")
    assert (row.state, "没有一个能由这个通知服务送达" in row.last_error, "企业微信账号" in row.remedy) == (
        "failed",
        True,
        True,
    )
    app_channel.refresh_from_db()
    assert app_channel.last_error == ""  # it is not the channel that does not work
    assert ["bob@example.com"] in [mail.to for mail in mailoutbox]
