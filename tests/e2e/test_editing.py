"""Packages and rules made on the pages, and the alerts that they heal."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DESKTOP, PHONE, Contexts, keep, sideways
from tests.stage import Stage

pytestmark = pytest.mark.browser


@pytest.fixture
def page(contexts: Contexts, portal: Stage, admin_state: object) -> Page:
    return contexts(viewport=DESKTOP, storage_state=admin_state, base_url=portal.base).new_page()


def _fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        page.locator(f"[name='{name}']").fill(value)


def _begin_package(page: Page, key: str, name: str) -> None:
    page.goto("/packages/")
    page.get_by_role("link", name="新建套餐").first.click()
    _fill(page, key=key, name=name)
    page.locator("[name=risk]").select_option("low")
    page.locator("[name=mode]").select_option("auto")


def _save_package(page: Page) -> None:
    page.get_by_role("button", name="保存为 v1").click()
    expect(page.locator("main")).to_contain_text("已保存，当前是 v1。")


def _add_rule(page: Page, name: str, alert_type: str, package: str) -> None:
    page.goto("/rules/")
    page.get_by_role("link", name="新建规则").first.click()
    _fill(page, name=name, alert_type=alert_type, priority="5")
    page.locator("[name=package]").select_option(label=package)
    page.get_by_role("button", name="保存规则").click()
    expect(page.locator("main")).to_contain_text(name)


def _nodes(page: Page) -> dict[str, str]:
    """Return the state of every node of the graph by its title."""
    found: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('svg.f-flow .f-node')].map("
        "n => [n.querySelector('title').textContent.trim(), [...n.classList].find(c => c.startsWith('is-') && c !== 'is-picked')]))"
    )
    return found


def _node(page: Page, number: int) -> Any:
    return page.locator(f"[data-node='{number}']")


def _add_node(page: Page, kind: str, name: str) -> None:
    """Add a node behind the picked one; its name has the focus then."""
    page.locator("#f-kind").select_option(label=kind)
    page.get_by_role("button", name="加节点").click()
    expect(page.locator("[name^=nodes-][name$='-name']:focus")).to_be_visible()
    page.keyboard.type(name)


def _drag(page: Page, start: Any, end: Any) -> None:
    start.hover()
    page.mouse.down()
    end.hover()
    page.mouse.up()


def _edges(page: Page) -> set[tuple[str, ...]]:
    found = page.locator(".f-wire").evaluate_all(
        "ws => ws.map(w => [w.dataset.source, w.dataset.kind, w.dataset.target])"
    )
    return {tuple(each) for each in found}


def test_it_heals_with_a_script_written_on_the_page(portal: Stage, page: Page) -> None:
    _begin_package(page, "clean-inode", "清理小文件")
    _node(page, 1).click()
    _fill(
        page,
        **{"nodes-0-name": "清理", "nodes-0-p-script": "#!/bin/sh\necho cleaned by hand", "nodes-0-timeout": "60s"},
    )
    page.locator("[name=nodes-0-policy]").select_option("idempotent")
    expect(page.locator("main")).to_contain_text("检查通过")
    _save_package(page)
    _add_rule(page, "inode 用尽", "inode_full", "清理小文件（clean-inode）")

    alert = portal.post_alert("e2e-inode_full", "inode_full", "127.0.0.12")["alerts"][0]
    run = portal.wait_execution(alert["id"], "succeeded")
    page.goto(f"/executions/{run['id']}/")

    assert run["package"] == "clean-inode"
    assert "cleaned by hand" in run["steps"][0]["output"]
    assert list(_nodes(page).values()) == ["is-succeeded"]
    expect(page.locator(".f-term")).to_contain_text("cleaned by hand")
    expect(page.locator("h1 + .f-state, h1 ~ .f-state").first).to_contain_text("成功")


def test_a_new_user_draws_check_approve_restart_notify_and_it_heals(portal: Stage, page: Page) -> None:
    _begin_package(page, "restart-web", "重启网站")
    _node(page, 1).click()
    page.locator("[name=nodes-0-type]").select_option(label="确认主机不通")
    _fill(page, **{"nodes-0-name": "探测", "nodes-0-p-tcp_port": "9"})
    _add_node(page, "审批", "请示")
    page.locator("[name=nodes-1-p-message]").focus()
    page.keyboard.type("重启 ${i")
    expect(page.get_by_role("listbox").get_by_role("option").first).to_contain_text("故障主机 IP")
    page.keyboard.press("Enter")
    page.keyboard.type(" 上的网站")
    expect(page.locator("[name=nodes-1-p-message]")).to_have_value("重启 ${ip} 上的网站")
    _add_node(page, "HTTP 回调", "重启")
    expect(page.locator("#nodes-2")).to_contain_text("url 应以 http:// 或 https:// 开头")
    _fill(page, **{"nodes-2-p-url": portal.hook.url, "nodes-2-p-body": '{"ip": "${ip}"}'})
    _add_node(page, "通知", "告知")
    _fill(page, **{"nodes-3-p-message": "${ip} 的网站处理完毕"})
    page.get_by_role("checkbox", name="wecom").last.check()
    expect(page.locator("main")).to_contain_text("检查通过")
    assert _edges(page) == {("1", "success", "2"), ("2", "success", "3"), ("3", "success", "4")}

    _node(page, 1).hover()
    _drag(page, _node(page, 1).locator(".f-port[data-kind=failure]"), _node(page, 2).locator(".n-title"))
    expect(page.locator(".f-wire[data-source='1'][data-kind=failure]")).to_have_count(1)
    page.locator(".f-wire[data-source='1'][data-kind=success]").click(force=True)
    page.keyboard.press("Delete")
    expect(page.locator(".f-wire[data-source='1'][data-kind=success]")).to_have_count(0)
    _node(page, 1).press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    drawn = {("1", "failure", "2"), ("1", "success", "4"), ("2", "success", "3"), ("3", "success", "4")}
    expect(page.locator(".f-wire[data-source='1'][data-kind=success]")).to_have_attribute("data-target", "4")
    assert _edges(page) == drawn
    keep(page, "package-editor")
    _save_package(page)
    _add_rule(page, "网站无应答", "web_silent", "重启网站（restart-web）")

    alert = portal.post_alert("e2e-web_silent", "web_silent", "127.0.0.13")["alerts"][0]
    ask = portal.wait(
        lambda: next((t for t in portal.texts("lisi") if "重启 127.0.0.13 上的网站" in t), ""), "lisi to be asked", 30
    )
    answer = re.search(r"TY \d+_\d+", ask)
    assert answer is not None, ask
    portal.say("lisi", answer[0])
    run = portal.wait_execution(alert["id"], "succeeded", "almost_succeeded", "failed")

    assert [(step["name"], step["state"]) for step in run["steps"]] == [
        ("探测", "failed"),
        ("请示", "succeeded"),
        ("重启", "succeeded"),
        ("告知", "succeeded"),
    ]
    assert [call["body"] for call in portal.hook.calls if call["body"]["ip"] == "127.0.0.13"] == [{"ip": "127.0.0.13"}]
    page.goto(f"/executions/{run['id']}/")
    assert _nodes(page) == {"探测": "is-failed", "请示": "is-approved", "重启": "is-succeeded", "告知": "is-succeeded"}
    keep(page, "execution-graph")


def test_it_moves_undoes_and_speaks_yaml(portal: Stage, page: Page) -> None:
    page.goto("/packages/restart-after-approval/edit/")
    _node(page, 4).press("Shift+ArrowDown")
    expect(_node(page, 4)).to_have_attribute("data-row", "1")
    _node(page, 2).press("Delete")
    expect(_node(page, 2)).to_have_count(0)
    expect(page.locator("main")).to_contain_text("从起始节点走不到这个节点")
    page.keyboard.press("Control+z")
    expect(_node(page, 2)).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(_node(page, 4)).to_have_attribute("data-row", "0")
    page.keyboard.press("Control+Shift+Z")
    expect(_node(page, 4)).to_have_attribute("data-row", "1")

    page.get_by_role("link", name="YAML").click()
    text = page.locator("[name=yaml]")
    text.fill(text.input_value().replace("重启审批", "先问一声"))
    page.get_by_role("button", name="应用到图").click()
    expect(_node(page, 2).locator(".n-title")).to_have_text("先问一声")
    expect(_node(page, 4)).to_have_attribute("data-row", "1")


def test_a_phone_edits_the_list(contexts: Contexts, portal: Stage, admin_state: object) -> None:
    page = contexts(viewport=PHONE, storage_state=admin_state, base_url=portal.base).new_page()
    page.goto("/packages/restart-after-approval/edit/")

    expect(page.locator("[name=nodes-1-p-message]")).to_be_visible()
    page.locator("[name=nodes-1-p-message]").fill("${moon}")
    expect(page.locator("#nodes-1")).to_contain_text("未知的变量：${moon}")
    assert not sideways(page)
    keep(page, "package-editor-phone")
