"""What the portal is measured against: the bare view, and Alertmanager."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import yaml

from tests.database import ROOT, SECRETS, reachable
from tests.stage import Stage, free_port

TABLE = "CREATE TABLE bench_bare (id bigserial PRIMARY KEY, raw bytea NOT NULL, received_at timestamptz DEFAULT now())"
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


class Peer:
    """A server beside the portal, in a process group of its own."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str], port: int) -> None:
        self.port = port
        with (folder / f"peer-{port}.log").open("ab") as log:
            self._child = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while not reachable(f"http://127.0.0.1:{port}"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not answer")
            time.sleep(0.05)

    def close(self) -> None:
        os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait(10)


def bare(stage: Stage) -> Peer:
    """Start the bare view on the stage's database, behind the same gunicorn settings as the portal."""
    with psycopg.connect(stage.database.url, autocommit=True) as link:
        link.execute(TABLE)
    port = free_port()
    env = {**stage.env, "BIND": f"127.0.0.1:{port}", "DJANGO_SETTINGS_MODULE": "tests.bench.bare_settings"}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "tests.bench.bare:application"]
    return Peer(command, stage.folder, env, port)


def alertmanager(stage: Stage) -> Peer | None:
    """Start an Alertmanager that sends every alert at once to the stage's corp; None where there is none installed."""
    if ALERTMANAGER is None:
        return None
    port = free_port()
    config = stage.folder / f"alertmanager-{port}.yml"
    config.write_text(yaml.safe_dump(_configuration(stage)), encoding="utf-8")
    storage = stage.folder / f"alertmanager-{port}"
    flags = ["--log.level=error", "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{port}"]
    command = [ALERTMANAGER, f"--config.file={config}", f"--storage.path={storage}", *flags]
    return Peer(command, stage.folder, stage.env, port)


def _configuration(stage: Stage) -> dict[str, object]:
    """Alerts with the label `told` go to WeCom, each in a group of its own; the others nowhere."""
    corp = stage.world.config
    wechat = {
        "api_url": stage.env["WECOM_API_URL"],
        "api_secret": SECRETS["WECOM_SECRET"],
        "corp_id": corp.corp_id,
        "agent_id": str(corp.apps[0].agent_id),
        "to_user": "@all",
        "message": "{{ .CommonAnnotations.summary }}",
    }
    every = {"group_by": ["..."], "group_wait": "0s", "group_interval": "1m", "repeat_interval": "1h"}
    told = {"matchers": ['told="yes"'], "receiver": "wecom", **every}
    return {
        "route": {"receiver": "nobody", "group_by": ["alertname"], "group_wait": "1m", "routes": [told]},
        "receivers": [{"name": "nobody"}, {"name": "wecom", "wechat_configs": [wechat]}],
    }


def alert_of_alertmanager(told: bool) -> str:
    """Return an alert in Alertmanager's form, as large as the portal's."""
    labels = {"alertname": "bench_alert", "instance": "127.0.2.1", "severity": "critical", "n": "@N@"}
    labels["told"] = "yes" if told else "no"
    return json.dumps({"labels": labels, "annotations": {"summary": "bench-@N@- a disk is nearly full"}})
