"""脚本作业 with real processes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fta.healing.runners import RUNNERS
from fta.healing.runners.text import HALF
from tests.fta.runners.conftest import LOCAL, gone, run

pytestmark = pytest.mark.usefixtures("var_dir")


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


@pytest.mark.parametrize("value", ["a\x00", "x" * 8193, "\ud800"])
def test_it_refuses_a_value_that_would_not_arrive_whole(value: str, var_dir: Path) -> None:
    outcome = run("script", {"script": "echo ran", "arguments": {"a": "${content}"}}, {"content": value})
    assert (outcome.state, outcome.outcome, outcome.output) == ("failed", "not_sent", "")
    assert not (var_dir / "journal").exists()


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
        {"script": "x", "arguments": {"a": "\0"}},
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


def test_a_flood_of_output_keeps_both_ends_and_does_not_stall_the_script() -> None:
    outcome = run("script", {"script": "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 5"})
    assert outcome.result == {"exit_code": 5}
    assert len(outcome.output) < 256 * 1024
    head, tail = outcome.output.split(f"\n…… 中间 {3_000_000 + len('first.last..') - 2 * HALF} 字节的输出没有保留 ……\n")
    assert (head[:6], len(head), tail[-6:], len(tail)) == ("first\n", HALF, "\nlast\n", HALF)


class Screen:
    """Shows what a script has said; a script that waits for `gate` goes on once it was shown something."""

    def __init__(self, folder: Path) -> None:
        self.shown: list[str] = []
        self.gate = folder / "gate"
        self.wait = f"while [ ! -e {self.gate} ]; do sleep 0.05; done"

    def __call__(self, text: str) -> None:
        self.shown.append(text)
        self.gate.touch()


def test_the_output_is_shown_while_the_script_runs(tmp_path: Path) -> None:
    screen = Screen(tmp_path)
    outcome = run("script", {"script": f"echo one; {screen.wait}; echo two"}, show=screen)
    assert (screen.shown[0], outcome.output) == ("one\n", "one\ntwo\n")
    assert len(screen.shown) == len(set(screen.shown)), "what is the same is not stored again"


def test_no_part_of_a_secret_is_shown_before_it_is_whole(tmp_path: Path) -> None:
    screen = Screen(tmp_path)
    params = {"script": f"printf 'x s3cret-val'; {screen.wait}; echo ue-xyz y", "secrets": ["token"]}
    outcome = run("script", params, raw_secrets={"token": "s3cret-value-xyz"}, show=screen)
    assert (screen.shown[0], outcome.output) == ("x ", "x •••••••• y\n")
    assert "s3cret" not in "".join(screen.shown)


@pytest.mark.parametrize("policy", ["once", "idempotent"])
def test_a_script_over_its_time_is_killed_with_its_children(policy: str, tmp_path: Path) -> None:
    script = f"echo begun; sleep 60 & echo $! > {tmp_path}/pid; wait"
    outcome = run("script", {"script": script}, timeout=2, policy=policy)
    assert (outcome.state, outcome.outcome, outcome.output) == ("failed", "timeout", "begun\n")
    assert gone(int((tmp_path / "pid").read_text()))


def test_nothing_is_left_behind_in_the_background(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = run("script", {"script": f"sleep 60 & echo $! > {tmp_path}/pid"})
    assert outcome.state == "succeeded"
    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_stopped_execution_kills_the_script(tmp_path: Path) -> None:
    outcome = run("script", {"script": f"echo $$ > {tmp_path}/pid; sleep 60"}, cancelled=lambda: True)
    assert outcome.state == "cancelled"
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("host", "words"),
    [({**LOCAL, "connection": "none"}, "连接方式"), (None, "连接方式")],
)
def test_it_runs_only_where_the_plan_says(host: Any, words: str, var_dir: Path) -> None:
    outcome = run("script", {"script": "echo ran"}, host=host)
    assert (outcome.state, outcome.outcome, outcome.output) == ("failed", "not_sent", "")
    assert words in outcome.error
    assert not (var_dir / "journal").exists()


def test_it_runs_only_where_local_scripts_are_allowed(settings: Any) -> None:
    settings.FTA_LOCAL_SCRIPTS = False
    outcome = run("script", {"script": "echo ran"})
    assert (outcome.state, outcome.output) == ("failed", "")
    assert "FTA_LOCAL_SCRIPTS" in outcome.error


def test_a_script_that_takes_too_much_memory_fails_alone() -> None:
    script = "#!/usr/bin/env python3\nx = bytearray(4 << 30)"
    assert run("script", {"script": script}).state == "failed"
