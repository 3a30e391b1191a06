"""Accounts of a channel from WeCom's address book, on a phone, without a script, below the path of a proxy."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DESKTOP, PHONE, Contexts, Watch, keep, sideways
from tests.stage import Stage

pytestmark = pytest.mark.browser

MEMBERS = "\n".join(
    [
        "姓名,账号,部门,企业邮箱",
        *(f"值班员{number},oncall{number},运维部/值班组,oncall{number}@example.com" for number in range(1, 6)),
        "王小明,wangxm,运维部,",
        "李四,LISI,运维部,",
        "没有账号,,运维部,",
        "账号写法有误,王小明,运维部,",
        "王小明,WANGXM,运维部,",
    ]
)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_it_imports_accounts_without_a_script(
    portal: Stage, contexts: Contexts, watch: Watch, admin_state: Any, size: dict[str, int]
) -> None:
    watch.expected = ("422",)
    page = contexts(storage_state=admin_state, viewport=size, java_script_enabled=False).new_page()
    name = f"通讯录 {size['width']}"
    page.goto(f"{portal.base}/notify/channels/new/wecom_app/")
    page.get_by_label("名称", exact=True).fill(name)
    page.get_by_label("账号", exact=True).fill("lisi")
    keep(page, f"channel_import_new_{size['width']}")
    csv = {"name": "成员.csv", "mimeType": "text/csv", "buffer": MEMBERS.encode()}
    page.get_by_label("通讯录文件").set_input_files(csv)
    page.get_by_role("button", name="读取并预览").click()

    expect(page.get_by_label("账号", exact=True)).to_have_value(
        "\n".join(["lisi", *(f"oncall{n}" for n in range(1, 6)), "wangxm"])
    )
    expect(page.locator("main")).to_contain_text("新增 6，已有 1，不导入 3")
    assert not sideways(page)
    keep(page, f"channel_import_look_{size['width']}")
    page.get_by_role("button", name="保存，加入 6 个账号").click()
    expect(page.locator("main")).to_contain_text("oncall5")

    page.get_by_role("link", name=name).click()
    page.get_by_label("通讯录文件").set_input_files({**csv, "buffer": b"no,table\n"})
    page.get_by_role("button", name="读取并预览").click()
    expect(page.locator("main")).to_contain_text("没有找到“账号”和“姓名”两列")
    keep(page, f"channel_import_wrong_{size['width']}")
