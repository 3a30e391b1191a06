"""What the fault suite runs: a generated configuration, the outside interface it calls, and the alerts that set it off."""

import getpass
import json
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import yaml

from tests.database import SECRETS
from tests.faults import points
from tests.faults.tampering import ENDS, STARTS
from tests.fta.runners.sshd import Server
from tests.stage import Hook, Stage

CHILD = "tests.faults.child"

HOSTS = 300
SECOND_KEY = "stage-second-api-key-0123456789"
KEYS = (SECRETS["FTA_API_KEY"], SECOND_KEY)
LEASE_SECONDS = 3
EXPIRES_AFTER = "60s"  # what nobody decides has to end within the run
SLOWEST_HOOK = 0.3  # seconds

SSH_HOSTS = 12

# What an alert asks for, and how often; half of each with an approval before it.
SHARES = {"once_call": 0.2, "once_ssh": 0.2, "again_local": 0.15, "again_ssh": 0.25, "both": 0.2}
ASKED = "_asked"
KINDS = {f"{name}{asked}": share / 2 for name, share in SHARES.items() for asked in ("", ASKED)}


class SlowHook(Hook):
    """An interface that takes its time, so that a kill often falls between the call and its answer."""

    def __init__(self, seed: int) -> None:
        self.calls: list[dict[str, Any]] = []
        self.told: list[str] = []
        outer, chance, lock = self, random.Random(seed), threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = self.headers.get("Idempotency-Key")
                if self.path == "/told":
                    outer.told.append(str(key))
                else:
                    outer.calls.append({"key": key, "body": json.loads(body or b"{}"), "at": time.time()})
                    with lock:
                        pause = chance.uniform(0, SLOWEST_HOOK)
                    time.sleep(pause)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                with suppress(OSError):  # the caller may have been killed meanwhile
                    self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing about callers that were killed while they waited."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/restart"


class FaultStage(Stage):
    """A portal on PostgreSQL with Celery on a Redis of its own, short leases, and a way to start killed processes again."""

    def __init__(self, folder: Path, seed: int, without: str = "") -> None:
        super().__init__(folder, postgres=True, FTA_LEASE_SECONDS=str(LEASE_SECONDS))
        self.hook.close()
        self.hook = SlowHook(seed)
        self.marks = folder / "marks"
        self.points = folder / "points"
        self.points.mkdir()
        (folder / "sshd").mkdir()
        self.sshd = Server.start(folder / "sshd", *(ssh_host(n) for n in range(SSH_HOSTS)))
        self.env["FTA_DEMO_HOOK"] = self.hook.url
        self.env["FTA_SSH_JOURNAL"] = str(folder / "ssh-journal")
        self.env["CELERY_BROKER_URL"], self.broker = self.redis()
        self.broker_port = urlsplit(self.env["CELERY_BROKER_URL"]).port
        self.env |= {"FAULTS_POINTS": str(self.points), "FAULTS_WITHOUT": without}
        self.without = without
        self._turn = threading.RLock()

    def command(self, kind: str) -> list[str]:
        """Return the command of a process, armed with the points (see child.py)."""
        if kind == "engine":
            return [sys.executable, "-m", "tests.faults.child", "engine"]
        return [{"fta.wsgi": f"{CHILD}:application", "fta": CHILD}.get(part, part) for part in super().command(kind)]

    def prepare(self, config: str | Path = "") -> "FaultStage":
        """Apply the configuration, and take from the database what the guard has there that the run is without."""
        super().prepare(config)
        with psycopg.connect(self.database.url, autocommit=True) as link:
            for statement in points.CONSTRAINTS.get(self.without, ()):
                link.execute(statement)
        return self

    def kill(self, name: str) -> None:
        """Kill a process group, unless a point has killed it just now."""
        with self._turn:
            if name in self.processes:
                super().kill(name)

    def pause(self, name: str, seconds: float) -> bool:
        """Stop a process group and let it go on after a while; tell whether it was there for all of that time."""
        child = self.processes.get(name)
        if child is None:
            return False
        try:
            os.killpg(child.pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.killpg(child.pid, signal.SIGCONT)
        except ProcessLookupError:
            return False
        return self.processes.get(name) is child

    def revive(self) -> None:
        """Start again what a point has killed."""
        with self._turn:
            for name in [name for name, child in self.processes.items() if child.poll() is not None]:
                self.again(name)

    def again(self, name: str) -> None:
        """Start a process without waiting for it to answer, as a service manager does."""
        with self._turn:
            super().start(name) if name != "web" else self._web_again()

    def close(self) -> None:
        super().close()
        self.sshd.stop()

    def _web_again(self) -> None:
        served, self._served = self._served, lambda: True  # type: ignore[method-assign]
        try:
            super().start("web")
        finally:
            self._served = served  # type: ignore[method-assign]


def configuration(stage: FaultStage) -> Path:
    """Write the configuration of the run and return its path."""
    path = stage.folder / "portal.yaml"
    path.write_text(yaml.safe_dump(_document(stage), allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def ssh_host(number: int) -> str:
    """Return the address of a host that scripts reach by SSH."""
    return f"127.0.9.{number + 1}"


def host(number: int) -> str:
    """Return the address of a registered host."""
    return f"127.0.{2 + number // 200}.{number % 200 + 1}"


def _document(stage: FaultStage) -> dict[str, Any]:
    connection = {
        "kind": "ssh",
        "user": getpass.getuser(),
        "port": stage.sshd.port,
        "host_key": stage.sshd.key("host.pub").strip(),
        "credential": "fault",
    }
    hosts: list[dict[str, Any]] = [
        {
            "ip": host(n),
            "name": f"fault-{n}",
            "business": "game",
            "set": "s",
            "module": "m",
            "connection": {"kind": "local"},
        }
        for n in range(HOSTS)
    ] + [
        {"ip": ssh_host(n), "name": f"ssh-{n}", "business": "game", "set": "s", "module": "m", "connection": connection}
        for n in range(SSH_HOSTS)
    ]
    return {
        "version": 1,
        "businesses": [{"code": "game", "name": "游戏大区"}],
        "credentials": [{"name": "fault", "kind": "ssh_key", "secret": stage.sshd.key("user")}],
        "hosts": hosts,
        "people": [{"username": "lisi", "wecom_userid": "lisi", "roles": ["viewer"], "businesses": ["game"]}],
        "api_keys": [
            {"name": f"ops-{n}", "key": key, "role": "operator", "businesses": ["game"]} for n, key in enumerate(KEYS)
        ],
        "wecom": stage.wecom_section(),
        "sources": [{"name": "rest", "kind": "rest", "secret": SECRETS["FTA_SOURCE_SECRET"], "business": "game"}],
        "approval_policies": [
            {
                "name": "default",
                "stages": [{"approvers": [{"role": "operator"}], "quorum": 1}],
                "expires_after": EXPIRES_AFTER,
            }
        ],
        "packages": [_package(name, stage) for name in SHARES],
        "rules": [
            {
                "name": name,
                "match": {"alert_type": name},
                "package": name.removesuffix(ASKED).replace("_", "-"),
                "timeout": "30m",
                "mode": "approval" if name.endswith(ASKED) else "auto",
            }
            for name in KINDS
        ],
        "convergence_rules": [],
        **_telling(stage),
    }


def _telling(stage: FaultStage) -> dict[str, Any]:
    told = stage.hook.url.replace("/restart", "/told")
    return {
        "channels": [
            {"name": "wecom", "kind": "wecom_app", "to_user": ["lisi"]},
            {"name": "webhook", "kind": "webhook", "url": told, "secret": "stage-webhook-secret-0123"},
        ],
        "notification_rules": [
            {"name": "结果", "events": ["execution.succeeded"], "channels": ["webhook"]},
            {
                "name": "问题",
                "events": ["execution.failed", "execution.unknown", "execution.skipped"],
                "channels": ["webhook", "wecom"],
            },
            {"name": "故障", "events": ["system.fault"], "channels": ["webhook"]},
        ],
    }


def _package(name: str, stage: FaultStage) -> dict[str, Any]:
    nodes = {
        "once_call": [_call()],
        "once_ssh": [_script(stage, "once")],
        "again_local": [_script(stage, "idempotent")],
        "again_ssh": [_script(stage, "idempotent")],
        "both": [_script(stage, "idempotent") | {"next": {"success": [2]}}, _call() | {"id": 2}],
    }[name]
    return {"key": name.replace("_", "-"), "name": name, "risk": "low", "mode": "auto", "nodes": nodes}


def _call() -> dict[str, Any]:
    params = {"method": "POST", "url": "${ENV:FTA_DEMO_HOOK}", "body": {"ip": "${ip}", "execution": "${execution.id}"}}
    return {"id": 1, "name": "调用", "type": "http", "policy": "once", "timeout": "20s", "params": params}


def _script(stage: FaultStage, policy: str) -> dict[str, Any]:
    """Return a node whose script says on its host when it starts and when it has come to its end."""
    say = f'echo "%s $FTA_IDEMPOTENCY_KEY" >> {stage.marks}'
    script = f"#!/bin/sh\n{say % STARTS}\nsleep 0.2\n{say % ENDS}\necho done\n"
    params = {"script": script}
    return {"id": 1, "name": "脚本", "type": "script", "policy": policy, "timeout": "30s", "params": params}


def _place(kind: str, number: int) -> str:
    return ssh_host(number % SSH_HOSTS) if kind.startswith(("once_ssh", "again_ssh", "both")) else host(number % HOSTS)


def alerts(count: int, seed: int) -> list[dict[str, str]]:
    """Return the bodies of the alerts of a run, one a host."""
    chance = random.Random(seed)
    kinds = chance.choices(list(KINDS), weights=list(KINDS.values()), k=count)
    return [
        {
            "source_id": f"fault-{seed}-{n}",
            "alert_type": kind,
            "ip": _place(kind, n),
            "content": "测试",
            "level": "critical",
        }
        for n, kind in enumerate(kinds)
    ]
