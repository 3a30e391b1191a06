"""The node types that act on nothing: waits, checks, questions, messages, marks."""

import shutil
import socket
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from fta import ports
from fta.healing.runners import RUNNERS, ping_check
from fta.models import Execution, StepRun
from tests import factories
from tests.fta.runners.conftest import LOCAL, run

NOW = timezone.now()


class Upstairs:
    """A gate and messenger that note what they are asked, and whether a transaction was open."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def ask_step(self, step: StepRun, message: str, policy: str, now: datetime) -> int:
        self.asked.append((message, policy, now, connection.in_atomic_block))
        return 41

    def tell(self, step: StepRun, message: str, channels: Sequence[str], to: Sequence[str], now: datetime) -> list[int]:
        if "nowhere" in channels:
            raise ValueError("没有通知服务 nowhere")
        self.asked.append((message, list(channels), list(to), connection.in_atomic_block))
        return [5, 6]


@pytest.fixture
def upstairs(monkeypatch: pytest.MonkeyPatch) -> Upstairs:
    made = Upstairs()
    monkeypatch.setattr(ports, "gate", lambda: made)
    monkeypatch.setattr(ports, "messenger", lambda: made)
    return made


@pytest.mark.parametrize(("seconds", "length"), [(30, 30), ("5m", 300), ("90s", 90)])
def test_sleep_parks_until_the_moment_and_then_succeeds(seconds: Any, length: int) -> None:
    outcome = run("sleep", {"seconds": seconds}, now=NOW)
    assert (outcome.state, outcome.until) == ("waiting", NOW + timedelta(seconds=length))
    woken = StepRun(execution=Execution(pk=7), node=1, result=outcome.result)
    early = run("sleep", {"seconds": seconds}, now=NOW + timedelta(seconds=5), step=woken)
    assert (early.state, early.until) == ("waiting", outcome.until)
    assert run("sleep", {"seconds": seconds}, now=NOW + timedelta(seconds=length), step=woken).state == "succeeded"


def test_sleep_may_be_nothing_or_come_from_a_parameter() -> None:
    assert run("sleep", {"seconds": 0}).state == "succeeded"
    assert run("sleep", {"seconds": "${params.wait}"}, {"params.wait": "10"}).state == "waiting"
    assert run("sleep", {"seconds": "${params.wait}"}, {"params.wait": "soon"}).state == "failed"


@pytest.mark.django_db
def test_approval_asks_once_in_a_transaction_and_waits_for_a_person(upstairs: Upstairs) -> None:
    params = {"message": "重启 ${ip}（${alert_type}）", "policy": "default"}
    outcome = run("approval", params, {"ip": "10.0.0.1", "alert_type": "host_down"}, now=NOW)
    assert (outcome.state, outcome.until, outcome.result) == ("waiting", None, {"approval": 41})
    again = StepRun(execution=Execution(pk=7), node=1, result=outcome.result)
    assert run("approval", params, step=again).state == "waiting"
    assert upstairs.asked == [("重启 10.0.0.1（host_down）", "default", NOW, True)]


@pytest.mark.django_db
def test_an_alert_cannot_choose_who_decides(upstairs: Upstairs) -> None:
    run("approval", {"message": "x", "policy": "${labels.p}"}, {"labels.p": "lax"})
    assert upstairs.asked[0][1] == "${labels.p}"


@pytest.mark.django_db
def test_notify_tells_the_message_to_single_people(upstairs: Upstairs) -> None:
    params = {"message": "${ip} 处理完毕", "channels": ["wecom"], "to": ["${operators}", "wangwu", ""]}
    outcome = run("notify", params, {"ip": "10.0.0.1", "operators": "lisi,wangwu"})
    assert (outcome.state, outcome.result, outcome.output) == ("succeeded", {"deliveries": [5, 6]}, "10.0.0.1 处理完毕")
    assert upstairs.asked == [("10.0.0.1 处理完毕", ["wecom"], ["lisi", "wangwu"], True)]


@pytest.mark.django_db
def test_notify_names_an_unknown_channel(upstairs: Upstairs) -> None:
    outcome = run("notify", {"message": "x", "channels": ["nowhere"]})
    assert (outcome.state, outcome.error) == ("failed", "没有通知服务 nowhere")


@pytest.mark.django_db
def test_guard_skips_when_the_same_comes_back_too_often() -> None:
    host = factories.host()
    now = timezone.now()
    for minutes, alert_type in ((50, "disk_full"), (8, "disk_full"), (5, "cpu_high"), (3, "disk_full")):
        factories.execution(host=host, alert_type=alert_type, received_at=now - timedelta(minutes=minutes))
    other = factories.host("127.0.0.11", "web-11")
    factories.execution(host=other, alert_type="disk_full", received_at=now)
    this = factories.execution(host=host, alert_type="disk_full", received_at=now)
    factories.execution(host=host, alert_type="disk_full", received_at=now + timedelta(minutes=1))
    passed = run("guard", {"count": 4, "minutes": 10}, execution=this)
    assert (passed.state, passed.result) == ("succeeded", {"seen": 3})
    ended = run("guard", {"count": 3, "minutes": 10}, execution=this)
    assert (ended.state, ended.outcome) == ("skipped", "guard")
    assert "3" in ended.output


@pytest.mark.django_db
def test_guard_counts_neither_rehearsals_nor_what_was_run_by_hand_for_something_else() -> None:
    host, own, foreign = factories.host(), factories.package("own"), factories.package("foreign")
    factories.execution(host=host, package=own, state="shadowed")
    factories.execution(host=host, package=foreign)
    factories.execution(host=host, package=own)
    this = factories.execution(host=host, package=own)
    assert run("guard", {"count": 3, "minutes": 10}, execution=this).result == {"seen": 2}


@pytest.mark.django_db
def test_guard_knows_a_target_without_a_host_by_its_name() -> None:
    source = factories.source()
    alerts = [factories.alert(source=source, target=target, host=None) for target in ("db-vip", "mq-vip", "db-vip")]
    runs = [factories.execution(alert=alert) for alert in alerts]
    assert run("guard", {"count": 2, "minutes": 10}, execution=runs[1]).state == "succeeded"
    assert run("guard", {"count": 2, "minutes": 10}, execution=runs[2]).state == "skipped"


def test_mark_almost_success_succeeds_with_the_mark() -> None:
    outcome = run("mark_almost_success", {})
    assert (outcome.state, outcome.outcome) == ("succeeded", "almost")


@pytest.mark.parametrize(("expect", "state"), [("up", "succeeded"), ("down", "failed")])
def test_ping_check_by_tcp_hears_a_listening_port(expect: str, state: str) -> None:
    with socket.create_server(("127.0.0.10", 0)) as server:
        outcome = run("ping_check", {"tcp_port": server.getsockname()[1], "expect": expect})
    assert (outcome.state, outcome.result) == (state, {"answered": True})
    assert "127.0.0.10" in outcome.output


@pytest.mark.parametrize(("expect", "state", "word"), [("up", "failed", "down"), ("down", "succeeded", "")])
def test_ping_check_by_tcp_takes_a_closed_port_for_no_answer(expect: str, state: str, word: str) -> None:
    outcome = run("ping_check", {"tcp_port": 9, "count": 2, "expect": expect})
    assert (outcome.state, outcome.outcome, outcome.result) == (state, word, {"answered": False})


@pytest.mark.parametrize(("code", "state"), [(0, "succeeded"), (1, "failed")])
def test_ping_check_by_icmp_asks_the_inventory_address_only(
    monkeypatch: pytest.MonkeyPatch, code: int, state: str
) -> None:
    seen: list[list[str]] = []

    def ping(command: list[str], **kwargs: Any) -> "subprocess.CompletedProcess[bytes]":
        seen.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(ping_check.subprocess, "run", ping)
    assert run("ping_check", {"icmp": True, "count": 1}).state == state
    assert [(command[0], command[-1]) for command in seen] == [("ping", "127.0.0.10")]


def test_ping_check_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("ping_check", {"tcp_port": 9}, host=None).outcome == "not_sent"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "tcp_port" in run("ping_check", {"icmp": True}, host=LOCAL).error


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("sleep", {}),
        ("sleep", {"seconds": -1}),
        ("sleep", {"seconds": "2d"}),
        ("sleep", {"seconds": 90_000}),
        ("sleep", {"seconds": 1, "minutes": 2}),
        ("approval", {}),
        ("approval", {"message": " "}),
        ("approval", {"message": "x", "policy": 5}),
        ("notify", {"message": "x"}),
        ("notify", {"channels": ["wecom"]}),
        ("notify", {"message": "x", "channels": "wecom"}),
        ("notify", {"message": "x", "channels": ["wecom"], "to": [1]}),
        ("guard", {"count": 0, "minutes": 5}),
        ("guard", {"count": 3}),
        ("ping_check", {"tcp_port": "9"}),
        ("ping_check", {"tcp_port": 70_000}),
        ("ping_check", {"tcp_port": 9, "icmp": True}),
        ("ping_check", {"expect": "maybe"}),
        ("ping_check", {"host": "10.0.0.1"}),
        ("mark_almost_success", {"really": True}),
    ],
)
def test_they_name_what_is_wrong_with_a_node(kind: str, params: Any) -> None:
    assert RUNNERS[kind].validate(params)
