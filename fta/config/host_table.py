"""Hosts from a CSV file: read, compared with the inventory, and written when whoever uploaded it has looked at the result.

A row makes a host or changes the one of its address; a column that the file does not have stays as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta import audit
from fta.config.editing import InvalidEdit
from fta.config.hosts import Keeper, host_ip, host_out
from fta.config.reader import Errors, Reader
from fta.lib.tables import BadFile, read_csv
from fta.models import Business, Host

MAX_BYTES = 1024 * 1024
MAX_ROWS = 1000
_COLUMNS: Mapping[str, Sequence[str]] = {
    "ip": ("ip", "ip地址", "ip 地址", "内网ip"),
    "name": ("名称", "主机名", "name"),
    "business": ("业务", "业务代码", "business"),
    "set": ("集群", "set"),
    "module": ("模块", "module"),
    "operators": ("负责人", "operators"),
    "spare": ("备机", "spare"),
}
_ATTRIBUTE = re.compile(r"(?:属性|attributes)\.(.{1,64})")
_FLAGS = {
    "是": True,
    "yes": True,
    "true": True,
    "1": True,
    "否": False,
    "no": False,
    "false": False,
    "0": False,
    "": False,
}
_NAMES = re.compile(r"[,，;；、|\s]+")
# Of each column one thing can be wrong.
_WRONG = {
    "ip": gettext_lazy("IP 地址写法有误"),
    "name": gettext_lazy("名称超过 128 字"),
    "business": gettext_lazy("业务没有填、不存在，或不由你负责"),
    "set": gettext_lazy("集群超过 128 字"),
    "module": gettext_lazy("模块超过 128 字"),
    "operators": gettext_lazy("负责人里有不认识的账号"),
    "spare": gettext_lazy("备机一列应为“是”或“否”"),
}

Said = tuple[int, dict[str, Any]]  # the line, and what it says in the shape of the configuration file


@dataclass(frozen=True)
class Row:
    """One line of the file; `state` is new, changed, same or wrong, and `problem` says why it is left out."""

    line: int
    said: Mapping[str, Any]
    state: str
    problem: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    host: Host | None = None


def read(raw: bytes) -> tuple[list[Said], list[str]]:
    """Return what each line says, and the titles of columns that nothing is read from. Raises BadFile."""
    if len(raw) > MAX_BYTES:
        raise BadFile(_("文件超过 1 MB，请分成几份。"))
    table = [(line, row) for line, row in enumerate(read_csv(raw), 1) if any(row)]
    titles = table[0][1] if table else []
    columns = [_column(title) for title in titles]
    twice = {title for title, column in zip(titles, columns, strict=True) if column and columns.count(column) > 1}
    if "ip" not in columns:
        raise BadFile(_("第一行应为表头，其中要有“IP”一列。"))
    if twice:
        raise BadFile(_("表头里有重复的列：%s") % "、".join(sorted(twice)))
    if len(table) == 1:
        raise BadFile(_("文件里只有表头，没有主机。"))
    if len(table) - 1 > MAX_ROWS:
        raise BadFile(_("一次最多 %(most)d 台，文件里有 %(count)d 台。") % {"most": MAX_ROWS, "count": len(table) - 1})
    unused = [title for title, column in zip(titles, columns, strict=True) if title and not column]
    return [(line, _said(columns, row)) for line, row in table[1:]], unused


def _column(title: str) -> str:
    """Return the key that a column is for; attributes.<name> for an attribute, "" for a column that we do not read."""
    word = title.strip("*＊ ").lower()
    attribute = _ATTRIBUTE.fullmatch(title.strip())
    return f"attributes.{attribute[1]}" if attribute else next((key for key in _COLUMNS if word in _COLUMNS[key]), "")


def _said(columns: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    cells = {column: row[at] if at < len(row) else "" for at, column in enumerate(columns) if column}
    found: dict[str, Any] = {key: cell for key, cell in cells.items() if "." not in key}
    attributes = {key.partition(".")[2]: cell for key, cell in cells.items() if "." in key}
    if "operators" in found:
        found["operators"] = [name for name in _NAMES.split(cells["operators"]) if name]
    if "spare" in found:
        found["spare"] = _FLAGS.get(cells["spare"].lower(), cells["spare"])
    return found | ({"attributes": attributes} if attributes else {})


def judged(lines: Sequence[Said], keeper: Keeper) -> Iterator[Row]:
    """Yield what writing each line would do, for this keeper and as the inventory is now."""
    addresses = [str(said.get("ip", "")) for _line, said in lines]
    rows = Host.objects.filter(ip__in=[each for each in addresses if host_ip(_reader({"ip": each})[0])])
    known = {row.ip: row for row in rows.select_related("business", "credential").prefetch_related("operators__user")}
    codes = _codes(keeper)
    met: dict[str, int] = {}
    for line, said in lines:
        meant = codes.get(said.get("business", ""), [])
        if len(meant) > 1:
            names = {"name": said["business"], "codes": "、".join(meant)}
            yield Row(line, said, "wrong", _("业务一列的“%(name)s”是几个业务的名称，请改填代码：%(codes)s") % names)
            continue
        said = {**said, "business": meant[0]} if meant else said
        ip = host_ip(_reader(said)[0])
        if ip in met:
            yield Row(line, said, "wrong", _("与第 %(line)d 行的 IP 相同") % {"line": met[ip]})
            continue
        met |= {ip: line} if ip else {}
        yield _judge(line, said, known.get(ip), keeper)


def _codes(keeper: Keeper) -> dict[str, list[str]]:
    """Return the codes that a word in the column of businesses may mean: a code is itself, whatever has it for a name."""
    mine = Business.objects.filter(archived=False)
    mine = mine if keeper.businesses is None else mine.filter(pk__in=keeper.businesses)
    found: dict[str, list[str]] = {}
    for code, name in mine.order_by("code").values_list("code", "name"):
        found.setdefault(name, []).append(code)
    return found | {code: [code] for codes in [*found.values()] for code in codes}


def _judge(line: int, said: Mapping[str, Any], host: Host | None, keeper: Keeper) -> Row:
    if host is not None and not keeper.keeps(host):
        return Row(line, said, "wrong", _("这台主机不由你负责"))
    before = host_out(host) if host and not host.archived else {}
    attributes = {**before.get("attributes", {}), **said.get("attributes", {})}
    whole = {**before, **said, "attributes": {name: value for name, value in attributes.items() if value != ""}}
    reader, errors = _reader(whole)
    ip = host_ip(reader)
    values = keeper.read(reader, host)
    if errors.keys:
        words = [str(_WRONG.get(key, _("%s 写法有误") % key)) for key in dict.fromkeys(errors.keys)]
        return Row(line, said, "wrong", "；".join(words))
    state = "new" if not before else "changed" if _differs(host, values) else "same"
    return Row(line, {**said, "ip": ip}, state, values=values, host=host)


class _Keys(Errors):
    """The keys at which there are faults."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    def add(self, path: str, message: str) -> None:
        super().add(path, message)
        self.keys.append(re.split(r"[.\[]", path.lstrip("."), maxsplit=1)[0])


def _reader(said: Any) -> tuple[Reader, _Keys]:
    errors = _Keys()
    return Reader(said, "", errors), errors


def _differs(host: Host | None, values: Mapping[str, Any]) -> bool:
    plain = {name: value for name, value in values.items() if name != "operators"}
    operators = {person.pk for person in host.operators.all()} if host else set()
    return any(getattr(host, name) != value for name, value in plain.items()) or operators != {
        person.pk for person in values["operators"]
    }


def take_over(lines: Sequence[Said], keeper: Keeper, now: datetime) -> dict[str, int]:
    """Write the lines that are new or changed by now; return how many there are of each state.

    Each host is written by itself: all of them at once would keep every decision and every alert waiting for the audit trail.
    One that somebody else makes or changes at the same moment is counted as wrong.
    """
    counts = dict.fromkeys(("new", "changed", "same", "wrong"), 0)
    for row in judged(lines, keeper):
        state = row.state
        if state in ("new", "changed"):
            try:
                keeper.save(str(row.said["ip"]), row.host, row.values, now)
            except InvalidEdit:
                state = "wrong"
        counts[state] += 1
    audit.record(keeper.name, "host.import", ("fta.host", "import"), now, **counts)
    return counts
