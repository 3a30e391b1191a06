"""The command: what its options make, what it refuses, and that it ends cleanly."""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError

from tests.wechat.entry_stub import AES_KEY, CORP, SECRET, TOKEN
from wechat.simulator.config import GroupChat, Member
from wechat.simulator.management.commands.wecom_simulator import Command, configuration

SECRETS = {"WECOM_SECRET": SECRET, "WECOM_TOKEN": TOKEN, "WECOM_AES_KEY": AES_KEY}


def options(*arguments: str) -> dict[str, Any]:
    parser = ArgumentParser()
    Command().add_arguments(parser)
    return vars(parser.parse_args(arguments))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WECOM_CORP_ID", raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_it_takes_secrets_from_the_environment_and_the_corp_from_defaults() -> None:
    config = configuration(options())
    app = config.apps[0]
    assert (config.corp_id, app.agent_id, app.secret, app.token, app.aes_key) == (CORP, 1000002, SECRET, TOKEN, AES_KEY)
    assert [member.userid for member in config.members] == ["lisi", "wangwu", "zhaoliu", "admin_wx"]
    assert config.robots == {"demo1": "值班一群", "demo2": "值班二群"}


def test_it_takes_people_groups_and_alerts_from_options() -> None:
    alert = '{"url": "http://127.0.0.1/intake/", "headers": {"X-Secret": "s"}, "json": {"alert_type": "disk"}}'
    config = configuration(
        options("--members", "a:甲, b", "--chat", "G1:告警群:a,b", "--menu-url", "http://x/", "--demo-alert", alert)
    )
    assert config.members == (Member("a", "甲"), Member("b", "b"))
    assert config.chats == (GroupChat("G1", "告警群", "a", ("a", "b")),)
    assert config.menu[0]["url"] == "http://x/"
    demo = config.demo_alerts[0]
    assert (demo.label, demo.body, demo.headers) == ("发一条示例告警", '{"alert_type": "disk"}', {"X-Secret": "s"})


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_it_refuses_to_start_without_a_secret(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(CommandError, match=f"{name} is not set"):
        configuration(options())


def test_it_refuses_a_malformed_key() -> None:
    with pytest.raises(CommandError, match="43 letters"):
        configuration(options("--aes-key", "short"))


def test_it_serves_until_it_is_told_to_end() -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "WECOM_SIMULATOR": "1", "DEBUG": "1"}
    command = [sys.executable, "manage.py", "wecom_simulator", "--port", "0"]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split("API base: ")[1].strip()
        answer = requests.get(f"{address}gettoken?corpid={CORP}&corpsecret={SECRET}", timeout=5).json()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert answer["errcode"] == 0


def test_a_portal_without_it_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert get_commands()["wecom_simulator"] == "wechat.simulator", "it goes before the one that only says so"
    with pytest.raises(SystemExit) as end:
        load_command_class("wechat", "wecom_simulator").run_from_argv(["manage.py", "wecom_simulator", "--port", "1"])
    assert end.value.code == 1
    assert "Set WECOM_SIMULATOR=1" in capsys.readouterr().err
