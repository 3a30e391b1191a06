"""Pages that tell, while somebody writes, what it would come to; an edit made while they are asked is not lost."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.conftest import DESKTOP, Contexts, keep
from tests.stage import Stage

pytestmark = pytest.mark.browser


def is_post(request: Request) -> bool:
    return request.method == "POST"


@pytest.fixture
def page(contexts: Contexts, portal: Stage, admin_state: object) -> Page:
    return contexts(viewport=DESKTOP, storage_state=admin_state, base_url=portal.base).new_page()


def hold_first_post(page: Page) -> Callable[[], None]:
    """Keep the page's next POST from the server; return what lets it go."""
    held: list[Route] = []

    def judge(route: Route) -> None:
        if is_post(route.request) and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/new/**", judge)
    return lambda: held[0].continue_()


def write(page: Page, name: str, value: str) -> None:
    page.locator(f"[name={name}]").fill(value)
    page.locator(f"[name={name}]").blur()


def test_it_says_whom_a_policy_would_ask(page: Page, portal: Stage) -> None:
    alert = portal.post_alert("e2e-policy", "host_down", "127.0.0.10")["alerts"][0]["id"]
    page.goto(f"/approvals/policies/new/?alert={alert}")
    asking = page.locator("#f-asking")
    let_go = hold_first_post(page)
    with page.expect_request(is_post):
        write(page, "approvers_0", "admin_wx")
    write(page, "quorum_0", "2")
    let_go()
    expect(asking).to_contain_text("第 1 阶段，须 2 人同意")
    expect(asking).to_contain_text("还差 1 人")
    write(page, "approvers_0", "@operator\nadmin_wx")
    expect(asking).to_contain_text("操作员")
    expect(asking).not_to_contain_text("还差")
    keep(page, "policy-asking")


def test_it_says_what_a_rule_means(page: Page) -> None:
    page.goto("/rules/new/")
    let_go = hold_first_post(page)
    with page.expect_request(is_post):
        write(page, "alert_type", "disk_full")
    write(page, "ip", "127.0.0.0/24")
    let_go()
    expect(page.locator("#f-sentence")).to_contain_text("127.0.0.0/24")
    expect(page.locator("#f-sentence")).to_contain_text("disk_full")


def test_it_shows_a_template_on_a_chosen_alert_as_the_phone_would(page: Page, portal: Stage) -> None:
    alert = portal.post_alert("e2e-template", "template_check", "127.0.0.10")["alerts"][0]["id"]
    page.goto("/notify/templates/new/?from=alertmanager")
    expect(page.locator("[name=body]")).to_have_value(re.compile("告警类型"))
    page.locator("[name=body]").fill("**{{ alert.type }}** {{ alert.target }}\n{{ alert.content }}")
    page.get_by_label("预览用的告警编号").fill(str(alert))
    preview = page.locator("#f-preview")
    page.get_by_label("消息格式").select_option("markdown")  # it follows what is written and chosen
    expect(preview.locator(".is-bold")).to_have_text("template_check")
    expect(preview).to_contain_text("127.0.0.10")
    keep(page, "template-preview")
    page.get_by_label("消息格式").select_option("textcard")
    expect(preview.locator(".is-foot")).to_have_text("详情")
    page.locator("[name=body]").press_sequentially("{{ alert.nothing }}")
    expect(preview.locator(".f-err")).to_contain_text("nothing")


def test_it_picks_members_that_it_finds_in_wecom(page: Page, portal: Stage) -> None:
    page.goto("/notify/channels/new/wecom_app/")
    page.locator("[name=to_user]").fill("wangwu")
    page.get_by_label("姓名或账号").press_sequentially("李四")
    page.get_by_role("button", name=re.compile("李四")).click()
    expect(page.locator("[name=to_user]")).to_have_value("wangwu\nlisi")
    keep(page, "member-picker")
