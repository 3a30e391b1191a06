"""The ten checks of the set-up: on the page and by `manage.py doctor`, each well, and each with what to do when it is not."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals.models import ApprovalAdmin
from fta.management.commands import doctor
from fta.models import Heartbeat, Person
from notify.models import Delivery
from tests import factories
from tests.wechat.conftest import Corp
from wechat import menu
from wechat.models import AccessToken, WecomApp
from wechat.services import diagnosis
from wechat.services.diagnosis import Check, Diagnosis

VERIFY = [{"name": "WW_verify_abc123.txt", "content": "abc123"}]


@pytest.fixture
def well(corp: Corp, operator: Person) -> Corp:
    """A set-up in which nothing is wrong."""
    WecomApp.objects.update(
        app_url="https://fta.example.com/wechat/", verify_files=VERIFY, callback_verified_at=timezone.now()
    )
    corp.app.refresh_from_db()
    menu.publish(corp.app, "boss", timezone.now())
    return corp


def checks(corp: Corp) -> dict[str, Check]:
    corp.app.refresh_from_db()
    return {check.title: check for check in Diagnosis(corp.app, timezone.now()).run()}


def test_all_ten_are_well(well: Corp) -> None:
    found = checks(well)
    assert len(found) == 10
    assert {check.state for check in found.values()} == {"ok"}, found


def _no_address(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="")


def _inner_address(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="http://127.0.0.1/wechat/")


def _wrong_secret(_corp: Corp) -> None:
    WecomApp.objects.update(secret="wrong-secret")
    AccessToken.objects.all().delete()


def _untrusted(corp: Corp) -> None:
    object.__setattr__(corp.world.config, "trusted_ips", ("127.0.0.2",))


def _closed(corp: Corp) -> None:
    corp.world.faults.agent_closed = True


def _nobody(_corp: Corp) -> None:
    Person.objects.update(wecom_userid="")


def _disabled_admin(_corp: Corp) -> None:
    gone = factories.person("gone", wecom="gone")
    ApprovalAdmin.objects.create(person=gone)
    Person.objects.filter(pk=gone.pk).update(active=False)


def _invisible(corp: Corp) -> None:
    factories.person(
        "ghost", "approver", wecom="ghost", businesses=(Person.objects.get(user__username="lisi").businesses.get(),)
    )


def _unverified(_corp: Corp) -> None:
    WecomApp.objects.update(callback_verified_at=None)


def _no_callback_secrets(_corp: Corp) -> None:
    WecomApp.objects.update(token="")


def _no_menu(corp: Corp) -> None:
    corp.world.menus.clear()


def _other_menu(corp: Corp) -> None:
    corp.world.menus[corp.app.agent_id or 0] = [{"type": "view", "name": "别的", "url": "https://x.example/"}]


def _no_file(_corp: Corp) -> None:
    WecomApp.objects.update(verify_files=[])


def _busy(_corp: Corp) -> None:
    now = timezone.now()
    Delivery.objects.create(
        dedup_key="d", kind="wecom_app", event="test", payload={}, last_code="45009", created_at=now, not_before=now
    )


@pytest.mark.parametrize(
    ("spoil", "title", "state", "said"),
    [
        (_no_address, "地址格式可从外网访问", "failed", "以 wechat/ 结尾"),
        (_inner_address, "地址格式可从外网访问", "warning", "内网地址"),
        (_wrong_secret, "取得 access_token", "failed", "Secret"),
        (_untrusted, "本机出口 IP 可信", "failed", "127.0.0.1"),
        (_closed, "应用已启用、可见", "failed", "停用"),
        (_nobody, "审批人存在", "failed", "填写审批管理员"),
        (_disabled_admin, "审批人存在", "failed", "停用"),
        (_invisible, "审批人在可见范围", "failed", "ghost"),
        (_unverified, "回调已验证", "failed", "设置 API 接收"),
        (_no_callback_secrets, "回调已验证", "failed", "EncodingAESKey"),
        (_no_menu, "菜单已发布", "failed", "发布菜单"),
        (_other_menu, "菜单已发布", "failed", "没有审批列表"),
        (_no_file, "域名校验文件可取", "warning", "上传"),
        (_busy, "时钟与额度", "warning", "频率上限"),
    ],
)
def test_each_says_what_is_wrong_and_what_to_do(
    well: Corp, spoil: Callable[[Corp], None], title: str, state: str, said: str
) -> None:
    spoil(well)
    check = checks(well)[title]
    assert check.state == state, check
    assert check.remedy
    assert said in f"{check.detail} {check.remedy} {check.copy}"


def test_a_clock_that_is_wrong_is_seen(well: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    later = timezone.now() + timedelta(minutes=12)
    monkeypatch.setattr(diagnosis.timezone, "now", lambda: later)
    check = checks(well)["时钟与额度"]
    assert (check.state, "时间同步" in check.remedy) == ("failed", True)


def test_the_page_shows_them_with_the_address_that_wecom_saw(well: Corp, admin: Person) -> None:
    _untrusted(well)
    client = Client()
    client.force_login(admin.user)
    page = client.get(reverse("wechat:config"), {"diagnose": 1}).content.decode()
    assert "60020" in page
    assert 'data-copy="127.0.0.1"' in page
    assert "企业可信 IP" in page


def test_the_doctor_says_the_same(well: Corp, settings: Any) -> None:
    settings.DEBUG = True
    now = timezone.now()
    Heartbeat.objects.create(worker="engine:1", role="engine", started_at=now, beat_at=now)
    _unverified(well)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out)
    lines = [line for line in out.getvalue().splitlines() if "wecom default" in line]
    assert len(lines) == 10
    assert [line.split(": ")[0] for line in lines if line.startswith("fail")] == ["fail  wecom default 回调已验证"]
    assert "-> 管理后台 → 应用管理" in out.getvalue()
    assert doctor.OK in lines[-1]
