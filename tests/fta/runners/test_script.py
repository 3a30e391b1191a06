"""脚本作业 with real processes."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fta.healing.runners import RUNNERS
from fta.healing.runners.local import OUTPUT_LIMIT
from tests.fta.runners.conftest import LOCAL, STEP_KEY, run
from tests.fta.runners.payloads import HOSTILE

pytestmark = pytest.mark.usefixtures("var_dir")


def journal(var_dir: Path) -> Path:
    return var_dir / "journal" / str(STEP_KEY)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    until = time.monotonic() + 3
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def test_it_runs_a_script_and_keeps_what_it_said() -> None:
    outcome = run("script", {"script": "#!/bin/sh\necho 清理完毕; echo oops >&2"})
    assert (outcome.state, outcome.result, outcome.output) == ("succeeded", {"exit_code": 0}, "清理完毕\noops\n")


def test_a_failing_script_fails_with_its_exit_code() -> None:
    outcome = run("script", {"script": "echo no; exit 3"})
    assert (outcome.state, outcome.result, outcome.retryable) == ("failed", {"exit_code": 3}, False)
    assert "3" in outcome.error


def test_arguments_arrive_on_stdin_and_in_the_environment() -> None:
    script = "#!/usr/bin/env python3\nimport json, os, sys\nprint(json.dumps([json.load(sys.stdin), os.environ['FTA_PARAM_PATH']]))"
    outcome = run(
        "script", {"script": script, "arguments": {"path": "${params.path}", "n": 5}}, {"params.path": "/数据 x"}
    )
    assert json.loads(outcome.output) == [{"path": "/数据 x", "n": 5}, "/数据 x"]


def test_the_interpreter_may_be_told() -> None:
    outcome = run("script", {"script": "#!/bin/false\necho here", "interpreter": "/bin/sh"})
    assert outcome.output == "here\n"


def test_the_environment_holds_nothing_of_the_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary-in-the-environment")
    outcome = run("script", {"script": "env; ls /proc/self/fd"})
    assert "canary" not in outcome.output
    assert "FTA_IDEMPOTENCY_KEY=" in outcome.output


@pytest.mark.parametrize("number", range(0, 60, 6))
def test_hostile_values_stay_data(number: int, tmp_path: Path) -> None:
    """Six payloads a case, in every place that an alert can reach; values that are refused start nothing."""
    canary = tmp_path / "canary"
    script = (
        "#!/bin/sh\nprintf '%s' \"$FTA_PARAM_A\" >/dev/null; echo $FTA_PARAM_B >/dev/null; cat >/dev/null; echo ran"
    )
    for payload in HOSTILE[number : number + 6]:
        value = payload.replace("{canary}", str(canary))
        params = {"script": script, "arguments": {"a": "${labels.a}", "b": "x ${content}"}}
        outcome = run("script", params, {"labels.a": value, "content": value, "ip": "10.9.9.9"}, policy="idempotent")
        assert outcome.output == "ran\n" if outcome.state == "succeeded" else outcome.outcome == "not_sent"
        assert "10.9.9.9" not in outcome.output
    assert len(HOSTILE) == 60
    assert not canary.exists()


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "-rf", "--help", "x" * 257, "\u2028", "\ud800"])
def test_it_refuses_a_value_that_could_do_harm_by_its_form(value: str, var_dir: Path) -> None:
    outcome = run("script", {"script": "echo ran", "arguments": {"a": "${content}"}}, {"content": value})
    assert (outcome.state, outcome.outcome, outcome.output) == ("failed", "not_sent", "")
    assert not journal(var_dir).exists()


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"script": ""},
        {"script": "x" * 70_000},
        {"script": "x", "interpreter": "sh"},
        {"script": "x", "interpreter": "/bin/sh -c"},
        {"script": "x", "arguments": {"Bad": "1"}},
        {"script": "x", "arguments": {"a;b": "1"}},
        {"script": "x", "arguments": {"a": "-x"}},
        {"script": "x", "arguments": {"a": ["x"]}},
        {"script": "x", "arguments": ["a"]},
        {"script": "x", "arguments": {"a": "1"}, "secrets": ["a"]},
        {"script": "x", "secrets": "a"},
        {"script": "x", "shell": True},
    ],
)
def test_it_names_what_is_wrong_with_a_node(params: Any) -> None:
    assert RUNNERS["script"].validate(params)


def test_the_text_of_the_script_is_never_rendered() -> None:
    params = {"script": "x=mine; echo ${x}${ip}."}
    assert RUNNERS["script"].names(params) == set()
    assert run("script", params, {"ip": "10.0.0.1", "x": "theirs"}).output == "mine.\n"


def test_secrets_reach_the_script_and_not_the_output() -> None:
    params = {"script": 'echo "$FTA_PARAM_TOKEN" | tr a-z A-Z; echo "$FTA_PARAM_TOKEN"', "secrets": ["token"]}
    outcome = run("script", params, raw_secrets={"token": "s3cret-value-xyz"})
    assert outcome.output == "S3CRET-VALUE-XYZ\n••••••••\n"


def test_a_secret_that_the_package_does_not_have_is_named() -> None:
    outcome = run("script", {"script": "echo ran", "secrets": ["token"]})
    assert (outcome.state, outcome.outcome) == ("failed", "not_sent")
    assert "token" in outcome.error


def test_terminal_codes_are_taken_out() -> None:
    outcome = run("script", {"script": r"printf '\033[31mred\033[0m \033]0;title\007end\007\n'"})
    assert outcome.output == "red end\n"


def test_a_flood_of_output_is_cut_and_does_not_stall_the_script() -> None:
    outcome = run("script", {"script": "head -c 3000000 /dev/zero | tr '\\0' x; exit 5"})
    assert outcome.result == {"exit_code": 5}
    assert OUTPUT_LIMIT < len(outcome.output) < OUTPUT_LIMIT + 100
    assert "64 KiB" in outcome.output


@pytest.mark.parametrize("policy", ["once", "idempotent"])
def test_a_script_over_its_time_is_killed_with_its_children(policy: str, tmp_path: Path) -> None:
    script = f"echo begun; sleep 60 & echo $! > {tmp_path}/pid; wait"
    outcome = run("script", {"script": script}, timeout=0.5, policy=policy)
    assert (outcome.state, outcome.outcome, outcome.output) == ("failed", "timeout", "begun\n")
    assert gone(int((tmp_path / "pid").read_text()))


def test_nothing_is_left_behind_in_the_background(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = run("script", {"script": f"sleep 60 & echo $! > {tmp_path}/pid"})
    assert outcome.state == "succeeded"
    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_lost_lease_kills_the_script_and_leaves_the_result_unknown(tmp_path: Path, var_dir: Path) -> None:
    lost = threading.Event()
    threading.Timer(0.3, lost.set).start()
    outcome = run("script", {"script": f"echo $$ > {tmp_path}/pid; sleep 60"}, lost=lost)
    assert (outcome.state, outcome.outcome) == ("unknown", "lost")
    assert gone(int((tmp_path / "pid").read_text()))
    assert not (journal(var_dir) / "rc").exists()


def test_a_stopped_execution_kills_the_script(tmp_path: Path) -> None:
    outcome = run("script", {"script": f"echo $$ > {tmp_path}/pid; sleep 60"}, cancelled=lambda: True)
    assert outcome.state == "cancelled"
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_script_is_started_once_and_read_back_afterwards(tmp_path: Path, var_dir: Path) -> None:
    params = {"script": f"echo run >> {tmp_path}/runs; echo said; exit 4"}
    first, second = run("script", params), run("script", params)
    assert (first.state, second.state, second.result) == ("failed", "failed", {"exit_code": 4})
    assert (tmp_path / "runs").read_text() == "run\n"
    assert "said" in second.output
    assert sorted(path.name for path in journal(var_dir).iterdir()) == ["output", "rc"]


def test_two_workers_at_once_start_one_script(tmp_path: Path) -> None:
    params = {"script": f"echo run >> {tmp_path}/runs; sleep 0.3"}
    outcomes: list[str] = []
    workers = [threading.Thread(target=lambda: outcomes.append(run("script", params).state)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "runs").read_text() == "run\n"
    assert sorted(outcomes) == ["succeeded", "unknown", "unknown", "unknown"]


def test_the_result_is_there_although_the_worker_died(tmp_path: Path, var_dir: Path) -> None:
    """A worker in a process of its own is killed while its script runs; the script ends and is read back."""
    params = {"script": f"echo run >> {tmp_path}/runs; sleep 0.5; echo done"}
    worker = os.fork()
    if worker == 0:
        try:
            run("script", params)
        finally:
            os._exit(0)
    until = time.monotonic() + 5
    while not (tmp_path / "runs").exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(worker, 9)
    os.waitpid(worker, 0)
    assert run("script", params).state == "unknown"
    while not (journal(var_dir) / "rc").exists() and time.monotonic() < until:
        time.sleep(0.01)
    outcome = run("script", params)
    assert (outcome.state, (tmp_path / "runs").read_text()) == ("succeeded", "run\n")


def test_an_idempotent_script_may_run_again_and_leaves_nothing(tmp_path: Path, var_dir: Path) -> None:
    params = {"script": f"echo run >> {tmp_path}/runs"}
    for _ in range(2):
        assert run("script", params, policy="idempotent").state == "succeeded"
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
    assert not journal(var_dir).exists()


@pytest.mark.parametrize(
    ("host", "words"),
    [({**LOCAL, "connection": "ssh"}, "SSH"), ({**LOCAL, "connection": "none"}, "连接方式"), (None, "连接方式")],
)
def test_it_runs_only_where_the_plan_says_local(host: Any, words: str, var_dir: Path) -> None:
    outcome = run("script", {"script": "echo ran"}, host=host)
    assert (outcome.state, outcome.outcome, outcome.output) == ("failed", "not_sent", "")
    assert words in outcome.error
    assert not journal(var_dir).exists()


def test_it_runs_only_where_local_scripts_are_allowed(settings: Any) -> None:
    settings.FTA_LOCAL_SCRIPTS = False
    outcome = run("script", {"script": "echo ran"})
    assert (outcome.state, outcome.output) == ("failed", "")
    assert "FTA_LOCAL_SCRIPTS" in outcome.error


def test_a_script_that_takes_too_much_memory_fails_alone() -> None:
    script = "#!/usr/bin/env python3\nx = bytearray(4 << 30)"
    assert run("script", {"script": script}).state == "failed"
