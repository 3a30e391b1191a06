"""Hosts from CSV: what is read, what is shown, and what confirming does."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from fta.config import host_table
from fta.config.editing import InvalidEdit
from fta.config.hosts import Keeper
from fta.models import AuditEntry, Business, Host, Person
from tests import factories
from tests.fta.web.conftest import Open

LOOK, CONFIRM = "/inventory/hosts/import/", "/inventory/hosts/import/confirm/"
FILE = """IP,主机名,业务,集群,模块,负责人,备机,属性.机房,资产编号
127.0.0.20,web-1,game,一区,web,lisi,是,B3,Z1
127.0.0.10,大厅 1,游戏大区,二区,,lisi；boss,否,,Z2

127.0.0.30,same,game,,,,,,
"""


def upload(browser: Client, text: str | bytes) -> Any:
    raw = text if isinstance(text, bytes) else text.encode()
    return browser.post(LOOK, {"file": SimpleUploadedFile("hosts.csv", raw)})


@pytest.fixture
def stored(game: Business, operator: Person, admin: Person) -> Host:
    factories.host("127.0.0.30", "same", business=game, set_name="", module="")
    return factories.host(
        business=game,
        set_name="旧",
        module="web",
        connection="ssh",
        ssh_user="ops",
        attributes={"机房": "A1", "u": "3"},
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_it_shows_what_it_would_do_and_does_it_when_told(as_operator: Client, stored: Host, encoding: str) -> None:
    page = upload(as_operator, FILE.encode(encoding))
    assert page.status_code == 200
    assert [(row.line, row.state) for row in page.context["rows"]] == [(2, "new"), (3, "changed"), (5, "same")]
    assert page.context["unused"] == ["资产编号"]
    assert (Host.objects.count(), AuditEntry.objects.count()) == (2, 0), "to look writes nothing"

    answer = as_operator.post(CONFIRM, {"rows": page.context["signed"]}, follow=True)

    assert "新增 1 台，更新 1 台" in answer.content.decode()
    made = Host.objects.get(ip="127.0.0.20")
    assert (made.name, made.business_id, made.set_name, made.module) == ("web-1", stored.business_id, "一区", "web")
    assert (made.is_spare, made.attributes, made.connection) == (True, {"机房": "B3"}, "none")
    stored.refresh_from_db()
    assert (stored.name, stored.set_name, stored.module, stored.attributes) == ("大厅 1", "二区", "", {"u": "3"})
    assert {person.user.username for person in stored.operators.all()} == {"lisi", "boss"}
    assert (stored.connection, stored.ssh_user) == ("ssh", "ops"), "a column that is not there stays as it is"
    trail = AuditEntry.objects.order_by("pk")
    assert [entry.verb for entry in trail] == ["host.add", "host.change", "host.import"]
    assert trail[2].data == {"new": 1, "changed": 1, "same": 0, "wrong": 0}


def test_it_names_each_row_that_is_left_out(as_operator: Client, stored: Host, pay: Business) -> None:
    factories.host("127.0.0.40", business=pay)
    rows = {
        "127.0.0.256,,game,,": "IP 地址写法有误",
        ",x,game,,": "IP 地址写法有误",
        "127.0.0.51,,pay,,": "不由你负责",
        "127.0.0.52,,,,": "业务没有填",
        "127.0.0.53,,game,ghost,": "不认识的账号",
        "127.0.0.54,,game,,也许": "“是”或“否”",
        f"127.0.0.55,{'长' * 129},game,,": "超过 128 字",
        "127.0.0.40,,game,,": "这台主机不由你负责",
        "127.0.0.56,,game,,": "",
        "127.0.0.56,二,game,,": "与第 10 行的 IP 相同",
    }
    page = upload(as_operator, "\n".join(["ip,name,business,operators,spare", *rows]))
    assert [row.state for row in page.context["rows"]] == ["new" if not said else "wrong" for said in rows.values()]
    for row, said in zip(page.context["rows"], rows.values(), strict=True):
        assert said in row.problem
    assert "与第 10 行的 IP 相同" in page.content.decode()
    as_operator.post(CONFIRM, {"rows": page.context["signed"]})
    assert set(Host.objects.exclude(business=pay).values_list("ip", flat=True)) == {
        "127.0.0.10", "127.0.0.30", "127.0.0.56",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "空文件"),
        ("名称,业务\na,game".encode(), "要有“IP”一列"),
        (b"ip,IP\n127.0.0.1,127.0.0.2", "重复的列"),
        (b"ip\n", "没有主机"),
        (b"ip\n" + b"127.0.0.1\n" * 1001, "最多 1000 台，文件里有 1001 台"),
        (b"ip\n" + b"x" * 1024 * 1024, "超过 1 MB"),
        (b"ip\n\xff\xfe\x00\x01", "编码"),
        (b"ip\n\x00", "不是 CSV 文本"),
        (b'ip\n"' + b"x" * 200_000, "不是 CSV 文本"),
    ],
)  # fmt: skip
def test_it_refuses_a_file_that_is_no_list_of_hosts(as_operator: Client, raw: bytes, said: str) -> None:
    page = upload(as_operator, raw)
    assert (page.status_code, "signed" in page.context) == (422, False)
    assert said in page.content.decode()


def test_only_who_keeps_hosts_imports_and_rights_are_asked_again(
    browser: Open, viewer: Person, operator: Person, admin: Person, stored: Host
) -> None:
    assert browser(viewer).get(LOOK).status_code == 403
    assert upload(browser(viewer), FILE).status_code == 403
    assert "导入主机" not in browser(viewer).get("/inventory/").content.decode()
    assert "导入主机" in browser(operator).get("/inventory/").content.decode()

    signed = upload(browser(admin), "ip,business\n127.0.0.60,\n").context["signed"]
    assert browser(viewer).post(CONFIRM, {"rows": signed}).status_code == 403
    browser(operator).post(CONFIRM, {"rows": signed})
    browser(operator).post(CONFIRM, {"rows": signed + "x"})
    assert not Host.objects.filter(ip="127.0.0.60").exists()
    browser(admin).post(CONFIRM, {"rows": signed})
    assert Host.objects.get(ip="127.0.0.60").business is None


def test_it_moves_a_host_between_two_businesses_of_one_name(as_operator: Client, admin: Person) -> None:
    first, second = factories.business("web-a", "网站"), factories.business("web-b", "网站")
    host = factories.host("127.0.0.41", "w", business=first)
    keeper = Keeper.of(admin.user)
    counts = host_table.take_over([(2, {"ip": host.ip, "business": second.code})], keeper, timezone.now())
    host.refresh_from_db()
    assert (counts["changed"], host.business) == (1, second)


def test_one_host_that_cannot_be_written_keeps_no_other_back(
    as_operator: Client, stored: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = upload(as_operator, FILE)
    real = Keeper.save

    def taken(keeper: Keeper, ip: str, *rest: Any) -> Any:
        if ip == "127.0.0.20":
            raise InvalidEdit([("ip", "somebody else has just made it")])
        return real(keeper, ip, *rest)

    monkeypatch.setattr(Keeper, "save", taken)
    answer = as_operator.post(CONFIRM, {"rows": page.context["signed"]}, follow=True)
    assert "新增 0 台，更新 1 台。另有 1 台" in answer.content.decode()
    assert set(Host.objects.values_list("ip", flat=True)) == {"127.0.0.10", "127.0.0.30"}


def test_a_code_is_meant_before_a_name_and_a_name_of_several_is_asked_for(
    as_operator: Client, operator: Person
) -> None:
    keeper = Keeper("boss", None)
    other, _twin, _third = (
        factories.business(code, name) for code, name in (("a", "game"), ("b", "双子"), ("c", "双子"))
    )
    file = "IP,业务\n127.0.0.21,game\n127.0.0.22,双子\n127.0.0.23,b\n127.0.0.24,a\n"
    rows = list(host_table.judged(host_table.read(file.encode())[0], keeper))
    assert [(row.state, row.said["business"]) for row in rows] == [
        ("new", "game"), ("wrong", "双子"), ("new", "b"), ("new", "a"),
    ]  # fmt: skip
    assert rows[1].problem == "业务一列的“双子”是几个业务的名称，请改填代码：b、c"
    assert rows[3].values["business"] == other


def test_what_is_stored_for_ssh_stays_with_a_host_that_is_reached_otherwise(game: Business) -> None:
    factories.host("127.0.0.30", "same", business=game, connection="local", ssh_user="ops", ssh_port=2222)
    (row,) = host_table.judged(host_table.read("IP,名称\n127.0.0.30,same\n".encode())[0], Keeper("boss", None))
    assert row.state == "same"
