"""The configuration page: several applications, the menu read back, the export, the overlap of secrets."""

from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.config import document
from fta.models import AuditEntry, Person
from tests.wechat.conftest import Corp
from wechat.models import WecomApp
from wechat.services import configuration

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


def test_the_menu_is_published_and_read_back(corp: Corp, page: Client) -> None:
    answer = page.post(reverse("wechat:config-menu"), {"app": corp.app.pk}, follow=True)
    assert "菜单已发布" in said(answer)
    shown = said(page.get(reverse("wechat:config"), {"diagnose": 1}))
    assert "企业微信里现在的菜单" in shown
    assert "<dt>审批列表</dt>" in shown
    assert "/wechat/todo/" in shown.split("企业微信里现在的菜单")[1]


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
    for name, content, status in (("x.txt", b"abc", 422), ("WW_verify_AbC123.txt", b"AbC123\n", 302)):
        upload = SimpleUploadedFile(name, content)
        answer = page.post(reverse("wechat:config"), {"app_url": app.app_url, "verify_upload": upload})
        assert answer.status_code == status
    served = Client().get("/WW_verify_AbC123.txt")
    assert (served.status_code, served.content.strip()) == (200, b"AbC123")
    assert Client().get("/WW_verify_other.txt").status_code == 404


@pytest.mark.parametrize("name", ["config", "config-export"])
def test_only_admins_come_in(app: WecomApp, operator: Person, name: str) -> None:
    client = Client()
    client.force_login(operator.user)
    assert client.get(reverse(f"wechat:{name}")).status_code == 403
    for action in ("default", "archive", "menu"):
        assert client.post(reverse(f"wechat:config-{action}"), {"app": app.pk}).status_code == 403
