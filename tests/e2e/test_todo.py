"""The todo pages on a phone: in by WeCom's sign-in, the evidence, one answer with a comment, many at once."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PHONE, PREFIX, Asked, Contexts, keep, sideways
from tests.stage import Stage

pytestmark = pytest.mark.browser

Ask = Callable[[], Asked]


@pytest.fixture
def todo(contexts: Contexts, portal: Stage, menu: None) -> Page:
    """Press 审批列表 on lisi's phone and follow where it leads."""
    page = contexts(viewport=PHONE, has_touch=True).new_page()
    page.goto(f"{portal.wecom}/?member=lisi")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="审批列表").click()
    expect(opened.value.get_by_role("heading", name="待审批")).to_be_visible()
    assert opened.value.url.startswith(f"{portal.base}{PREFIX}wechat/todo/")
    return opened.value


def _item(page: Page, asked: Asked) -> Any:
    return page.locator(".m-item").filter(has_text=asked.code)


def test_it_refuses_with_a_comment_after_the_evidence(portal: Stage, ask: Ask, todo: Page) -> None:
    asked = ask()
    todo.reload()
    assert not sideways(todo)

    _item(todo, asked).get_by_role("link").click()

    for words in (
        f"重启 {asked.ip}",
        "为什么",
        "连续 3 次 Ping 不通",
        "同意后会执行",
        portal.hook.url,
        "最近五次",
        "无人回答",
        "计划摘要",
        "决定后不能撤回",
    ):
        expect(todo.locator("body")).to_contain_text(words)
    assert not sideways(todo)
    keep(todo, "todo-detail")
    todo.get_by_label("意见").fill("先看磁盘")
    todo.get_by_role("button", name="驳回").click()

    expect(todo.locator("body")).to_contain_text("已驳回。")
    expect(todo.get_by_role("button", name="同意")).to_have_count(0)
    assert (asked.approval["state"], asked.approval["decided_by"]) == ("refused", "lisi")
    assert "先看磁盘" in asked.approval["comment"]
    portal.wait_execution(asked.alert, "skipped", "failed", "succeeded")
    assert asked.calls() == 0


def test_it_agrees_to_two_at_once_and_leaves_the_third(portal: Stage, ask: Ask, todo: Page) -> None:
    first, second, third = ask(), ask(), ask()
    todo.reload()
    expect(todo.get_by_role("button", name="同意")).to_be_hidden()

    for asked in (first, second):
        _item(todo, asked).get_by_role("checkbox").check()
    expect(todo.locator(".m-foot")).to_contain_text("已选 2 个")
    expect(todo.locator(".m-foot")).to_contain_text("决定后不能撤回")
    assert not sideways(todo)
    keep(todo, "todo-picked")
    todo.get_by_label("意见").fill("都看过了")
    todo.get_by_role("button", name="同意 2 个").click()

    expect(todo.locator("body")).to_contain_text("已同意 2 个。")
    expect(_item(todo, first)).to_have_count(0)
    expect(_item(todo, third)).to_have_count(1)
    for asked in (first, second):
        portal.wait_execution(asked.alert, "succeeded")
    assert (first.calls(), second.calls(), third.calls()) == (1, 1, 0)
    assert [asked.approval["state"] for asked in (first, second, third)] == ["approved", "approved", "pending"]
    assert first.approval["comment"] == "同意（微信审批）：都看过了"


def test_it_shows_what_the_filters_leave(ask: Ask, todo: Page) -> None:
    asked = ask()
    todo.reload()
    todo.get_by_text("筛选", exact=True).click()
    keep(todo, "todo-filters")
    todo.get_by_label("类型").select_option(label="外部审批")
    todo.get_by_role("button", name="查看").click()
    expect(todo.locator("body")).to_contain_text("没有符合的审批")
    todo.get_by_role("link", name="清除").click()
    expect(_item(todo, asked)).to_have_count(1)


def test_it_shows_who_was_first(portal: Stage, ask: Ask, todo: Page) -> None:
    asked = ask()
    todo.reload()
    _item(todo, asked).get_by_role("link").click()
    expect(todo.get_by_role("button", name="同意")).to_be_visible()
    portal.say("admin_wx", f"BH {asked.code}")
    portal.wait(lambda: asked.approval["state"] == "refused", "the administrator's no")

    todo.get_by_role("button", name="同意").click()

    keep(todo, "todo-late")
    expect(todo.locator(".m-block").filter(has_text="结果")).to_contain_text("admin_wx 最先决定")
    expect(todo.get_by_role("button", name="同意")).to_have_count(0)
    assert (asked.approval["state"], asked.approval["decided_by"]) == ("refused", "admin_wx")
    assert asked.calls() == 0
