"""What the fault suite runs: a generated configuration, the outside interface it calls, and the alerts that set it off."""

import json
import random
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.database import SECRETS
from tests.stage import Hook, Stage

HOSTS = 300
SECOND_KEY = "stage-second-api-key-0123456789"
KEYS = (SECRETS["FTA_API_KEY"], SECOND_KEY)
LEASE_SECONDS = 3
EXPIRES_AFTER = "60s"  # what nobody decides has to end within the run
SLOWEST_HOOK = 0.3  # seconds

# What an alert asks for, and how often.
KINDS = {"call_once": 0.4, "run_script": 0.25, "call_after_yes": 0.35}


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

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, postgres=True, FTA_LEASE_SECONDS=str(LEASE_SECONDS))
        self.hook.close()
        self.hook = SlowHook(seed)
        self.marks = folder / "marks"
        self.env["FTA_DEMO_HOOK"] = self.hook.url
        self.env["CELERY_BROKER_URL"], _ = self.redis()

    def again(self, name: str) -> None:
        """Start a process without waiting for it to answer, as a service manager does."""
        super().start(name) if name != "web" else self._web_again()

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


def host(number: int) -> str:
    """Return the address of a registered host."""
    return f"127.0.{2 + number // 200}.{number % 200 + 1}"


def _document(stage: FaultStage) -> dict[str, Any]:
    hosts = [
        {
            "ip": host(n),
            "name": f"fault-{n}",
            "business": "game",
            "set": "s",
            "module": "m",
            "connection": {"kind": "local"},
        }
        for n in range(HOSTS)
    ]
    return {
        "version": 1,
        "businesses": [{"code": "game", "name": "游戏大区"}],
        "hosts": hosts,
        "people": [{"username": "lisi", "wecom_userid": "lisi", "roles": ["viewer"], "businesses": ["game"]}],
        "api_keys": [
            {"name": f"ops-{n}", "key": key, "role": "operator", "businesses": ["game"]} for n, key in enumerate(KEYS)
        ],
        "wecom": {
            "corp_id": stage.world.config.corp_id,
            "agent_id": stage.world.config.apps[0].agent_id,
            "secret": SECRETS["WECOM_SECRET"],
            "token": SECRETS["WECOM_TOKEN"],
            "encoding_aes_key": SECRETS["WECOM_AES_KEY"],
            "api_url": stage.env["WECOM_API_URL"],
        },
        "sources": [{"name": "rest", "kind": "rest", "secret": SECRETS["FTA_SOURCE_SECRET"], "business": "game"}],
        "approval_policies": [
            {
                "name": "default",
                "stages": [{"approvers": [{"role": "operator"}], "quorum": 1}],
                "expires_after": EXPIRES_AFTER,
            }
        ],
        "packages": [_calling("call-once", "auto"), _script(stage), _calling("call-after-yes", "approval")],
        "rules": [
            {
                "name": name,
                "match": {"alert_type": name},
                "package": name.replace("_", "-"),
                "timeout": "20m",
                "mode": "auto",
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


def _calling(key: str, mode: str) -> dict[str, Any]:
    params = {"method": "POST", "url": "${ENV:FTA_DEMO_HOOK}", "body": {"ip": "${ip}", "execution": "${execution.id}"}}
    node = {"id": 1, "name": "调用", "type": "http", "policy": "once", "timeout": "20s", "params": params}
    return {"key": key, "name": key, "risk": "low", "mode": mode, "nodes": [node]}


def _script(stage: FaultStage) -> dict[str, Any]:
    script = f'#!/bin/sh\nsleep 0.1\necho "$FTA_IDEMPOTENCY_KEY" >> {stage.marks}\necho done\n'
    node = {
        "id": 1,
        "name": "脚本",
        "type": "script",
        "policy": "idempotent",
        "timeout": "30s",
        "params": {"script": script},
    }
    return {"key": "run-script", "name": "run-script", "risk": "low", "mode": "auto", "nodes": [node]}


def alerts(count: int, seed: int) -> list[dict[str, str]]:
    """Return the bodies of the alerts of a run, one a host."""
    chance = random.Random(seed)
    kinds = chance.choices(list(KINDS), weights=list(KINDS.values()), k=count)
    return [
        {
            "source_id": f"fault-{seed}-{n}",
            "alert_type": kind,
            "ip": host(n % HOSTS),
            "content": "测试",
            "level": "critical",
        }
        for n, kind in enumerate(kinds)
    ]
