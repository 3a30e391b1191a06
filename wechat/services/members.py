"""Members from the export of WeCom's address book (管理后台 → 通讯录 → 批量导入/导出): read, compared, taken over as people.

Nobody gets a right by it: a new person has no role and no business until an administrator gives one.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _
from python_calamine import CalamineError, CalamineWorkbook

from fta import audit
from fta.lib.tables import BadFile, read_csv
from fta.models import Person
from wechat.selectors import person_of_userid

MAX_BYTES = 2 * 1024 * 1024
MAX_UNPACKED = 64 * 1024 * 1024  # of a workbook, which is a ZIP archive: a small one may hide a huge sheet
MAX_ROWS = 2000
_HEAD = 20  # rows in which the names of the columns are looked for; notes for the reader stand before them
_USERID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_COLUMNS: Mapping[str, Sequence[str]] = {
    "userid": ("账号", "帐号", "userid"),
    "name": ("姓名", "name"),
    "email": ("企业邮箱", "邮箱", "个人邮箱", "email"),
    "disabled": ("禁用状态", "启用状态"),
}
_OFF = ("禁用", "已禁用", "停用")


@dataclass(frozen=True)
class Row:
    """One member of the file; `state` is new, changed, same or wrong, and `problem` says why it is left out."""

    line: int
    userid: str
    name: str
    email: str
    state: str
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


# What importing would do to a member of this account, name and mail address: the state of the row, and what is wrong.
Judge = Callable[[str, str, str], tuple[str, str]]


def read(name: str, raw: bytes, judge: Judge) -> list[Row]:
    """Return the members of an exported file with what importing would do to each, as told by `judge`. Raises BadFile."""
    if len(raw) > MAX_BYTES:
        raise BadFile(_("文件超过 2 MB，请分成几份。"))
    table = list(_workbook(raw) if name.lower().endswith((".xlsx", ".xls")) else read_csv(raw))
    found = _head(table)
    if found is None:
        raise BadFile(_("没有找到“账号”和“姓名”两列，请用企业微信导出的通讯录，或照此写表头。"))
    start, columns = found
    members = [(number + 1, row) for number, row in enumerate(table) if number > start and any(row)]
    if len(members) > MAX_ROWS:
        raise BadFile(_("一次最多 %(most)d 人，文件里有 %(count)d 人。") % {"most": MAX_ROWS, "count": len(members)})
    return list(_judged(members, columns, judge))


def as_people() -> Judge:
    """Return what tells how importing a member changes the people."""
    people = {person.wecom_userid: person for person in Person.objects.exclude(wecom_userid="").select_related("user")}

    def judge(userid: str, name: str, email: str) -> tuple[str, str]:
        if problem := _problem_of_person(name, email):
            return "wrong", problem
        known = people.get(userid.casefold())
        return "new" if known is None else "changed" if _differs(known, name, email) else "same", ""

    return judge


def as_receivers(accounts: Iterable[str]) -> Judge:
    """Return what tells whether a member is among the accounts; WeCom knows no case in them."""
    known = {account.casefold() for account in accounts}
    return lambda userid, name, email: ("same" if userid.casefold() in known else "new", "")


def _workbook(raw: bytes) -> Iterator[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(each.file_size for each in archive.infolist()) > MAX_UNPACKED:
                raise BadFile(_("文件解开后过大，没有读取。"))
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(raw)).get_sheet_by_index(0)
        rows = sheet.to_python(nrows=MAX_ROWS + _HEAD + 1)
    except (CalamineError, zipfile.BadZipFile, IndexError) as error:
        raise BadFile(_("这不是可以读取的 xlsx 文件。")) from error
    for row in rows:
        yield [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # an account of digits only
    return str(value).strip()


def _head(table: Sequence[Sequence[str]]) -> tuple[int, dict[str, int]] | None:
    """Return the row of the columns' names, and where each column is that we read."""
    for number, row in enumerate(table[:_HEAD]):
        titles = [title.strip("*＊ ").lower() for title in row]
        columns = {
            field: next(titles.index(word) for word in words if word in titles)
            for field, words in _COLUMNS.items()
            if any(word in titles for word in words)
        }
        if {"userid", "name"} <= columns.keys():
            return number, columns
    return None


def _judged(members: Iterable[tuple[int, Sequence[str]]], columns: Mapping[str, int], judge: Judge) -> Iterator[Row]:
    met: dict[str, int] = {}
    for line, row in members:
        value = {field: row[at] if at < len(row) else "" for field, at in columns.items()}
        userid, name, email = value["userid"], value["name"], value.get("email", "")
        state, problem = "wrong", _problem(userid, value.get("disabled", ""))
        if not problem and userid.casefold() in met:
            problem = _("与第 %(line)d 行的账号相同") % {"line": met[userid.casefold()]}
        if not problem:
            state, problem = judge(userid, name, email)
        if not problem:
            met[userid.casefold()] = line
        yield Row(line, userid[:64], name[:64], email[:254], state, problem)


def _problem(userid: str, disabled: str) -> str:
    if not userid:
        return _("没有账号")
    if not _USERID.fullmatch(userid):
        return _("账号只能有字母、数字和 _-.@，以字母或数字开头，最多 64 位")
    return _("在企业微信里已禁用") if disabled in _OFF else ""


def _problem_of_person(name: str, email: str) -> str:
    if not name or len(name) > 64 or any(ord(char) < 32 for char in name):
        return _("姓名为空、超过 64 字或有控制字符")
    try:
        validate_email(email) if email else None
    except ValidationError:
        return _("邮箱写法有误")
    return ""


def _differs(person: Person, name: str, email: str) -> bool:
    return person.name != name or bool(email and person.user.email != email)


@transaction.atomic
def take_over(rows: Iterable[Row], actor: str, now: datetime) -> tuple[int, int]:
    """Make the new members people, and give the others their name and mail address; return how many of each."""
    made = changed = 0
    for row in rows:
        if row.state not in ("new", "changed"):
            continue
        made += person_of_userid(row.userid) is None
        person = person_of_userid(row.userid, create=True)
        if not _differs(person, row.name, row.email):
            continue
        changed += row.state == "changed"
        fields = {"first_name": row.name, "last_name": ""} | ({"email": row.email} if row.email else {})
        User.objects.filter(pk=person.user_id).update(**fields)
    audit.record(actor, "wechat.import_members", ("fta.person", "import"), now, made=made, changed=changed)
    return made, changed
