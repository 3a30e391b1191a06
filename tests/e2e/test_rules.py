"""The rules in a browser: what a draft would have changed, and their order by drag and by buttons."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DESKTOP, Asked, Contexts, keep
from tests.stage import Stage

pytestmark = pytest.mark.browser


@pytest.fixture
def page(contexts: Contexts, portal: Stage, admin_state: object) -> Page:
    return contexts(viewport=DESKTOP, storage_state=admin_state, base_url=portal.base).new_page()


def test_it_replays_a_draft_and_shows_what_would_differ(page: Page, waiting: Asked) -> None:
    page.goto("/rules/")
    page.get_by_role("link", name="主机不可达").click()
    page.get_by_role("button", name="回测").click()
    report = page.locator("#f-backtest")
    expect(report).to_contain_text("会不同的 0 条", timeout=30_000)
    expect(report).to_contain_text("没有：改后的决定和现行规则一样。")

    page.locator("[name=alert_type]").fill("something_else")
    page.get_by_role("button", name="回测").click()

    row = report.locator("tbody tr").filter(has_text="host_down")
    expect(row.first).to_contain_text("未接入", timeout=30_000)
    expect(report).not_to_contain_text("会不同的 0 条")
    keep(page, "rule-backtest")
    page.goto("/rules/")
    page.get_by_role("link", name="主机不可达").click()
    expect(page.locator("[name=alert_type]")).to_have_value("host_down")  # nothing was saved


def test_it_orders_rules_by_drag_and_by_buttons(page: Page, waiting: Asked) -> None:
    page.goto("/rules/")
    names = page.locator("tbody[data-order] tr a.t")
    before = names.all_inner_texts()
    assert len(before) >= 3

    first, third = page.locator("tbody[data-order] tr").nth(0), page.locator("tbody[data-order] tr").nth(2)
    with page.expect_navigation():
        third.locator(".f-grip").drag_to(first, target_position={"x": 200, "y": 3})
    assert names.all_inner_texts() == [before[2], before[0], before[1], *before[3:]]

    for _ in range(2):
        with page.expect_navigation():
            page.get_by_role("button", name=f"下移「{before[2]}」").click()
    assert names.all_inner_texts() == before
