"""The WeCom configuration page: a wrong key, a fresh token, a test message and the menu."""

import dataclasses
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.database import AES_KEY, SECRETS
from tests.e2e.conftest import DESKTOP, Contexts, Watch
from tests.stage import Stage

pytestmark = pytest.mark.browser


@pytest.fixture
def page(contexts: Contexts, portal: Stage, admin_state: object) -> Iterator[Page]:
    """Open the page as the administrator; afterwards both sides have the old token again."""
    opened = contexts(viewport=DESKTOP, storage_state=admin_state).new_page()
    before = portal.world.config
    opened.goto(f"{portal.base}/doc/wechat_config/")
    yield opened
    portal.world.config = before
    opened.goto(f"{portal.base}/doc/wechat_config/")
    opened.get_by_label("Token", exact=True).fill(SECRETS["WECOM_TOKEN"])
    _save(opened)


def _save(page: Page) -> None:
    page.get_by_role("button", name="保存并诊断").click()
    expect(page.locator("main")).to_contain_text("已保存。")


def _paste_token(stage: Stage, token: str) -> None:
    """Do what the administrator does in WeCom's console: paste the new token and have the address checked."""
    (app,) = stage.world.config.apps
    stage.world.config = dataclasses.replace(stage.world.config, apps=(dataclasses.replace(app, token=token),))


def test_it_refuses_a_wrong_key_on_its_field(page: Page, watch: Watch) -> None:
    watch.expected = ("422",)
    field = page.get_by_label("EncodingAESKey", exact=True)
    field.fill(AES_KEY[:-1])

    page.get_by_role("button", name="保存并诊断").click()

    row = page.locator(".f-frow").filter(has=field)
    expect(row.locator(".f-err")).to_contain_text("43")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("main")).not_to_contain_text("已保存。")


def test_it_takes_a_generated_token_and_reaches_the_phone(portal: Stage, page: Page, contexts: Contexts) -> None:
    field = page.get_by_label("Token", exact=True)
    page.locator("button[name=generate][value=token]").click()
    expect(field).not_to_have_value("")
    token = field.input_value()
    expect(page.locator("[data-copy-from=id_token]")).to_be_visible()
    assert token != SECRETS["WECOM_TOKEN"]
    assert token.isalnum()
    _save(page)
    expect(page.locator("main")).not_to_contain_text(token)

    _paste_token(portal, token)
    phone = contexts(viewport=DESKTOP).new_page()
    phone.goto(f"{portal.wecom}/?member=wangwu")
    phone.get_by_role("button", name="校验回调 URL").click()
    expect(phone.locator("#calls tr").first).to_contain_text("✓")

    page.get_by_label("接收测试消息的企业微信账号").fill("wangwu")
    page.get_by_role("button", name="发测试消息").click()
    expect(page.locator("main")).to_contain_text("测试消息已交给投递")
    expect(phone.get_by_label("会话", exact=True)).to_contain_text("测试消息，由 admin 发出")
    page.goto(f"{portal.base}/notify/deliveries/")
    row = page.locator("tbody tr").filter(has_text="wangwu").first
    expect(row).to_contain_text("已送达")
    page.goto(f"{portal.base}/doc/wechat_config/")

    portal.world.menus.clear()
    phone.reload()
    expect(phone.get_by_role("button", name="审批列表")).to_have_count(0)
    page.get_by_role("button", name="发布菜单").click()
    expect(page.locator("main")).to_contain_text("菜单已发布")
    phone.reload()
    expect(phone.get_by_role("button", name="审批列表")).to_be_visible()


def test_it_diagnoses_and_says_what_to_do(portal: Stage, page: Page) -> None:
    portal.world.config = dataclasses.replace(portal.world.config, trusted_ips=("127.0.0.2",))
    page.goto(f"{portal.base}/doc/wechat_config/?diagnose=1")
    checks = page.locator(".f-checks > li")
    expect(checks).to_have_count(10)
    refused = checks.filter(has_text="本机出口 IP 可信")
    expect(refused).to_contain_text("企业微信看到的地址是 127.0.0.1")
    expect(refused).to_contain_text("企业可信 IP")
    expect(refused.locator("[data-copy]")).to_have_attribute("data-copy", "127.0.0.1")
    expect(refused).to_have_class("is-failed")

    portal.world.config = dataclasses.replace(portal.world.config, trusted_ips=())  # it was entered in WeCom
    page.get_by_role("link", name="重新诊断").click()
    expect(refused).to_have_class("is-ok")
