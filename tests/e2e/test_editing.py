"""A package and a rule made on the pages, and the alert that they heal."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DESKTOP, Contexts, keep
from tests.stage import Stage

pytestmark = pytest.mark.browser


@pytest.fixture
def page(contexts: Contexts, portal: Stage, admin_state: object) -> Page:
    return contexts(viewport=DESKTOP, storage_state=admin_state, base_url=portal.base).new_page()


def _fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        page.locator(f"[name='{name.replace('__', '-')}']").fill(value)


def _begin_package(page: Page, key: str, name: str) -> None:
    page.goto("/packages/")
    page.get_by_role("link", name="新建套餐").first.click()
    _fill(page, key=key, name=name)
    page.locator("[name=risk]").select_option("low")
    page.locator("[name=mode]").select_option("auto")


def _save_package(page: Page) -> None:
    page.get_by_role("button", name="保存成新版本").click()
    expect(page.locator("main")).to_contain_text("已保存，当前是 v1。")


def _add_rule(page: Page, name: str, alert_type: str, package: str) -> None:
    page.goto("/rules/")
    page.get_by_role("link", name="新建规则").first.click()
    _fill(page, name=name, alert_type=alert_type, priority="5")
    page.locator("[name=package]").select_option(label=package)
    page.get_by_role("button", name="保存规则").click()
    expect(page.locator("main")).to_contain_text(name)


def _heal(stage: Stage, page: Page, alert_type: str, ip: str, *states: str) -> dict[str, Any]:
    """Post an alert, wait for its execution and open its page."""
    alert = stage.post_alert(f"e2e-{alert_type}", alert_type, ip)["alerts"][0]
    run = stage.wait_execution(alert["id"], *states)
    page.goto(f"/executions/{run['id']}/")
    return run


def _nodes(page: Page) -> dict[str, str]:
    """Return the state of every node of the graph by its title."""
    found: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('svg.f-flow .f-node')].map("
        "n => [n.querySelector('title').textContent.trim(), [...n.classList].find(c => c.startsWith('is-') && c !== 'is-picked')]))"
    )
    return found


def test_it_heals_with_a_script_written_on_the_page(portal: Stage, page: Page) -> None:
    _begin_package(page, "clean-inode", "清理小文件")
    _fill(
        page,
        **{"nodes-0-name": "清理", "nodes-0-p-script": "#!/bin/sh\necho cleaned by hand", "nodes-0-timeout": "60s"},
    )
    page.locator("[name=nodes-0-policy]").select_option("idempotent")
    _save_package(page)
    _add_rule(page, "inode 用尽", "inode_full", "清理小文件（clean-inode）")

    run = _heal(portal, page, "inode_full", "127.0.0.12", "succeeded")

    assert run["package"] == "clean-inode"
    assert "cleaned by hand" in run["steps"][0]["output"]
    assert list(_nodes(page).values()) == ["is-succeeded"]
    expect(page.locator(".f-term")).to_contain_text("cleaned by hand")
    expect(page.locator("h1 + .f-state, h1 ~ .f-state").first).to_contain_text("成功")


def test_it_takes_the_way_of_failure_through_a_graph(portal: Stage, page: Page) -> None:
    _begin_package(page, "restart-web", "重启网站")
    for _number in (2, 3):
        page.get_by_role("button", name="加一个节点").click()
    scripts = ("echo no answer; exit 3", "echo all well", "echo restarted")
    for at, (name, script) in enumerate(zip(("探测", "收尾", "补救"), scripts, strict=True)):
        _fill(page, **{f"nodes-{at}-name": name, f"nodes-{at}-p-script": f"#!/bin/sh\n{script}"})
    for at in range(3):
        page.locator(f"[name=nodes-{at}-policy]").select_option("idempotent")
    _fill(page, **{"nodes-0-success": "2", "nodes-0-failure": "9"})
    page.get_by_role("button", name="检查").click()
    expect(page.get_by_role("alert").first).to_contain_text("节点 1：指向不存在的节点 9")
    keep(page, "package-wrong")
    _fill(page, **{"nodes-0-failure": "3"})
    page.get_by_role("button", name="检查").click()
    expect(page.locator("main")).to_contain_text("检查通过")
    _save_package(page)
    _add_rule(page, "网站无应答", "web_silent", "重启网站（restart-web）")

    run = _heal(portal, page, "web_silent", "127.0.0.13", "succeeded", "almost_succeeded", "failed")

    steps = {step["name"]: step["state"] for step in run["steps"]}
    assert (steps["探测"], steps["补救"]) == ("failed", "succeeded")
    assert steps.get("收尾", "skipped") == "skipped"
    shown = _nodes(page)
    assert [state for title, state in shown.items() if "探测" in title] == ["is-failed"]
    assert [state for title, state in shown.items() if "补救" in title] == ["is-succeeded"]
    page.locator("svg.f-flow a").filter(has_text="补救").click()
    expect(page.locator("#f-output")).to_contain_text("restarted")
    keep(page, "execution-graph")
