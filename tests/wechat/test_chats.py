"""Group chats as channels: made, renamed, their members changed, an existing one taken over, all from the channel's page."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fta.models import AuditEntry, Person
from notify.models import Channel
from tests.wechat.conftest import Corp


def page(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def chat(name: str = "值班群", **config: Any) -> Channel:
    return Channel.objects.create(name=name, kind="wecom_chat", config=config)


def act(person: Person, channel: Channel, action: str) -> str:
    answer = page(person).post(reverse("notify:channel-act", args=[channel.pk, action]), follow=True)
    channel.refresh_from_db()
    return str(answer.content.decode())


def test_it_makes_a_chat_and_keeps_its_id(corp: Corp, admin: Person) -> None:
    made = chat(members=["lisi", "wangwu"])
    assert "已建群“值班群”，2 人。" in act(admin, made, "push")
    found = corp.world.chats[made.config["chat_id"]]
    assert (found.name, found.owner, found.members) == ("值班群", "lisi", ["lisi", "wangwu"])
    assert set(AuditEntry.objects.values_list("verb", flat=True)) >= {"channel.push", "channel.change"}


def test_it_makes_the_chat_what_the_channel_says(corp: Corp, admin: Person) -> None:
    made = chat(chat_id="FTAALERTS", owner="wangwu", members=["wangwu", "zhaoliu"])
    before = corp.world.chats["FTAALERTS"]
    assert set(before.members) != {"wangwu", "zhaoliu"}
    assert "已更新群“值班群”，2 人。" in act(admin, made, "push")
    assert (before.name, before.owner, set(before.members)) == ("值班群", "wangwu", {"wangwu", "zhaoliu"})


def test_it_compares_members_as_wecom_does_whatever_their_case(corp: Corp, admin: Person) -> None:
    made = chat(chat_id="FTAALERTS", owner="LiSi", members=["LiSi", "zhaoliu"])
    assert "已更新群" in act(admin, made, "push")
    before = corp.world.chats["FTAALERTS"]
    assert (before.owner, before.members) == ("lisi", ["lisi", "zhaoliu"])


def test_it_says_what_a_group_chat_needs_of_the_application(corp: Corp, admin: Person) -> None:
    object.__setattr__(corp.world.config.apps[0], "root_visible", False)
    assert "改为最上级部门" in act(admin, chat(members=["lisi", "wangwu"]), "push")


def test_it_takes_over_a_chat_that_there_is(corp: Corp, admin: Person) -> None:
    there = corp.world.chats["FTAALERTS"]
    made = chat(chat_id="FTAALERTS")
    assert "没有填写成员" in act(admin, made, "push")
    assert f"已读取：群名“{there.name}”" in act(admin, made, "pull")
    assert (made.config["owner"], made.config["members"]) == (there.owner, there.members)


@pytest.mark.parametrize(
    ("config", "action", "said"),
    [
        ({"chat_id": "NOPE"}, "pull", "没有找到这个群聊"),
        ({"members": ["lisi", "ghost"]}, "push", "企业微信拒绝：86007"),
        ({"members": ["lisi", "wangwu"], "app": "gone"}, "push", "没有名为 gone 的企业微信应用"),
    ],
)
def test_it_says_what_is_wrong(corp: Corp, admin: Person, config: dict[str, Any], action: str, said: str) -> None:
    made = chat(**config)
    assert said in act(admin, made, action)
    assert made.config == config


def test_only_admins_act_and_only_what_there_is(corp: Corp, admin: Person, operator: Person) -> None:
    made = chat(members=["lisi", "wangwu"])
    mail = Channel.objects.create(name="邮件", kind="email", config={"to": ["a@example.com"]})
    for person, channel, action in ((operator, made, "push"), (admin, made, "fly"), (admin, mail, "push")):
        url = reverse("notify:channel-act", args=[channel.pk, action])
        assert page(person).post(url).status_code == 404
    assert "建群或更新群" in page(admin).get(reverse("notify:channel", args=[made.pk])).content.decode()
    assert corp.calls("appchat/create") == 0
