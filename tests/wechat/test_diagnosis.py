"""The ten checks of the set-up: on the page and by `manage.py doctor`, each well, and each with what to do when it is not."""

import dataclasses
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse, set_script_prefix
from django.utils import timezone

from approvals.models import ApprovalAdmin
from fta.lib import http
from fta.management.commands import doctor
from fta.models import Heartbeat, Person
from notify.models import Delivery
from tests import factories
from tests.wechat.conftest import Corp
from wechat import menu
from wechat.models import AccessToken, WecomApp
from wechat.services.diagnosis import Check
from wechat.simulator.config import Member

VERIFY = [{"name": "WW_verify_abc123.txt", "content": "abc123"}]
OUTSIDE = "https://fta.example.com"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What stands at the portal's outside address: as good as a proxy that hands all on, until a test spoils it."""
    real, spoilt = http.request, dict[str, Any]()

    def request(method: str, url: str, **more: Any) -> http.Response:
        if not url.startswith(OUTSIDE):
            return real(method, url, **more)
        if error := spoilt.get("error"):
            raise error
        answer = Client().get(url.removeprefix(OUTSIDE))
        return http.Response(spoilt.get("status", answer.status_code), {}, spoilt.get("body", answer.content), 0.1)

    monkeypatch.setattr(http, "request", request)
    return spoilt


@pytest.fixture
def well(corp: Corp, operator: Person, proxy: dict[str, Any]) -> Corp:
    """A set-up in which nothing is wrong."""
    WecomApp.objects.update(app_url=f"{OUTSIDE}/wechat/", verify_files=VERIFY, callback_verified_at=timezone.now())
    corp.app.refresh_from_db()
    menu.publish(corp.app, "boss", timezone.now())
    return corp


@pytest.fixture
def checks(admin: Person) -> Callable[[], dict[str, Check]]:
    """Open the page as an administrator and return the checks that it shows, by title."""
    client = Client()
    client.force_login(admin.user)
    url = reverse("wechat:config")

    def look() -> dict[str, Check]:
        answer = client.get(url, {"diagnose": 1})
        text = answer.content.decode()
        found: list[Check] = answer.context["checks"]
        assert all(check.title in text for check in found)
        return {check.title: check for check in found}

    return look


def test_all_ten_are_well(well: Corp, checks: Callable[[], dict[str, Check]]) -> None:
    found = checks()
    assert len(found) == 10
    assert {check.state for check in found.values()} == {"ok"}, found


def _no_address(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="")


def _inner_address(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="http://127.0.0.1/wechat/")


def _bare_name(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="https://fta/wechat/")


def _plain_http(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="http://fta.example.com/wechat/")


def _other_port(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="https://fta.example.com:8443/wechat/")


def _wrong_secret(_corp: Corp) -> None:
    WecomApp.objects.update(secret="wrong-secret")
    AccessToken.objects.all().delete()


def _untrusted(corp: Corp) -> None:
    object.__setattr__(corp.world.config, "trusted_ips", ("127.0.0.2",))


def _closed(corp: Corp) -> None:
    corp.world.faults.agent_closed = True


def _seen_by_nobody(corp: Corp) -> None:
    corp.world.config = dataclasses.replace(
        corp.world.config, members=(), apps=(dataclasses.replace(corp.world.config.apps[0], root_visible=False),)
    )


def _other_agent(_corp: Corp) -> None:
    WecomApp.objects.update(agent_id=1000099)


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


def _not_activated(corp: Corp) -> None:
    corp.world.config = dataclasses.replace(corp.world.config, members=(Member("lisi", "李四", status=4),))


def _unverified(_corp: Corp) -> None:
    WecomApp.objects.update(callback_verified_at=None)


def _no_callback_secrets(_corp: Corp) -> None:
    WecomApp.objects.update(token="")


def _no_menu(corp: Corp) -> None:
    corp.world.menus.clear()


def _other_menu(corp: Corp) -> None:
    corp.world.menus[corp.app.agent_id or 0] = [{"type": "view", "name": "别的", "url": "https://x.example/"}]


def _moved(_corp: Corp) -> None:
    WecomApp.objects.update(app_url="https://new.example.com/wechat/")


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
        (_bare_name, "地址格式可从外网访问", "warning", "内网地址"),
        (_plain_http, "地址格式可从外网访问", "warning", "443"),
        (_other_port, "地址格式可从外网访问", "warning", "443"),
        (_wrong_secret, "取得 access_token", "failed", "Secret"),
        (_untrusted, "本机出口 IP 可信", "failed", "127.0.0.1"),
        (_closed, "应用已启用、可见", "failed", "停用"),
        (_seen_by_nobody, "应用已启用、可见", "failed", "可见范围"),
        (_other_agent, "应用已启用、可见", "failed", "AgentId"),
        (_nobody, "审批人存在", "failed", "填写审批管理员"),
        (_disabled_admin, "审批人存在", "failed", "gone"),
        (_invisible, "审批人在可见范围", "failed", "ghost（不可见）"),
        (_not_activated, "审批人在可见范围", "failed", "lisi（还没有激活企业微信）"),
        (_unverified, "回调已验证", "failed", "设置 API 接收"),
        (_no_callback_secrets, "回调已验证", "failed", "EncodingAESKey"),
        (_no_menu, "菜单已发布", "failed", "发布菜单"),
        (_other_menu, "菜单已发布", "failed", "没有审批列表"),
        (_moved, "菜单已发布", "failed", "https://fta.example.com/wechat/todo/"),
        (_no_file, "域名校验文件可取", "warning", "上传"),
        (_busy, "时钟与额度", "warning", "频率上限"),
    ],
)
def test_each_says_what_is_wrong_and_what_to_do(
    well: Corp,
    checks: Callable[[], dict[str, Check]],
    spoil: Callable[[Corp], None],
    title: str,
    state: str,
    said: str,
) -> None:
    spoil(well)
    check = checks()[title]
    assert check.state == state, check
    assert check.remedy
    assert said in f"{check.detail} {check.remedy} {check.copy}"


@pytest.mark.parametrize(
    ("spoilt", "state", "said"),
    [
        ({"status": 404, "body": b"not found"}, "failed", "404 nginx.conf"),
        ({"status": 302, "body": b""}, "failed", "302 不跳转"),
        ({"body": b"<html>welcome</html>"}, "failed", "200 内容不是上传的文件"),
        ({"error": http.NotSent("连接失败或超时")}, "warning", "连接失败或超时 浏览器"),
    ],
)
def test_the_verification_file_is_fetched_from_the_root_of_the_domain(
    well: Corp,
    proxy: dict[str, Any],
    checks: Callable[[], dict[str, Check]],
    spoilt: dict[str, Any],
    state: str,
    said: str,
) -> None:
    proxy.update(spoilt)
    check = checks()["域名校验文件可取"]
    assert (check.state, check.copy) == (state, f"{OUTSIDE}/WW_verify_abc123.txt")
    assert all(word in f"{check.code} {check.detail} {check.remedy}" for word in said.split())


def test_an_address_without_the_prefix_of_the_portal_is_seen(
    well: Corp, checks: Callable[[], dict[str, Check]]
) -> None:
    set_script_prefix("/o/bk_fta_solution/")  # as the server does with SITE_PREFIX
    try:
        check = checks()["地址格式可从外网访问"]
    finally:
        set_script_prefix("/")
    assert (check.state, check.detail) == ("failed", "/wechat/")
    assert "/o/bk_fta_solution/wechat/ 结尾" in check.remedy


def test_a_clock_that_is_wrong_is_seen(
    well: Corp, checks: Callable[[], dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    well.world.clock = lambda: time.time() + 720
    check = checks()["时钟与额度"]
    assert (check.state, "时间同步" in check.remedy) == ("failed", True)
    assert "与企业微信差 7" in check.detail
    well.world.clock = time.time
    later = timezone.now() + timedelta(seconds=9)
    monkeypatch.setattr(timezone, "now", lambda: later)
    check = checks()["时钟与额度"]
    assert (check.state, "与数据库差 9" in check.detail or "与数据库差 8" in check.detail) == ("failed", True), check


def test_what_wecom_does_not_tell_is_no_verdict_on_the_members(
    well: Corp, checks: Callable[[], dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = http.request

    def request(method: str, url: str, **more: Any) -> http.Response:
        if url.endswith("user/get"):
            return http.Response(200, {}, b'{"errcode": 45009, "errmsg": "api freq out of limit"}', 0.1)
        return real(method, url, **more)

    monkeypatch.setattr(http, "request", request)
    check = checks()["审批人在可见范围"]
    assert (check.state, check.code) == ("warning", "45009")
    assert "lisi" not in check.remedy


def test_one_cause_is_one_red_line(well: Corp, checks: Callable[[], dict[str, Check]]) -> None:
    _untrusted(well)
    assert [check.title for check in checks().values() if check.state == "failed"] == ["本机出口 IP 可信"]


def test_the_page_shows_them_with_the_address_that_wecom_saw(well: Corp, admin: Person) -> None:
    _untrusted(well)
    client = Client()
    client.force_login(admin.user)
    page = client.get(reverse("wechat:config"), {"diagnose": 1}).content.decode()
    assert "60020" in page
    assert 'data-copy="127.0.0.1"' in page
    assert "企业可信 IP" in page


def test_the_doctor_says_the_same(well: Corp, checks: Callable[[], dict[str, Check]], settings: Any) -> None:
    settings.DEBUG = True
    now = timezone.now()
    Heartbeat.objects.create(worker="engine:1", role="engine", started_at=now, beat_at=now)
    _unverified(well)
    _untrusted(well)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out)
    lines = [line for line in out.getvalue().splitlines() if "wecom default" in line]
    words = {"ok": doctor.OK, "warning": doctor.WARN, "failed": doctor.FAIL}
    shown = checks()
    assert [line.split(": ")[0] for line in lines] == [
        f"{words[check.state]:<4}  wecom default {check.title}" for check in shown.values()
    ]
    assert [line[:4] for line in lines].count("fail") == 2
    for check in shown.values():
        assert check.state == "ok" or f"-> {check.remedy}" in out.getvalue()
    assert "127.0.0.1" in out.getvalue()
