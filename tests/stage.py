"""The whole portal as its processes: web, engine and workers on a database of their own, with a simulated corp beside it.

Used by the flow, browser, fault and bench suites. Everything binds to 127.0.0.1 on free ports.
"""

import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.database import AES_KEY, ROOT, SECRETS, Database, reachable
from wechat.simulator import server
from wechat.simulator.config import App, Config, GroupChat, Member
from wechat.simulator.world import World

CORP = "wwdemo0123456789ab"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


RABBITMQ = os.environ.get("FTA_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")


class Hook:
    """The outside interface that an HTTP step calls; it counts the calls by idempotency key."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.calls.append(
                    {"key": self.headers.get("Idempotency-Key"), "body": json.loads(body or b"{}"), "at": time.time()}
                )
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/restart"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


SETUP = """
import sys, django
django.setup()
from django.core.management import call_command
call_command("apply_config", sys.argv[1])
call_command("ensure_admin", "--username", "admin")
"""


class Stage:
    """One portal. `start` runs a process, `kill` ends one as a power cut would, `close` ends everything."""

    def __init__(self, folder: Path, postgres: bool = False, broker: str = "", **env: str) -> None:
        self.folder = folder
        self.database = Database(folder, postgres)
        self.hook = Hook()
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        app = App(
            agent_id=1000002,
            secret=SECRETS["WECOM_SECRET"],
            token=SECRETS["WECOM_TOKEN"],
            aes_key=AES_KEY,
            callback_url=f"{self.base}/wechat/entry/",
        )
        people = {"lisi": "李四", "wangwu": "王五", "zhaoliu": "赵六", "admin_wx": "审批管理员"}
        self.world = World(
            Config(
                apps=(app,),
                corp_id=CORP,
                members=tuple(Member(userid, name) for userid, name in people.items()),
                robots={"demo1": "值班一群", "demo2": "值班二群"},
                chats=(GroupChat("FTAALERTS", "告警群", "lisi", ("lisi", "wangwu")),),
            )
        )
        self.wecom, self._stop_wecom = server.start(self.world)
        self.env = {
            **os.environ,
            **SECRETS,
            "DEBUG": "0",
            "HTTPS_ONLY": "0",
            "DATABASE_URL": self.database.url,
            "CELERY_BROKER_URL": broker,
            "REDIS_URL": "",
            "FTA_HTTP_ALLOW": "127.0.0.0/8",
            "FTA_PORTAL_URL": self.base,
            "WECOM_SIMULATOR": "0",
            "WECOM_API_URL": f"{self.wecom}/cgi-bin/",
            "ROBOT_URL_1": f"{self.wecom}/cgi-bin/webhook/send?key=demo1",
            "ROBOT_URL_2": f"{self.wecom}/cgi-bin/webhook/send?key=demo2",
            "FTA_DEMO_HOOK": self.hook.url,
            "BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "EMAIL_URL": "dummymail://",
            "AUDIT_HEAD_FILE": str(folder / "audit-head.json"),
            **env,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._extra: list[subprocess.Popen[bytes]] = []

    # processes

    def manage(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=self.env,
            check=check,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def prepare(self, config: str | Path = "deploy/demo/portal.yaml") -> "Stage":
        """Apply the configuration and make the administrator; the database comes migrated."""
        env = {**self.env, "DJANGO_SETTINGS_MODULE": "fta.settings"}
        command = [sys.executable, "-c", SETUP, str(config)]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return self

    def prepare_more_hosts(self) -> "Stage":
        """Apply the demo's configuration with a host for every test, so that no convergence joins two of them.

        127.0.0.21 to .59 are of the same kind as web-11, 127.0.0.12 to .20 of the same kind as local-1. So are .101 to .123, for
        storms: nobody is told of results there, which would use up what WeCom takes in a minute.
        """
        document = yaml.safe_load((ROOT / "deploy/demo/portal.yaml").read_text(encoding="utf-8"))
        kinds = {row["name"]: row for row in document["hosts"]}
        for kind, module, numbers in (
            ("web-11", "web", range(21, 60)), ("local-1", "web", range(12, 21)), ("local-1", "storm", range(101, 124)),
        ):  # fmt: skip
            name = kind.partition("-")[0]
            document["hosts"] += [
                {**copy.deepcopy(kinds[kind]), "ip": f"127.0.0.{n}", "name": f"{name}-{n}", "module": module}
                for n in numbers
            ]
        document["notification_rules"][0]["match"] = {"module": ["web"]}
        config = self.folder / "portal.yaml"
        config.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        return self.prepare(config)

    def wecom_section(self) -> dict[str, Any]:
        """Return the section of a configuration file that connects the portal with the simulated corp."""
        return {
            "corp_id": self.world.config.corp_id,
            "agent_id": self.world.config.apps[0].agent_id,
            "secret": SECRETS["WECOM_SECRET"],
            "token": SECRETS["WECOM_TOKEN"],
            "encoding_aes_key": SECRETS["WECOM_AES_KEY"],
            "api_url": self.env["WECOM_API_URL"],
        }

    def command(self, kind: str) -> list[str]:
        if kind == "web":
            return [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "fta.wsgi"]
        if kind == "engine":
            return [sys.executable, "manage.py", "engine"]
        return [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "fta",
            "worker",
            "-P",
            "threads",
            "-c",
            "4",
            "--loglevel",
            "WARNING",
        ]

    def start(self, *names: str) -> "Stage":
        """Start processes by name: web, engine, worker, with a number behind for a second one (engine2)."""
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            self.processes[name] = subprocess.Popen(
                self.command(name.rstrip("0123456789")),
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if "web" in names:
            self.wait(self._served, "web to answer", 60)
        if {"web", "engine"} <= set(names):
            self.wait(self._ready, "the engine's heartbeat", 60)
        return self

    def kill(self, name: str) -> None:
        """SIGKILL the whole process group, as a power cut would."""
        child = self.processes.pop(name)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)

    def stop(self, name: str) -> int:
        """SIGTERM, as a service manager would; return the exit code."""
        child = self.processes.pop(name)
        child.terminate()
        return child.wait(40)

    def redis(self) -> tuple[str, subprocess.Popen[bytes]]:
        """Start a Redis of this stage's own; return its URL and process."""
        port = free_port()
        child = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )
        self._extra.append(child)
        self.wait(lambda: reachable(f"redis://127.0.0.1:{port}"), "redis to answer", 10)
        return f"redis://127.0.0.1:{port}/0", child

    def close(self) -> None:
        for child in [*self.processes.values(), *self._extra]:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL) if child in self.processes.values() else child.kill()
                child.wait(10)
        self._stop_wecom()
        self.hook.close()
        self.database.close()
        shutil.rmtree(self.folder / "journal", ignore_errors=True)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _served(self) -> bool:
        return self._answers("healthz")

    def _ready(self) -> bool:
        return self._answers("readyz")

    def _answers(self, probe: str) -> bool:
        try:
            return requests.get(f"{self.base}/{probe}/", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    # doors

    def wait(self, happened: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
        """Wait until something holds and return it; fail with the processes' last words."""
        deadline, pause = time.monotonic() + seconds, 0.05
        while time.monotonic() < deadline:
            found = happened()
            if found:
                return found
            time.sleep(pause)
            pause = min(pause * 1.3, 0.25)  # whoever asks all the time takes the processor from what it waits for
        tails = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self.processes)
        raise AssertionError(f"Waited {seconds} s for {what}\n{tails}")

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        answer = requests.request(
            method,
            f"{self.base}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {SECRETS['FTA_API_KEY']}"},
            timeout=20,
        )
        assert answer.status_code < 500, answer.text
        return answer.json()

    def post_alert(self, source_id: str, alert_type: str, ip: str, wait: bool = True, **more: Any) -> dict[str, Any]:
        body = {
            "source_id": source_id,
            "alert_type": alert_type,
            "ip": ip,
            "content": "测试",
            "level": "critical",
            **more,
        }
        answer = requests.post(
            f"{self.base}/intake/rest/{'?wait=1' if wait else ''}",
            json=body,
            headers={"X-Secret": SECRETS["FTA_SOURCE_SECRET"]},
            timeout=20,
        )
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def execution_of(self, alert: int) -> dict[str, Any] | None:
        results = self.api(f"executions/?alert={alert}")["results"]
        return results[0] if results else None

    def wait_execution(self, alert: int, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            run = self.execution_of(alert)
            return run if run and run["state"] in states else None

        found: dict[str, Any] = self.wait(
            reached, f"alert {alert} to reach {states}: {self.execution_of(alert)}", seconds
        )
        return found

    def texts(self, userid: str) -> list[str]:
        """Return the texts in a member's inbox, cards as their title."""
        with self.world.lock:
            return [str(bubble.body.get("content", "")) for bubble in self.world.inboxes[userid]]

    def say(self, userid: str, text: str) -> Mapping[str, Any]:
        answer = requests.post(f"{self.wecom}/sim/say", json={"userid": userid, "text": text}, timeout=20)
        found: dict[str, Any] = answer.json()
        return found
