"""The journal of scripts on this machine: at most one start of an entry, and what becomes of a script without its worker."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.healing.runners.journal import CALL, OPEN, Entry, Foreign, Journal, Refused, Report
from fta.healing.runners.targets import Local
from fta.lib import ssh
from tests.fta.runners.conftest import STEP_KEY, context, gone, run

pytestmark = pytest.mark.usefixtures("var_dir")

FILES = {"script": b"", "input": b"{}", "command": b"/bin/sh\n"}
SHELLS = [["/bin/sh"], ["/bin/bash", "--posix"], ["/bin/busybox", "sh"]]


class Begun:
    """Where the row of a step says that its script is to be looked up."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, journal: str) -> bool:
        self.text = journal
        return True


def resume(begun: Begun, **given: Any) -> Outcome:
    """Look up what another worker has begun."""
    ctx = context("script", {"script": "echo never run by this"}, **given)
    ctx.step.journal = begun.text
    return RUNNERS["script"].resume(ctx)


def until_there(path: Path) -> None:
    until = time.monotonic() + 10
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)


def opened(name: str = "one") -> tuple[Journal, Entry]:
    journal = Journal(Local())
    return journal, journal.open(name)


def start(journal: Journal, entry: Entry, script: str, seconds: int = 20) -> Report:
    return journal.start(entry, seconds, {**FILES, "script": script.encode()})


def settled(journal: Journal, entry: Entry, report: Report) -> Report:
    """Return the report of the end."""
    while report.word in OPEN:
        report = journal.read(entry, 0)
    return report


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[0]).name)
def test_every_shell_keeps_it(shell: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not Path(shell[0]).exists():
        pytest.skip(f"no {shell[0]}")
    call = Local.call
    monkeypatch.setattr(Local, "call", lambda self, command, *more: call(self, [*shell, *command[1:]], *more))
    journal, entry = opened()
    report = settled(journal, entry, start(journal, entry, "echo a; cat; exit 3"))
    assert (report.word, report.code, report.head, report.total) == ("ended", 3, b"a\n{}", 4)
    assert journal.read(entry, 2).head == b"{}"
    entry = Entry(entry.journal, "two")
    assert start(journal, entry, f"echo b; echo $$ >{tmp_path}/pid; sleep 60").word in OPEN
    until_there(tmp_path / "pid")
    report = settled(journal, entry, journal.stop(entry, 2))
    assert (report.word, journal.read(entry, 0).head) == ("stopped", b"b\n")
    assert gone(int((tmp_path / "pid").read_text()))
    entry = Entry(entry.journal, "three")
    flood = settled(journal, entry, start(journal, entry, "head -c 400000 /dev/zero"))
    assert (flood.word, flood.total, len(flood.tail) + len(flood.head) < 330_000) == ("ended", 400_000, True)


def test_two_workers_at_once_start_one_script(tmp_path: Path) -> None:
    params = {"script": f"echo run >> {tmp_path}/runs; sleep 0.3"}
    outcomes: list[str] = []
    workers = [threading.Thread(target=lambda: outcomes.append(run("script", params).state)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "runs").read_text() == "run\n"
    assert outcomes == ["succeeded"] * 4


def test_what_lasts_is_that_it_ran_and_how_it_ended(tmp_path: Path, var_dir: Path) -> None:
    params = {"script": f"echo run >> {tmp_path}/runs; echo said; exit 4", "arguments": {"a": "secret-like"}}
    first, second = run("script", params), run("script", params)
    assert (first.state, first.output, second.state, second.result) == ("failed", "said\n", "failed", {"exit_code": 4})
    assert (tmp_path / "runs").read_text() == "run\n"
    home = var_dir / "journal" / f"{STEP_KEY}.3"
    assert {path.name for path in home.iterdir()} == {"go", "rc"}
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_lost_lease_leaves_the_script_alone_and_another_worker_reads_it(tmp_path: Path) -> None:
    begun, lost = Begun(), threading.Event()
    wait = f"while [ ! -e {tmp_path}/gate ]; do sleep 0.05; done"
    script = f"echo run >> {tmp_path}/runs; echo begun; {wait}; echo done; exit 7"
    ghost = run("script", {"script": script}, lost=lost, begun=begun, show=lambda text: lost.set())
    assert (ghost.state, ghost.outcome) == ("unknown", "lost")
    (tmp_path / "gate").touch()
    outcome = resume(begun)
    assert (outcome.state, outcome.result, outcome.output.endswith("done\n")) == ("failed", {"exit_code": 7}, True)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_the_result_is_there_although_the_worker_was_killed(tmp_path: Path) -> None:
    """A worker in a process of its own is killed while its script runs; the script ends and is read by another."""
    begun = Begun()

    def write_down(journal: str) -> bool:
        (tmp_path / "begun").write_text(journal)
        return True

    worker = os.fork()
    if worker == 0:
        try:
            run("script", {"script": f"echo run >> {tmp_path}/runs; sleep 0.5; echo done"}, begun=write_down)
        finally:
            os._exit(0)
    until_there(tmp_path / "runs")
    os.kill(worker, 9)
    os.waitpid(worker, 0)
    begun.text = (tmp_path / "begun").read_text()
    outcome = resume(begun)
    assert (outcome.state, (tmp_path / "runs").read_text()) == ("succeeded", "run\n")


def test_nobody_starts_what_the_row_of_the_step_does_not_know(tmp_path: Path) -> None:
    outcome = run("script", {"script": f"touch {tmp_path}/ran"}, begun=lambda journal: False)
    assert (outcome.state, outcome.outcome) == ("unknown", "lost")
    assert not (tmp_path / "ran").exists()


def test_an_entry_that_was_asked_for_before_it_began_never_begins(tmp_path: Path) -> None:
    """The worker was paused between writing down its entry and starting it; another one asks; then the first wakes."""
    begun = Begun()

    def overtaken(journal: str) -> bool:
        begun(journal)
        assert Journal(Local()).ask(Entry.parse(journal), 0).word == "never"
        assert (asked := resume(begun)).outcome == "never"
        assert (asked.state, asked.retryable) == ("failed", True)
        return True

    outcome = run("script", {"script": f"touch {tmp_path}/ran"}, begun=overtaken)
    assert (outcome.state, outcome.outcome) == ("failed", "never")
    assert not (tmp_path / "ran").exists()


def test_a_keeper_that_comes_behind_the_question_starts_nothing(tmp_path: Path, var_dir: Path) -> None:
    """The entry was made; before its keeper came up, somebody asked and was told that it will not begin."""
    journal, entry = opened()
    assert journal.ask(entry, 0).word == "never"
    home = var_dir / "journal" / "one"
    for name, content in {**FILES, "script": f"touch {tmp_path}/ran".encode()}.items():
        (home / name).write_bytes(content)
    (home / "env").mkdir()
    Local().call(["setsid", *CALL, Local().root, "keep", entry.journal, "one", "5"], b"", 10)
    assert journal.read(entry, 0).word == "never"
    assert not (tmp_path / "ran").exists()


def test_another_journal_says_nothing(var_dir: Path) -> None:
    journal, entry = opened()
    start(journal, entry, "echo ran")
    (var_dir / "journal").rename(var_dir / "away")
    journal.open("two")
    with pytest.raises(Foreign):
        journal.ask(entry, 0)
    begun = Begun()
    begun(str(entry))
    assert resume(begun).state == "unknown"


def test_a_script_whose_keeper_is_gone_is_lost_and_not_run_again(tmp_path: Path, var_dir: Path) -> None:
    journal, entry = opened()
    start(journal, entry, f"echo $$ >{tmp_path}/pid; sleep 60")
    until_there(tmp_path / "pid")
    keeper, boot, ticks = (var_dir / "journal" / "one" / "go").read_text().split()
    os.kill(int(keeper), 9)
    assert gone(int(keeper))
    assert journal.read(entry, 0).word == "lost"
    begun = Begun()
    begun(str(entry))
    assert resume(begun).state == "unknown"
    os.kill(int((tmp_path / "pid").read_text()), 9)
    # A process that has the number since, or the same number before a restart of the machine, is not the keeper.
    for other in (f"{os.getpid()} {boot} {ticks}", f"{os.getpid()} another-boot {_ticks(os.getpid())}"):
        (var_dir / "journal" / "one" / "go").write_text(other)
        assert journal.read(entry, 0).word == "lost"


def _ticks(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_an_upload_that_breaks_off_starts_nothing_and_takes_no_place(tmp_path: Path, var_dir: Path) -> None:
    journal, entry = opened()
    call = Local.call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "call", lambda self, command, given, seconds: call(self, command, given[:-5], seconds))
        with pytest.raises(Refused):
            start(journal, entry, f"touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()
    assert [path.name for path in (var_dir / "journal").iterdir()] == ["id"]
    assert settled(journal, entry, start(journal, entry, "echo ran")).head == b"ran\n"


def test_a_folder_that_cannot_be_written_starts_nothing(var_dir: Path) -> None:
    (var_dir / "journal").write_text("in the way")
    with pytest.raises(Refused):
        opened()
    outcome = run("script", {"script": "echo ran"})
    assert (outcome.state, outcome.outcome, outcome.retryable) == ("failed", "not_sent", True)


def test_old_entries_go_and_young_ones_stay(var_dir: Path) -> None:
    opened()
    for days in (29, 31):
        made = var_dir / "journal" / str(days)
        made.mkdir()
        (made / "rc").write_text("ended 0")
        os.utime(made, (time.time() - days * 86400,) * 2)
    opened()
    assert sorted(path.name for path in (var_dir / "journal").iterdir()) == ["29", "id"]


def test_a_broken_answer_to_the_start_is_followed_by_a_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The connection breaks behind the start: the host is asked, and what runs there is followed."""
    call, asked = Local.call, []

    def broken(self: Local, command: Sequence[str], given: bytes, seconds: float) -> bytes:
        verb = command[6]
        asked.append(verb)
        said = call(self, command, given, seconds)
        if verb in ("start", "ask") and asked.count(verb) == 1:
            raise ssh.Interrupted("gone")
        return said

    monkeypatch.setattr(Local, "call", broken)
    monkeypatch.setattr("fta.healing.runners.running._PAUSE", 0.01)
    outcome = run("script", {"script": f"echo run >> {tmp_path}/runs"})
    assert (outcome.state, (tmp_path / "runs").read_text()) == ("succeeded", "run\n")
    assert asked == ["open", "start", "ask", "ask", "close"]


@pytest.mark.parametrize("said", [b"", b"Please change your password\n", b"fta-journal open\n"])
def test_an_answer_that_is_none_starts_nothing(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(Local, "call", lambda *args: said)
    outcome = run("script", {"script": "echo ran"})
    assert (outcome.state, outcome.outcome, outcome.retryable) == ("failed", "not_sent", False)


def test_what_is_secret_is_off_the_disk_before_the_script_begins(var_dir: Path) -> None:
    params = {"script": f"grep -rl s3cret-value {var_dir}/journal; tr '\\0' ' ' </proc/$PPID/cmdline; echo ran"}
    outcome = run("script", {**params, "secrets": ["token"]}, raw_secrets={"token": "s3cret-value-xyz"})
    assert "s3cret" not in outcome.output
    assert "••" not in outcome.output
    assert outcome.output.endswith("ran\n")
