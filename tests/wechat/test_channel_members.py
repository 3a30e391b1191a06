"""Accounts of a channel from an export of WeCom's address book: read into its form, looked at, saved with it."""

import re
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from fta.models import Person
from notify.models import Channel
from tests.wechat.test_members import HEAD, NOTES, text, workbook

ROWS = (
    ["王小明", "wangxm", "运维部", ""],
    ["李四", "LISI", "运维部", "no-mail"],
    ["又是小明", "WangXM", "运维部", ""],
    ["无账号", "", "运维部", ""],
    ["工号账号", "10086", "运维部", ""],
)


def csv(*rows: list[str]) -> bytes:
    return "\n".join(",".join(row) for row in (HEAD, *rows)).encode()


@pytest.fixture
def page(admin: Person) -> Client:
    client = Client()
    client.force_login(admin.user)
    return client


def read(page: Client, where: str, raw: bytes, file: str = "成员.csv", **entered: Any) -> Any:
    """Press the button that reads the file, as a browser does without a script: all of the form is sent along."""
    return page.post(where, {"name": "告警", **entered, "file": SimpleUploadedFile(file, raw)})


def entered(answer: Any, name: str) -> list[str]:
    """Return the lines of a field of many lines as it is shown."""
    found = re.search(rf'<textarea name="{name}"[^>]*>(.*?)</textarea>', text(answer), re.DOTALL)
    assert found, name
    return unescape(found[1]).split()


@pytest.mark.parametrize(
    ("name", "raw"), [("成员.csv", csv(*ROWS)), ("成员.xlsx", workbook(NOTES, HEAD, *ROWS))], ids=["csv", "xlsx"]
)
def test_it_fills_a_channel_and_saving_adds_the_accounts(page: Client, name: str, raw: bytes) -> None:
    channel = Channel.objects.create(name="old", kind="wecom_app", config={"to_user": ["zhaoliu"], "to_party": ["2"]})
    where = reverse("wechat:members-channel", args=[channel.pk])
    sheet = reverse("notify:channel", args=[channel.pk])
    assert f'formaction="{where}"' in text(page.get(sheet))

    answer = read(page, where, raw, name, description="夜班", to_user="zhaoliu\nLiSi", to_party="2", message="markdown")
    shown = text(answer)
    assert "新增 2，已有 1，不导入 2" in shown
    assert "没有账号" in shown
    assert "的账号相同" in shown
    assert entered(answer, "to_user") == ["zhaoliu", "LiSi", "wangxm", "10086"]
    assert 'value="夜班"' in shown  # what was entered beside it stays
    assert '<option value="markdown" selected>' in shown
    assert f'action="{sheet}"' in shown  # saving leads to where the channel is saved
    channel.refresh_from_db()
    assert channel.config["to_user"] == ["zhaoliu"]

    users = "\n".join(entered(answer, "to_user"))
    saved = page.post(sheet, {"name": "old", "enabled": "on", "to_user": users, "to_party": "2"}, follow=True)
    assert "已保存" in text(saved)
    channel.refresh_from_db()
    assert channel.config["to_user"] == ["zhaoliu", "LiSi", "wangxm", "10086"]


@pytest.mark.parametrize(
    ("kind", "field"), [("wecom_app", "to_user"), ("wecom_chat", "members"), ("wecom_robot", "to_user")]
)
def test_it_fills_a_channel_that_is_not_saved_yet(page: Client, kind: str, field: str) -> None:
    where = reverse("wechat:members-channel-new", args=[kind])
    answer = read(page, where, csv(*ROWS), name="", groups="一群 | https://h/1 | lisi")
    assert entered(answer, field) == ["wangxm", "LISI", "10086"]
    assert "这一项必填" not in text(answer)
    assert kind != "wecom_robot" or "一群 | https://h/1 | lisi" in text(answer)


def test_it_says_why_a_file_cannot_be_read_and_keeps_what_was_entered(page: Client) -> None:
    where = reverse("wechat:members-channel-new", args=["wecom_app"])
    for raw, said in ((b"a,b\n1,2\n", "没有找到“账号”和“姓名”两列"), (b"", "空")):
        answer = read(page, where, raw, to_user="lisi")
        assert answer.status_code == 422
        assert said in text(answer)
        assert entered(answer, "to_user") == ["lisi"]
    assert page.post(where, {"to_user": "lisi"}).status_code == 422


def test_a_preview_that_somebody_comes_back_to_is_the_form(page: Client) -> None:
    channel = Channel.objects.create(name="old", kind="wecom_app", config={"to_user": ["zhaoliu"]})
    answer = page.get(reverse("wechat:members-channel", args=[channel.pk]))
    assert answer.headers["Location"] == reverse("notify:channel", args=[channel.pk])
    answer = page.get(reverse("wechat:members-channel-new", args=["wecom_chat"]))
    assert answer.headers["Location"] == reverse("notify:channel-new", args=["wecom_chat"])


def test_only_admins_read_files_and_only_for_channels_with_accounts(page: Client, operator: Person) -> None:
    channel = Channel.objects.create(name="old", kind="wecom_app", config={"to_user": ["zhaoliu"]}, archived=True)
    for args in (["members-channel", channel.pk], ["members-channel-new", "email"], ["members-channel-new", "none"]):
        assert page.post(reverse(f"wechat:{args[0]}", args=args[1:])).status_code == 404
    assert "从通讯录导入" not in text(page.get(reverse("notify:channel-new", args=["email"])))
    client = Client()
    client.force_login(operator.user)
    assert client.post(reverse("wechat:members-channel-new", args=["wecom_app"])).status_code == 403
