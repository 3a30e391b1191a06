"""The configuration page: several applications, the menu read back, the export, the overlap of secrets."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.config import document
from fta.models import AuditEntry, Person
from notify.delivery import DeliveryKind
from notify.models import Channel
from tests.wechat.conftest import Corp
from wechat.models import WecomApp
from wechat.services import configuration
from wechat.simulator.config import App

FIELDS = {
    "corp_id": "wwsecond0123456789",
    "agent_id": "1000009",
    "secret": "second-secret-0123456789",
    "app_url": "https://fta.example.com/wechat/",
}


@pytest.fixture
def page(admin: Person) -> Client:
    client = Client()
    client.force_login(admin.user)
    return client


def said(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_second_application_is_added_made_default_and_the_first_archived(app: WecomApp, page: Client) -> None:
    url = reverse("wechat:config")
    assert "添加应用" in said(page.get(url))
    wrong = page.post(url, {**FIELDS, "app": "new", "name": "default"})
    assert (wrong.status_code, "已被使用" in said(wrong)) == (422, True)
    assert page.post(url, {**FIELDS, "app": "new", "name": "运维通知"}).status_code == 302
    second = WecomApp.objects.get(name="运维通知")
    assert (second.corp_id, second.agent_id, second.is_default) == ("wwsecond0123456789", 1000009, False)
    app.refresh_from_db()
    assert app.agent_id != 1000009

    shown = said(page.get(url, {"app": second.pk}))
    assert "1000009" in shown
    assert "审批管理员" not in shown.split("应用凭据")[1].split("</form>")[0]
    assert "不能归档" in said(page.post(reverse("wechat:config-archive"), {"app": app.pk}, follow=True))
    assert "已设为默认" in said(page.post(reverse("wechat:config-default"), {"app": second.pk}, follow=True))
    assert "已归档" in said(page.post(reverse("wechat:config-archive"), {"app": app.pk}, follow=True))
    assert list(WecomApp.objects.filter(archived=False).values_list("name", "is_default")) == [("运维通知", True)]
    assert page.get(url, {"app": app.pk}).status_code == 404
    verbs = AuditEntry.objects.values_list("verb", flat=True)
    assert {"wechat.configure", "wechat.default_app", "wechat.archive_app"} <= set(verbs)


def test_an_application_that_channels_send_through_is_not_archived(app: WecomApp, page: Client) -> None:
    second = WecomApp.objects.create(name="运维通知", corp_id="wwsecond0123456789", agent_id=1000009)
    row = Channel.objects.create(name="值班", kind="wecom_app", config={"app": "运维通知"})
    answer = page.post(reverse("wechat:config-archive"), {"app": second.pk}, follow=True)
    assert "通知服务“值班”由它发送" in said(answer)
    second.refresh_from_db()
    assert not second.archived
    Channel.objects.filter(pk=row.pk).update(config={})
    page.post(reverse("wechat:config-archive"), {"app": second.pk})
    second.refresh_from_db()
    assert second.archived


def test_the_menu_is_published_and_read_back(corp: Corp, page: Client) -> None:
    answer = page.post(reverse("wechat:config-menu"), {"app": corp.app.pk}, follow=True)
    shown = said(answer)
    assert "菜单已发布，约 5 分钟" in shown
    assert "企业微信里现在的菜单" in shown
    assert "<dt>审批列表</dt>" in shown
    assert "/wechat/todo/" in shown.split("企业微信里现在的菜单")[1]


def test_no_menu_is_published_that_would_lead_nowhere(corp: Corp, page: Client) -> None:
    WecomApp.objects.update(app_url="")
    answer = page.post(reverse("wechat:config-menu"), {"app": corp.app.pk}, follow=True)
    assert "请先填写微信端地址" in said(answer)
    assert corp.calls("menu/create") == 0


@pytest.mark.parametrize(("name", "length"), [("token", 32), ("encoding_aes_key", 43), ("api_token", 40)])
def test_a_generated_secret_is_shown_to_be_copied_until_it_is_saved(
    app: WecomApp, page: Client, name: str, length: int
) -> None:
    url, mine = reverse("wechat:config"), {"app_url": app.app_url, "corp_id": app.corp_id, "agent_id": app.agent_id}
    shown = page.post(url, {**mine, "generate": name})
    made = shown.context["form"][name].value()
    assert (len(made), made.isalnum(), made in said(shown)) == (length, True, True)
    assert f'data-copy-from="id_{name}"' in said(shown)
    assert getattr(WecomApp.objects.get(), name) == getattr(app, name)
    page.post(url, {**mine, name: made})
    assert getattr(WecomApp.objects.get(), name) == made
    shown = page.get(url)
    assert made not in said(shown)
    assert "data-copy-from" not in said(shown)


def test_the_export_holds_no_secret_and_can_be_applied(app: WecomApp, page: Client) -> None:
    answer = page.get(reverse("wechat:config-export"))
    text = said(answer)
    assert answer["Content-Disposition"] == 'attachment; filename="wecom.yaml"'
    for secret in (app.secret, app.token, app.encoding_aes_key, app.api_token):
        assert secret not in text
    assert yaml.safe_load(text)["wecom"]["corp_id"] == app.corp_id
    assert document.apply(text, "boss", timezone.now()).changes == []


def test_it_says_until_when_the_old_secrets_are_taken(app: WecomApp, page: Client) -> None:
    url = reverse("wechat:config")
    assert "旧的 Token" not in said(page.get(url))
    configuration.verified(app, timezone.now())
    page.post(
        url, {"token": "FreshToken0123456789", "app_url": app.app_url, "corp_id": app.corp_id, "agent_id": app.agent_id}
    )
    assert "旧的 Token 与 EncodingAESKey 还收到" in said(page.get(url))


def test_an_uploaded_verification_file_is_served_at_the_root(app: WecomApp, page: Client) -> None:
    url = reverse("wechat:config")
    for name, content in (
        ("x.txt", b"abc"),
        ("WW_verify_AbC123.txt", b"<html>not found</html>"),
        ("WW_verify_AbC123.txt", b"\xff\xfe\x00"),
        ("WW_verify_AbC123.txt", b"a" * 257),
    ):
        answer = page.post(url, {"app_url": app.app_url, "verify_upload": SimpleUploadedFile(name, content)})
        assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["verify_upload"])
    assert WecomApp.objects.get().verify_files == []
    upload = SimpleUploadedFile("WW_verify_AbC123.txt", b"AbC123\n")
    assert page.post(url, {"app_url": app.app_url, "verify_upload": upload}).status_code == 302
    served = Client().get("/WW_verify_AbC123.txt")
    assert (served.status_code, served.content) == (200, b"AbC123")
    assert Client().get("/WW_verify_other.txt").status_code == 404

    more = SimpleUploadedFile("WW_verify_second.txt", b"2nd")
    assert page.get(url).context["form"]["verify_name"].value() == "WW_verify_AbC123.txt"
    page.post(url, {"app_url": app.app_url, "verify_name": "WW_verify_AbC123.txt", "verify_upload": more})
    assert [Client().get(f"/WW_verify_{name}.txt").content for name in ("AbC123", "second")] == [b"AbC123", b"2nd"]
    page.post(url, {"app_url": app.app_url, "verify_name": "WW_verify_second.txt"})
    assert [Client().get(f"/WW_verify_{name}.txt").status_code for name in ("AbC123", "second")] == [404, 200]
    refused = page.post(url, {"app_url": app.app_url, "verify_name": "WW_verify_second.txt, ../x"})
    assert (refused.status_code, list(refused.context["form"].errors)) == (422, ["verify_name"])


def test_the_file_of_the_configuration_says_which_verification_files(app: WecomApp) -> None:
    text = "version: 1\nwecom: {name: default, corp_id: wwsecond0123456789, verify_files: [%s]}\n"
    for item, fault in (
        ("{nme: x}", "wecom.verify_files[0].name: is required"),
        ("{name: x.txt}", "wecom.verify_files[0].name: 文件名形如"),
        ("{name: WW_verify_a.txt, content: <html> </html>}", "wecom.verify_files[0].name: 校验文件的内容"),
    ):
        with pytest.raises(document.InvalidConfiguration) as refused:
            document.apply(text % item, "boss", timezone.now())
        assert fault in str(refused.value)
    document.apply(text % "{name: WW_verify_a.txt}, {name: WW_verify_b.txt, content: other}", "boss", timezone.now())
    assert [Client().get(f"/WW_verify_{name}.txt").content for name in "ab"] == [b"a", b"other"]


@pytest.mark.parametrize("name", ["config", "config-export"])
def test_only_admins_come_in(app: WecomApp, operator: Person, name: str) -> None:
    client = Client()
    client.force_login(operator.user)
    assert client.get(reverse(f"wechat:{name}")).status_code == 403
    for action in ("default", "archive", "menu"):
        assert client.post(reverse(f"wechat:config-{action}"), {"app": app.pk}).status_code == 403


@pytest.mark.parametrize("shown", ["default", "运维通知"])
def test_a_test_message_is_sent_by_the_application_that_is_shown(corp: Corp, page: Client, shown: str) -> None:
    second = App(1000009, "second-secret-0123456789", "T" * 32, "k" * 43)
    corp.world.config = replace(corp.world.config, apps=(*corp.world.config.apps, second))
    WecomApp.objects.create(
        name="运维通知", corp_id=corp.app.corp_id, agent_id=1000009, secret=second.secret, api_url=corp.app.api_url
    )
    app = WecomApp.objects.get(name=shown)
    form = said(page.get(reverse("wechat:config"), {"app": app.pk})).split(reverse("wechat:config-test"))[1]
    assert f'name="app" value="{app.pk}"' in form.split("</form>")[0]
    page.post(reverse("wechat:config-test"), {"to": "lisi", "app": app.pk})
    kind = DeliveryKind()
    for pk in kind.due(10, timezone.now()):
        kind.do(pk)
    assert [sent.agent_id for sent in corp.world.sent.values()] == [app.agent_id]
    assert "测试消息" in corp.texts("lisi")[0]
    assert AuditEntry.objects.get(verb="wechat.test_message").data["to"] == "lisi"


MOVED = [
    ("https://qyapi.weixin.qq.com/", {}, True),  # the same server
    ("https://evil.example.com/cgi-bin/", {}, False),
    ("http://qyapi.weixin.qq.com/cgi-bin/", {}, False),
    ("https://evil.example.com/cgi-bin/", {"secret": "typed-again-0123456789"}, True),
    ("https://evil.example.com/cgi-bin/", {"clear": "secret"}, True),
]


@pytest.mark.parametrize(("address", "said_too", "taken"), MOVED)
def test_the_secret_is_sent_to_no_server_that_it_was_not_entered_for(
    app: WecomApp, page: Client, address: str, said_too: dict[str, str], taken: bool
) -> None:
    answer = page.post(reverse("wechat:config"), {**FIELDS, "secret": "", "api_url": address, **said_too})
    assert (answer.status_code, "请重新填写 Secret" in said(answer)) == ((302, False) if taken else (422, True))
    app.refresh_from_db()
    assert (app.api_url == address) is taken


@pytest.mark.parametrize(("secret", "faults"), [("", 1), ("typed-again-0123456789", 0)])
def test_nor_by_the_configuration_file(app: WecomApp, secret: str, faults: int) -> None:
    item = {"name": app.name, "corp_id": app.corp_id, "api_url": "https://evil.example.com/cgi-bin/"}
    given = {"version": 1, "wecom": item | ({"secret": secret} if secret else {})}
    try:
        document.apply(yaml.safe_dump(given), "admin", timezone.now())
        found: list[str] = []
    except document.InvalidConfiguration as refused:
        found = refused.errors
    assert [error.partition(":")[0] for error in found] == ["wecom.secret"] * faults
