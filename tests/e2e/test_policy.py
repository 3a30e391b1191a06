"""The editor of approval policies, which tells while somebody writes whom it would ask."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DESKTOP, Asked, Contexts, keep
from tests.stage import Stage

pytestmark = pytest.mark.browser


@pytest.fixture
def page(contexts: Contexts, portal: Stage, admin_state: object) -> Page:
    return contexts(viewport=DESKTOP, storage_state=admin_state, base_url=portal.base).new_page()


def test_it_says_whom_a_policy_would_ask_while_it_is_written(page: Page, waiting: Asked) -> None:
    page.goto(f"/approvals/policies/new/?alert={waiting.alert}")
    asking = page.locator("#f-asking")
    page.locator("[name=approvers_0]").fill("admin_wx")
    page.locator("[name=quorum_0]").fill("2")
    page.locator("[name=quorum_0]").blur()
    expect(asking).to_contain_text("第 1 阶段，须 2 人同意")
    expect(asking).to_contain_text("还差 1 人")
    page.locator("[name=approvers_0]").fill("@operator\nadmin_wx")
    page.locator("[name=approvers_0]").blur()
    expect(asking).to_contain_text("操作员")
    expect(asking).not_to_contain_text("还差")
    keep(page, "policy-asking")
