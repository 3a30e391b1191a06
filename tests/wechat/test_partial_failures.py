"""What WeCom sent to some only: who did not get it, why, what to do, and who hears of it instead."""

from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.engine.loop import Engine
from fta.models import Person
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery
from tests import factories
from tests.wechat.conftest import Corp
from wechat.simulator import sending


def sent(channel: Channel, *to: str) -> Delivery:
    made = outbox.post(
        dedup_key="k", kind=channel.kind, event="alert.firing", message=Message("text", title="磁盘写满", text="磁盘写满"),
        recipients=to, channel=channel, now=timezone.now(),
    )  # fmt: skip
    assert made is not None
    Engine(work=["delivery"]).drain()
    made.refresh_from_db()
    assert made.state == "sent"
    return made


def shown(row: Delivery, person: Person) -> str:
    client = Client()
    client.force_login(person.user)
    return client.get(reverse("notify:delivery", args=[row.pk])).content.decode()


@pytest.mark.parametrize(
    ("config", "what", "todo"),
    [
        ({"to_user": ["lisi", "Ghost", "Spook"]}, "没有送到账号 ghost、spook。", "核对这些企业微信账号"),
        ({"to_user": ["lisi"], "to_party": ["2", "99"]}, "没有送到部门 99。", "核对通知服务里的部门 ID"),
        ({"to_user": ["lisi"], "to_tag": ["77"]}, "没有送到标签 77。", "核对通知服务里的标签 ID"),
    ],
)
def test_the_page_of_the_delivery_shows_each_with_its_remedy(
    corp: Corp, admin: Person, config: dict[str, Any], what: str, todo: str
) -> None:
    row = sent(Channel.objects.create(name="应用", kind="wecom_app", config=config))
    assert (what in row.last_error, todo in row.remedy) == (True, True)
    page = shown(row, admin)
    assert what in page
    assert todo in page
    client = Client()
    client.force_login(admin.user)
    assert "部分没有送到" in client.get(reverse("notify:deliveries")).content.decode()
    assert corp.texts("lisi")[0] == "磁盘写满"


def test_all_kinds_are_told_at_once_and_no_remedy_without_a_fault(
    corp: Corp, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sending._receivers
    monkeypatch.setattr(
        sending, "_receivers", lambda *args: (real(*args)[0], real(*args)[1] | {"unlicenseduser": "wangwu"})
    )
    config = {"to_user": ["lisi", "Ghost", "wangwu"], "to_party": ["99"], "to_tag": ["77"]}
    channel = Channel.objects.create(name="应用", kind="wecom_app", config=config)
    row = sent(channel)
    assert row.last_error == "没有送到账号 ghost。没有送到部门 99。没有送到标签 77。没有送到没有接口许可的账号 wangwu。"
    assert "分配接口许可" in row.remedy

    monkeypatch.setattr(sending, "_receivers", real)
    Channel.objects.update(config={"to_user": ["lisi"]})
    Delivery.objects.all().delete()
    row = sent(Channel.objects.get())
    assert (row.last_error, row.remedy) == ("", "")
    assert "怎么办" not in shown(row, admin)


def test_accounts_fall_to_the_other_channel_which_tells_its_own(corp: Corp, operator: Person) -> None:
    webhook = f"{corp.base}/cgi-bin/webhook/send?key=demo1"
    groups = [{"name": "值班一群", "webhook": webhook}]
    robot = Channel.objects.create(name="群", kind="wecom_robot", config={"groups": groups, "message": "text"})
    config = {"to_user": ["lisi", "Ghost"]}
    row = sent(Channel.objects.create(name="应用", kind="wecom_app", config=config, fallback=robot))
    instead = Delivery.objects.get(payload__instead_of=row.pk)
    assert (instead.kind, instead.recipients) == ("wecom_robot", ["值班一群"])


def test_persons_who_were_missed_are_told_by_mail(corp: Corp, operator: Person) -> None:
    factories.person("ghost", wecom="ghost")
    row = sent(Channel.objects.create(name="应用", kind="wecom_app", config={"to_user": ["lisi"]}), "lisi", "ghost")
    instead = Delivery.objects.get(payload__instead_of=row.pk)
    assert (instead.kind, instead.recipients) == ("email", ["ghost@example.com"])


def test_admins_hear_of_departments_and_tags_once(corp: Corp, operator: Person, admin: Person) -> None:
    config = {"to_user": ["lisi"], "to_party": ["99"], "to_tag": ["77"]}
    channel = Channel.objects.create(name="应用", kind="wecom_app", config=config)
    row = sent(channel)
    Delivery.objects.filter(pk=row.pk).delete()
    sent(channel)
    (letter,) = [each for each in mail.outbox if "系统故障" in each.subject]
    assert letter.to == ["boss@example.com"]
    assert "没有送到部门 99。没有送到标签 77。" in letter.body
    assert "核对通知服务里的部门 ID" in letter.body
