"""脚本作业 over SSH, against OpenSSH's own server on loopback."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.lib import ssh
from fta.models import Credential
from tests import factories
from tests.fta.runners.conftest import STEP_KEY, alive, context, gone, run
from tests.fta.runners.sshd import Server

pytestmark = [pytest.mark.sshd, pytest.mark.django_db]


def test_it_runs_a_script_there_and_keeps_what_it_said(host: dict[str, Any], tmp_path: Path) -> None:
    script = (
        "#!/bin/bash\necho \"$SSH_CONNECTION|$FTA_PARAM_TOKEN|$FTA_PARAM_PATH\"; cat; tr '\\0' ' ' </proc/$PPID/cmdline;"
        f" grep -rl s3cret-value {tmp_path}; exit 3"
    )
    params = {"script": script, "arguments": {"path": "/数据 x"}, "secrets": ["token"]}
    outcome = run("script", params, host=host, raw_secrets={"token": "s3cret-value-xyz"})
    assert (outcome.state, outcome.result) == ("failed", {"exit_code": 3})
    assert outcome.output.startswith('|••••••••|/数据 x\n{"path": "/数据 x", "token": "••••••••"}')
    assert "s3cret" not in outcome.output
    entry = tmp_path / "journal" / f"{STEP_KEY}.3"
    assert {path.name for path in entry.iterdir()} == {"go", "rc"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host_key": "other.pub"}, "不一致"),
        ({"host_key": ""}, "没有固定公钥"),
        ({"host_key": "ssh-ed25519 AAAA"}, "公钥不合法"),
        ({"credential": None}, "凭据"),
        ({"ssh_user": ""}, "SSH 用户"),
        ({"ssh_port": 1}, "连不上"),
    ],
)
def test_it_sends_nothing_unless_the_host_is_the_pinned_one(
    host: dict[str, Any], server: Server, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    if change.get("host_key", "").endswith(".pub"):
        change = {"host_key": server.key(change["host_key"])}
    outcome = run("script", {"script": "echo ran"}, host={**host, **change})
    assert (outcome.state, outcome.outcome, outcome.retryable) == ("failed", "not_sent", change == {"ssh_port": 1})
    assert words in outcome.error
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize(
    ("kind", "secret", "words"),
    [
        ("ssh_key", "other", "拒绝"),
        ("password", "hunter2-hunter2", "拒绝"),
        ("token", "tok-123456", "凭据"),
        ("ssh_key", "no key at all", "凭据不能使用"),
    ],
)
def test_it_signs_in_with_the_credential_of_the_plan_only(
    host: dict[str, Any], server: Server, monkeypatch: pytest.MonkeyPatch, kind: str, secret: str, words: str
) -> None:
    """Neither an agent nor a key in the home of the portal's user helps: this user's key would be let in."""
    home = server.folder / "home" / ".ssh"
    home.mkdir(parents=True, exist_ok=True)
    (home / "id_ed25519").write_text(server.key("user"))
    monkeypatch.setenv("HOME", str(home.parent))
    text = server.key(secret) if secret == "other" else secret
    Credential.objects.filter(pk=host["credential"]).update(kind=kind, secret=text)
    outcome = run("script", {"script": "echo ran"}, host=host)
    assert (outcome.state, outcome.outcome, outcome.retryable) == ("failed", "not_sent", False)
    assert words in outcome.error
    assert secret not in outcome.error


def test_a_dropped_connection_neither_ends_the_script_nor_starts_it_again(
    host: dict[str, Any], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fta.healing.runners.running._PAUSE", 0.05)

    def drop() -> None:
        while not (tmp_path / "runs").exists():
            time.sleep(0.02)
        server.drop()

    dropping = threading.Thread(target=drop)
    dropping.start()
    outcome = run("script", {"script": f"echo run >> {tmp_path}/runs; sleep 2; echo done"}, host=host)
    dropping.join()
    assert (outcome.state, outcome.output) == ("succeeded", "done\n")
    assert (tmp_path / "runs").read_text() == "run\n"


def test_another_worker_stops_what_was_begun(host: dict[str, Any], tmp_path: Path) -> None:
    begun: list[str] = []
    lost = threading.Event()
    script = f"echo $$ > {tmp_path}/pid; echo begun; sleep 60"

    def keep(journal: str) -> bool:
        begun.append(journal)
        return True

    assert (
        run("script", {"script": script}, host=host, begun=keep, lost=lost, show=lambda text: lost.set()).outcome
        == "lost"
    )
    assert alive(int((tmp_path / "pid").read_text()))
    outcome = resume(begun[0], host, cancelled=lambda: True)
    assert (outcome.state, outcome.outcome, outcome.output.endswith("begun\n")) == ("cancelled", "killed", True)
    assert gone(int((tmp_path / "pid").read_text()))


def resume(journal: str, host: dict[str, Any], **given: Any) -> Outcome:
    ctx = context("script", {"script": "echo never run by this"}, host=host, **given)
    ctx.step.journal = journal
    return RUNNERS["script"].resume(ctx)


def test_a_host_that_cannot_be_reached_leaves_the_result_unknown(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PAUSE", "_SLACK", "_STOPPING"):
        monkeypatch.setattr(f"fta.healing.runners.running.{name}", 0.01)
    outcome = resume("some-journal/some-entry", {**host, "ssh_port": 1}, timeout=0.1)
    assert (outcome.state, outcome.outcome) == ("unknown", "lost")
    assert "连不上" in outcome.error


def test_the_time_is_kept_by_the_host_and_background_work_goes_on_there(host: dict[str, Any], tmp_path: Path) -> None:
    script = f"sleep 61 >/dev/null 2>&1 & echo $! > {tmp_path}/service"
    assert run("script", {"script": script}, host=host).state == "succeeded"
    service = int((tmp_path / "service").read_text())
    assert alive(service), "a service that was started by the script stays"
    os.kill(service, 9)
    outcome = run("script", {"script": f"echo $$ > {tmp_path}/pid; sleep 60"}, host=host, timeout=3, fence=4)
    assert (outcome.state, outcome.outcome) == ("failed", "timeout")
    assert gone(int((tmp_path / "pid").read_text()))


def test_an_answer_without_end_is_cut_off(host: dict[str, Any], server: Server) -> None:
    link = ssh.Connection("127.0.0.1", server.port, host["ssh_user"], server.key("host.pub"), key=server.key("user"))
    try:
        with pytest.raises(ssh.Interrupted):
            link.call(["cat", "/dev/zero"], b"", 20)
        assert link.call(["echo", "a b", "$(id)"], b"", 20) == b"a b $(id)\n"
    finally:
        link.close()
    assert "PRIVATE KEY" not in repr(link)


@pytest.mark.parametrize(("owner", "said"), [("game", "succeeded"), ("pay", "failed")])
def test_a_credential_of_another_business_opens_no_host(host: dict[str, Any], owner: str, said: str) -> None:
    Credential.objects.filter(pk=host["credential"]).update(business=factories.business(owner))
    outcome = run("script", {"script": "true"}, host={**host, "business": "game"})
    assert (outcome.state, "另一个业务" in outcome.error) == (said, said == "failed")
