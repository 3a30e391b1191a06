"""The first minute of somebody new: one command starts the portal, two printed commands show it at work, Ctrl-C ends it."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.database import ROOT, reachable
from tests.stage import free_port

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "var", "tests", "staticfiles")


def _three_ports() -> int:
    """Return a free port whose two next ones are free as well: the portal, the phone and the demo's hook."""
    while True:
        port = free_port()
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port + 1))
                second.bind(("127.0.0.1", port + 2))
            except OSError:
                continue
            return port


class Demo:
    """`make run` in a copy of the repository, with nothing of this shell's configuration."""

    def __init__(self, folder: Path) -> None:
        self.port = _three_ports()
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.child = subprocess.Popen(
            [sys.executable, "deploy/demo/run.py"],
            cwd=folder,
            env={**plain, "PORT": str(self.port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.child.stdout or ():
            self.said += line

    def wait(self, happened: Callable[[], Any], what: str, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := happened():
                return found
            assert self.child.poll() is None, self.said
            time.sleep(0.05)
        raise AssertionError(f"Waited {seconds} s for {what}:\n{self.said}")

    def texts(self) -> list[str]:
        """Return what is on 李四's phone."""
        state = requests.get(f"http://127.0.0.1:{self.port + 1}/sim/state", timeout=5).json()
        return [str(bubble["body"].get("content", "")) for bubble in state["members"]["lisi"]]

    def phone_page(self, path: str) -> str:
        """Open a page of the portal from 李四's phone: WeCom's sign-in leads there and back."""
        answer = requests.get(f"http://127.0.0.1:{self.port}{path}", cookies={"sim_member": "lisi"}, timeout=10)
        assert (answer.status_code, answer.url.partition("#")[0]) == (200, f"http://127.0.0.1:{self.port}{path}")
        return answer.text

    def signs_in(self) -> bool:
        """Sign in with the password that the welcome names."""
        password = re.search(r"用户 admin，密码 (\S+)", self.said)
        assert password is not None
        browser, url = requests.Session(), f"http://127.0.0.1:{self.port}/login/"
        browser.get(url, timeout=10)
        form = {"username": "admin", "password": password[1], "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        return (
            browser.post(url, data=form, headers={"Referer": url}, timeout=10).url == f"http://127.0.0.1:{self.port}/"
        )

    def descendants(self) -> set[int]:
        """Return the process ids below the demo, read from /proc."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            parents[int(path.parent.name)] = int(fields[1])
        found = {self.child.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.child.pid}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path / "portal")
    yield made
    if made.child.poll() is None:
        for pid in made.descendants():
            os.kill(pid, signal.SIGKILL)
        made.child.kill()
        made.child.wait(10)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_starts_heals_asks_and_ends_with_every_child(demo: Demo) -> None:
    demo.wait(lambda: "第二条告警" in demo.said and demo.said.count("curl") == 2, "the welcome", 75)
    commands = [line.strip() for line in demo.said.splitlines() if line.strip().startswith("curl")]

    disk = subprocess.run(commands[0], shell=True, capture_output=True, text=True, timeout=30, check=True)
    assert '"alerts"' in disk.stdout
    down = subprocess.run(commands[1], shell=True, capture_output=True, text=True, timeout=30, check=True)
    assert '"alerts"' in down.stdout

    demo.wait(lambda: any("clean-disk" in text or "磁盘清理" in text for text in demo.texts()), "the healed disk", 30)
    ask = demo.wait(lambda: next((t for t in demo.texts() if "请审核" in t), ""), "李四 to be asked", 30)
    code = re.search(r"TY (\d+_\d+)", ask)
    assert code is not None
    assert "演示重启接口被调用" not in demo.said
    assert code[1] in demo.phone_page("/wechat/todo/")
    assert demo.signs_in()
    say = {"userid": "lisi", "text": f"TY {code[1]}"}
    requests.post(f"http://127.0.0.1:{demo.port + 1}/sim/say", json=say, timeout=20)
    demo.wait(lambda: "演示重启接口被调用，第 1 次" in demo.said, "the hook to be called", 30)
    demo.wait(lambda: "【故障自愈】审批成功" in demo.texts(), "the answer", 30)

    children = demo.descendants()
    assert len(children) >= 3
    demo.child.send_signal(signal.SIGINT)
    assert demo.child.wait(20) == 0
    assert [pid for pid in children if _alive(pid)] == []
    assert not any(reachable(f"http://127.0.0.1:{demo.port + offset}") for offset in range(3))
    assert "Traceback" not in demo.said
    assert "第 2 次" not in demo.said


def test_the_demo_keeps_out_of_what_the_shell_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("demo_run", ROOT / "deploy/demo/run.py")
    assert spec is not None
    assert spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    monkeypatch.setattr(run, "STATE", tmp_path)
    for name in ("DATABASE_URL", "DATABASE_URL_FILE", "CELERY_BROKER_URL_FILE", "REDIS_URL_FILE"):
        monkeypatch.setenv(name, "/etc/production")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    given = run.environment(8000)
    assert "/etc/production" not in given.values()
    assert given["DATABASE_URL"] == f"sqlite:///{tmp_path / 'portal.sqlite3'}"
    assert given["LOG_LEVEL"] == "DEBUG"
