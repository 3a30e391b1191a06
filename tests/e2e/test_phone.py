"""Approval on the phone: the reply, the card, and what people are told who may not or came late."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Asked, Phone, keep
from tests.stage import Stage

pytestmark = pytest.mark.browser

Phones = Callable[[str], Phone]
Ask = Callable[[], Asked]


def test_it_acts_once_after_a_reply(portal: Stage, phone: Phones, ask: Ask) -> None:
    asked, lisi = ask(), phone("lisi")
    expect(lisi.chat.get_by_text(f"同意请回复: TY {asked.code}")).to_be_visible()
    expect(lisi.card(asked.ip).get_by_role("button", name="同意")).to_be_enabled()

    lisi.say(f"TY {asked.code}")

    expect(lisi.chat.get_by_text("【故障自愈】审批成功", exact=True).last).to_be_visible()
    portal.wait_execution(asked.alert, "succeeded")
    assert asked.calls() == 1
    assert (asked.approval["state"], asked.approval["decided_by"]) == ("approved", "lisi")
    expect(lisi.card(asked.ip)).to_contain_text("lisi 已在")
    expect(lisi.card(asked.ip).get_by_role("button", name="同意")).to_have_count(0)
    keep(lisi.page, "simulator")


def test_it_takes_the_yes_of_a_card(portal: Stage, phone: Phones, ask: Ask) -> None:
    asked, lisi = ask(), phone("lisi")

    lisi.card(asked.ip).get_by_role("button", name="同意").click()

    portal.wait_execution(asked.alert, "succeeded")
    assert asked.calls() == 1
    assert (asked.approval["state"], asked.approval["decided_by"]) == ("approved", "lisi")
    expect(lisi.card(asked.ip)).to_contain_text("lisi 已在")


def test_it_takes_the_no_of_a_card(portal: Stage, phone: Phones, ask: Ask) -> None:
    asked, lisi = ask(), phone("lisi")

    lisi.card(asked.ip).get_by_role("button", name="驳回").click()

    portal.wait_execution(asked.alert, "skipped", "failed", "succeeded")
    assert asked.calls() == 0
    assert (asked.approval["state"], asked.approval["decided_by"]) == ("refused", "lisi")
    expect(lisi.card(asked.ip)).to_contain_text("lisi 已在")


def test_it_tells_a_stranger_that_the_approval_is_not_theirs(portal: Stage, phone: Phones, ask: Ask) -> None:
    asked, zhaoliu = ask(), phone("zhaoliu")

    zhaoliu.say(f"TY {asked.code}")

    expect(zhaoliu.chat).to_contain_text("审批失败")
    expect(zhaoliu.chat).to_contain_text("审批人")
    assert asked.approval["state"] == "pending"
    assert asked.calls() == 0


def test_it_tells_who_was_first_to_a_late_reply(portal: Stage, phone: Phones, ask: Ask) -> None:
    asked, lisi = ask(), phone("lisi")
    portal.say("admin_wx", f"BH {asked.code} 先看磁盘")
    portal.wait(lambda: asked.approval["state"] == "refused", "the refusal")

    lisi.say(f"TY {asked.code}")

    answer = lisi.chat.locator(".f-msg").filter(has_text="审批失败").filter(has_text=asked.code)
    expect(answer).to_contain_text("admin_wx")
    assert asked.approval["state"] == "refused"
    assert asked.calls() == 0
