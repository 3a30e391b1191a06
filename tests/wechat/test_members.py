"""Members from an export of WeCom's address book: what is read, what is shown, and what confirming does."""

import io
import re
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from fta.models import AuditEntry, Person
from tests import factories
from wechat.services import members

NOTES = ["填写须知：", "", "", ""]
HEAD = ["姓名", "账号*", "部门", "企业邮箱"]
_SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
_PARTS = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>"
    ),
    "xl/workbook.xml": (
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
        '<sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>"
    ),
}


def workbook(*rows: list[str], **more: bytes) -> bytes:
    """Return a workbook of one sheet; an account of digits is a number in it, as WeCom writes it."""
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = [
            f'<c r="{"ABCDEF"[at]}{number}"><v>{text}</v></c>'
            if text.isdigit()
            else f'<c r="{"ABCDEF"[at]}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
            for at, text in enumerate(row)
        ]
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, content)
        archive.writestr("xl/worksheets/sheet1.xml", _SHEET.format("".join(lines)))
        for extra, raw in more.items():
            archive.writestr(extra, raw)
    return out.getvalue()


@pytest.fixture
def page(admin: Person) -> Client:
    client = Client()
    client.force_login(admin.user)
    return client


def upload(page: Client, name: str, raw: bytes) -> Any:
    return page.post(reverse("wechat:members"), {"file": SimpleUploadedFile(name, raw)})


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_it_imports_what_was_shown(page: Client, operator: Person) -> None:
    raw = workbook(
        NOTES,
        HEAD,
        ["王小明", "wangxm", "运维部", "wangxm@example.com"],
        ["工号账号", "10086", "运维部", ""],
        ["李四新名", "LISI", "运维部", ""],
        ["没有账号", "", "运维部", ""],
    )
    shown = text(upload(page, "成员.xlsx", raw))
    assert "新增 2，更新 1，不变 0，不导入 1" in shown
    assert "没有账号" in shown
    assert Person.objects.filter(wecom_userid="wangxm").count() == 0

    signed = re.search(r'name="rows" value="([^"]+)"', shown)
    assert signed
    answer = page.post(reverse("wechat:members-import"), {"rows": signed[1]}, follow=True)
    assert "新增 2 人，更新 1 人" in text(answer)
    made = Person.objects.get(wecom_userid="wangxm")
    assert (made.name, made.user.email, made.user.groups.count(), made.businesses.count()) == (
        "王小明", "wangxm@example.com", 0, 0
    )  # fmt: skip
    assert not made.user.has_usable_password()
    assert Person.objects.get(wecom_userid="10086").name == "工号账号"
    operator.refresh_from_db()
    assert operator.name == "李四新名"
    assert operator.user.groups.exists()  # what people may do is as it was
    assert AuditEntry.objects.get(verb="wechat.import_members").data == {"made": 2, "changed": 1}
    again = text(upload(page, "成员.xlsx", raw))
    assert "新增 0，更新 0，不变 3，不导入 1" in again


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_it_reads_csv_as_excel_writes_it(page: Client, encoding: str) -> None:
    raw = "姓名,帐号,禁用状态\r\n王小明,wangxm,\r\n赵走,zhaoz,禁用\r\n".encode(encoding)
    shown = text(upload(page, "成员.csv", raw))
    assert "新增 1，更新 0，不变 0，不导入 1" in shown
    assert "在企业微信里已禁用" in shown


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["王小明", "-dash", "", ""], "以字母或数字开头"),
        (["王小明", "王小明", "", ""], "账号只能有字母"),
        (["", "wangxm", "", ""], "姓名为空"),
        (["王小明", "wangxm", "", "no-mail"], "邮箱写法有误"),
        (["另一个", "FIRST", "", ""], "与第 2 行的账号相同"),
    ],
)
def test_it_gives_the_reason_of_each_row(db: None, row: list[str], said: str) -> None:
    raw = "\n".join(",".join(each) for each in (HEAD, ["第一个", "first", "", ""], row)).encode()
    first, second = members.read("a.csv", raw, members.as_people())
    assert (first.state, second.state) == ("new", "wrong")
    assert said in second.problem


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("a.csv", b"a,b\n1,2\n", "没有找到“账号”和“姓名”两列"),
        ("a.csv", b"\xff\xfe\x00\x81", "编码"),
        ("a.csv", "姓名,账号\n\x00,a".encode(), "不是 CSV"),
        ("a.xlsx", b"PK not a workbook", "不是可以读取的 xlsx"),
        ("a.xlsx", b"", "空"),
        ("a.csv", b"x" * (members.MAX_BYTES + 1), "超过 2 MB"),
        ("a.xlsx", workbook(HEAD, bomb=bytes(members.MAX_UNPACKED)), "过大"),
        ("a.csv", ("姓名,账号\n" + "".join(f"n,u{n}\n" for n in range(members.MAX_ROWS + 1))).encode(), "最多 2000 人"),
    ],
)
def test_it_says_why_a_file_cannot_be_read(page: Client, name: str, raw: bytes, said: str) -> None:
    answer = upload(page, name, raw)
    assert answer.status_code == 422
    assert said in text(answer)


def test_it_takes_nothing_that_it_did_not_show(page: Client) -> None:
    answer = page.post(reverse("wechat:members-import"), {"rows": "forged"}, follow=True)
    assert "请重新上传" in text(answer)
    assert not AuditEntry.objects.filter(verb="wechat.import_members").exists()


def test_only_admins_import(operator: Person) -> None:
    client = Client()
    client.force_login(operator.user)
    assert client.get(reverse("wechat:members")).status_code == 403
    assert client.post(reverse("wechat:members-import")).status_code == 403
    assert "导入成员" not in text(client.get(reverse("web:inventory-people")))


def test_two_thousand_are_read(db: None) -> None:
    rows = [["姓名", "账号"], *(["n", f"u{number}"] for number in range(members.MAX_ROWS))]
    factories.person("one", wecom="u1")
    found = members.read("a.csv", "\n".join(",".join(row) for row in rows).encode(), members.as_people())
    assert [row.state for row in found].count("new") == members.MAX_ROWS - 1
