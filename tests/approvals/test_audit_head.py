"""The audit chain as its command sees it: the first bad row, and signed heads that show a cut tail."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from fta import audit, signals
from fta.engine.audit_head import AuditHeadKind
from fta.models import AuditEntry
from tests.conftest import on_postgres

pytestmark = pytest.mark.django_db


def entries(number: int) -> None:
    for each in range(number):
        audit.record("lisi", "approval.decide", ("approvals.approval", str(each)), timezone.now(), answer="approve")


def run(*args: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("audit_verify", *args, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def tamper(statement: str, *values: object) -> None:
    """Change rows as somebody with the database's own tools would."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.fixture
def head(tmp_path: Path) -> Path:
    entries(3)
    path = tmp_path / "head.json"
    assert run("--write-head", str(path))[0] == 0
    return path


def test_it_names_the_first_bad_row() -> None:
    entries(4)
    second = AuditEntry.objects.order_by("id")[1]
    tamper("UPDATE fta_auditentry SET actor = 'wangwu' WHERE id >= %s", second.pk)
    code, said = run()
    assert code == 1
    assert f"broken at entry {second.pk}: approval.decide" in said


def test_it_names_the_row_behind_a_hole() -> None:
    entries(4)
    first, second, third, _last = AuditEntry.objects.order_by("id")
    tamper("DELETE FROM fta_auditentry WHERE id = %s", second.pk)
    assert f"broken at entry {third.pk}" in run()[1]
    assert first.pk < second.pk


def test_it_finds_a_kept_head_in_a_chain_that_grew(head: Path) -> None:
    kept = json.loads(head.read_text())
    assert (kept["head"], kept["count"]) == (audit.head(), 3)
    entries(2)
    assert run("--head-file", str(head)) == (0, f"ok: 5 entries, head {audit.head()}\n")
    assert run("--write-head", str(head))[0] == 0
    assert json.loads(head.read_text())["count"] == 5


def test_it_sees_a_cut_tail(head: Path) -> None:
    last = AuditEntry.objects.latest("id")
    tamper("DELETE FROM fta_auditentry WHERE id = %s", last.pk)
    assert run()[0] == 0  # what is left is a chain
    entries(1)  # and it may even have grown again
    before = head.read_text()
    for option in ("--head-file", "--write-head"):  # an old head is never replaced by one that hides the cut
        code, said = run(option, str(head))
        assert code == 1
        assert "cut off" in said
    assert head.read_text() == before


def test_it_sees_rows_that_were_taken_out_before_the_head(head: Path) -> None:
    first = AuditEntry.objects.earliest("id")
    tamper("DELETE FROM fta_auditentry WHERE id = %s", first.pk)
    with pytest.raises(audit.HeadRefused):
        audit.check_head(audit.Head.read(head.read_text()))


@pytest.mark.parametrize(
    "change", [{"count": 2}, {"head": "0" * 64}, {"at": "2020-01-01"}, {"hmac": "0" * 64}, {"database": ""}]
)
def test_it_believes_no_head_that_it_did_not_sign(head: Path, change: dict[str, object]) -> None:
    head.write_text(json.dumps({**json.loads(head.read_text()), **change}))
    code, said = run("--head-file", str(head))
    assert code == 1
    assert "signature does not hold" in said


def test_it_takes_a_head_of_an_earlier_key(head: Path, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-signing-key-0123456789-0123456789-0123456789"
    assert run("--head-file", str(head))[0] == 0
    settings.SECRET_KEY_FALLBACKS = []
    assert run("--head-file", str(head))[0] == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"head": 1}', "\u2028"])
def test_it_says_what_is_no_head(tmp_path: Path, text: str) -> None:
    path = tmp_path / "head.json"
    path.write_text(text)
    assert "no head of an audit chain" in run("--head-file", str(path))[1]


def test_it_says_when_a_file_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Unable to read"):
        call_command("audit_verify", "--head-file", str(tmp_path / "none.json"))
    with pytest.raises(CommandError, match="Unable to write"):
        call_command("audit_verify", "--write-head", str(tmp_path / "no" / "head.json"))


def test_it_keeps_the_head_of_an_empty_chain(tmp_path: Path) -> None:
    path = tmp_path / "head.json"
    assert run("--write-head", str(path))[0] == 0
    entries(1)
    assert run("--head-file", str(path))[0] == 0


# --- the head that the engine keeps ---


@pytest.fixture
def kept(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "kept.json"
    settings.FTA_AUDIT_HEAD = str(path)
    return path


def test_it_keeps_a_head_by_itself_every_ten_minutes(kept: Path) -> None:
    kind, now = AuditHeadKind(), timezone.now()
    entries(2)
    (turn,) = kind.due(10, now)
    kind.do(turn)
    assert json.loads(kept.read_text())["count"] == 2
    assert kind.due(10, now) == []

    entries(1)
    kind.do(turn)  # rung for twice
    assert json.loads(kept.read_text())["count"] == 2
    assert kind.due(10, now + timedelta(minutes=10)) == [turn + 1]
    kind.do(turn + 1)
    assert json.loads(kept.read_text())["count"] == 3


def test_it_tells_of_a_cut_tail_and_keeps_the_proof(kept: Path) -> None:
    entries(3)
    AuditHeadKind().do(1)
    proof = kept.read_text()
    tamper("DELETE FROM fta_auditentry WHERE id = %s", AuditEntry.objects.latest("id").pk)
    heard: list[str] = []

    def hear(text: str, subject: str, **rest: Any) -> None:
        heard.append(f"{subject}: {text}")

    signals.system_fault.connect(hear)
    AuditHeadKind().do(2)

    assert len(heard) == 1
    assert heard[0].startswith("audit: 审计记录与")
    assert "cut off" in heard[0]
    assert kept.read_text() == proof
    code, said = run()  # the command looks at the head that is kept, without being told
    assert (code, "cut off" in said) == (1, True)


def test_it_tells_when_it_cannot_keep_a_head(kept: Path, settings: Any) -> None:
    settings.FTA_AUDIT_HEAD = str(kept / "no" / "where")
    heard: list[str] = []

    def hear(text: str, **rest: Any) -> None:
        heard.append(text)

    signals.system_fault.connect(hear)
    AuditHeadKind().do(1)
    assert "无法写入审计链尾" in heard[0]


def test_it_keeps_none_where_none_is_wanted(settings: Any) -> None:
    settings.FTA_AUDIT_HEAD = ""
    assert AuditHeadKind().due(10, timezone.now()) == []


# --- another database where the head was kept ---


def another_database() -> None:
    """Have a fresh database in place of the present one; on PostgreSQL that has a number of its own, whatever its rows are."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM fta_auditentry")
    entries(2)


@pytest.fixture
def number(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give databases numbers, as PostgreSQL does; the test says which is the present one."""
    present = ["7300000000000000001/16384"]
    monkeypatch.setattr(audit, "_database", lambda: present[0])
    return present


def test_a_new_database_in_its_place_is_no_cut_and_does_not_go_unseen(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries(3)
    AuditHeadKind().do(1)
    proof = kept.read_text()
    another_database()
    if on_postgres():
        monkeypatch.setattr(audit, "_database", lambda: "7300000000000000009/16384")
    heard: list[str] = []

    def hear(text: str, **rest: Any) -> None:
        heard.append(text)

    signals.system_fault.connect(hear)
    code, said = run()
    assert (code, "head of another database, which had 3 entries" in said) == (0, True)
    assert run("--head-file", str(kept))[0] == 1, "a head that a person names must be in the chain"
    assert run("--write-head", str(kept))[0] == 1, "nor is one replaced by hand"

    AuditHeadKind().do(2)
    AuditHeadKind().do(3)
    (told,) = heard
    entry = AuditEntry.objects.get(verb="audit.begin_head")
    aside = kept.with_name(entry.data["kept"])
    assert told.startswith("数据库换过")
    assert aside.name in told
    assert aside.read_text() == proof
    assert json.loads(kept.read_text())["count"] == 3
    assert run() == (0, f"ok: 3 entries, head {audit.head()}\n")


def test_no_writer_of_rows_passes_a_cut_off_as_another_database(kept: Path, number: list[str]) -> None:
    entries(3)
    AuditHeadKind().do(1)
    proof = kept.read_text()
    another_database()  # all rows are others, but the database is the same
    code, said = run()
    assert (code, "cut off" in said) == (1, True)
    AuditHeadKind().do(2)
    assert kept.read_text() == proof
    assert list(kept.parent.iterdir()) == [kept]


def test_a_database_that_was_restored_elsewhere_goes_on(kept: Path, number: list[str]) -> None:
    entries(3)
    AuditHeadKind().do(1)
    number[0] = "7300000000000000002/16384"
    entries(1)
    AuditHeadKind().do(2)
    assert json.loads(kept.read_text())["database"] == number[0]
    assert run()[0] == 0


def test_a_head_of_an_earlier_version_is_one_of_this_database(kept: Path, number: list[str]) -> None:
    number[0] = ""
    entries(3)
    AuditHeadKind().do(1)
    plain = json.loads(kept.read_text())
    plain.pop("database")
    kept.write_text(json.dumps(plain))
    assert run()[0] == 0
    number[0] = "7300000000000000001/16384"
    tamper("DELETE FROM fta_auditentry WHERE id = %s", AuditEntry.objects.latest("id").pk)
    assert "cut off" in run()[1]
