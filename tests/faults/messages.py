"""python -m tests.faults.messages [--seconds 120] [--rate 20] [--seed N]: messages while WeCom fails in every way it can.

Alerts come at a steady rate, each told by an application, a robot and a webhook, while the simulated corp refuses, hangs, breaks,
forgets tokens and limits, and the engine is killed now and then. In the end every intent must have an end, and what the portal
says was sent must be on the phone: a digest counts for as many as it says.
"""

import argparse
import itertools
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import django
import psycopg
import requests
import yaml

from tests.database import SECRETS
from tests.faults.__main__ import lacking
from tests.faults.scenario import SlowHook
from tests.stage import Stage

FAULTS: list[dict[str, Any]] = [
    {"untrusted_ip": True},
    {"next_token_expired": True},
    {"next_token_invalid": True},
    {"next_errcodes": [45009] * 3},
    {"next_errcodes": [-1] * 5},
    {"next_errcodes": [40001]},
    {"server_error": True},
    {"slow_seconds": 12.0},
    {"agent_closed": True},
]
FAULT_SECONDS = 4.0  # each as long as this, with as much between two of them
REST_SECONDS = 900
_DIGEST = re.compile(r"(\d+) 条通知合并为一条")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.messages", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rate", type=int, default=20, help="alerts a second")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    args = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")
    django.setup()  # the simulated corp lives in this process
    if missing := lacking():
        print(f"Not run: {missing}")
        return 2
    with tempfile.TemporaryDirectory(prefix="fta-messages-") as folder:
        stage = Stage(Path(folder), postgres=True, FTA_LEASE_SECONDS="5")
        stage.hook.close()
        stage.hook = SlowHook(args.seed)
        try:
            return _run(stage, args.seconds, args.rate, args.seed)
        finally:
            stage.close()


def _run(stage: Stage, seconds: int, rate: int, seed: int) -> int:
    stage.prepare(_configuration(stage)).start("web", "engine", "engine2")
    chance = random.Random(seed)
    sent, switched, killed = _load(stage, seconds, rate, chance)
    stage.world.faults.set(
        dict.fromkeys(("untrusted_ip", "server_error", "agent_closed"), False) | {"slow_seconds": 0.0}
    )
    rested = _rest(stage)
    return _reckon(stage, sent, switched, killed, rested, seed)


def _load(stage: Stage, seconds: int, rate: int, chance: random.Random) -> tuple[int, Counter[str], int]:
    """Post alerts at the rate; switch one fault on and off after another, each in its turn, and kill an engine now and then."""
    turns = itertools.cycle(chance.sample(FAULTS, len(FAULTS)))
    sent, killed, switched, on = 0, 0, Counter[str](), {}
    began, next_fault, next_kill = time.monotonic(), FAULT_SECONDS, 15.0
    while (at := time.monotonic() - began) < seconds:
        if at >= next_fault:
            next_fault += FAULT_SECONDS
            if on:
                stage.world.faults.set(
                    {name: 0.0 if name == "slow_seconds" else False for name in on if name[:5] != "next_"}
                )
                on = {}
            else:
                on = next(turns)
                stage.world.faults.set({name: list(v) if isinstance(v, list) else v for name, v in on.items()})
                switched[_named(on)] += 1
        if at >= next_kill:
            next_kill, killed = next_kill + 15.0, killed + 1
            name = chance.choice(["engine", "engine2"])
            stage.kill(name)
            stage.start(name)
        bodies = [_alert(sent + number) for number in range(max(0, int(at * rate) - sent))][:50]
        if bodies and _post(stage, bodies):
            sent += len(bodies)
        time.sleep(0.05)
    return sent, switched, killed


def _named(fault: dict[str, Any]) -> str:
    name, value = next(iter(fault.items()))
    return f"{name} {value[0]}" if isinstance(value, list) else name


def _alert(number: int) -> dict[str, str]:
    return {
        "source_id": f"m{number}",
        "alert_type": "disk_full",
        "ip": f"127.0.3.{number % 250 + 1}",
        "content": f"第 {number} 条",
    }


def _post(stage: Stage, bodies: list[dict[str, str]]) -> bool:
    headers = {"X-Secret": SECRETS["FTA_SOURCE_SECRET"]}
    answer = requests.post(f"{stage.base}/intake/rest/", json=bodies, headers=headers, timeout=10)
    return answer.status_code == 202


def _rest(stage: Stage) -> float:
    began = time.monotonic()
    open_ones = "SELECT count(*) FROM notify_delivery WHERE state IN ('pending', 'sending')"
    while time.monotonic() - began < REST_SECONDS:
        with psycopg.connect(stage.database.url) as link:
            if not link.execute(open_ones).fetchall()[0][0]:
                break
        time.sleep(1.0)
    return time.monotonic() - began


def _reckon(stage: Stage, sent: int, switched: Counter[str], killed: int, rested: float, seed: int) -> int:
    with psycopg.connect(stage.database.url) as link:
        rows = link.execute(
            "SELECT kind, state, count(*) FROM notify_delivery WHERE event = 'alert.firing' GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        alerts = link.execute("SELECT count(*) FROM fta_alert").fetchall()[0][0]
    ends: dict[str, Counter[str]] = {}
    for kind, state, count in rows:
        ends.setdefault(kind, Counter())[state] += count
    shown = {"wecom_app": _said(stage.world.inboxes["lisi"]), "wecom_robot": _said(stage.world.robots["demo1"].bubbles)}
    print(f"seed {seed}: {sent} alerts, faults {dict(switched)}, {killed} kills, {rested:.0f} s until nothing was due")
    problems = [] if alerts == sent else [f"{sent} alerts were acknowledged and {alerts} are stored"]
    for kind, states in ends.items():
        print(f"{kind:<12} {dict(states)}" + (f", on the phone {shown[kind]}" if kind in shown else ""))
        if sum(states.values()) != alerts:
            problems.append(f"{alerts} alerts and {sum(states.values())} deliveries of {kind}")
        if set(states) - {"sent", "failed", "unknown"}:
            problems.append(f"deliveries of {kind} have no end")
        if kind in shown and shown[kind] < states["sent"]:
            problems.append(f"{states['sent']} of {kind} are called sent and {shown[kind]} are on the phone")
    if len(ends) != 3:
        problems.append(f"only {', '.join(ends)} were told")
    print(
        "\n".join(f"BROKEN {problem}" for problem in problems)
        or "kept: every intent has an end, and what was sent is there"
    )
    return 1 if problems else 0


def _said(bubbles: list[Any]) -> int:
    """Return how many alerts a conversation tells of; a digest of n counts for n, a part of a long one not again."""
    texts = [str(bubble.body.get("content", "")) for bubble in bubbles]
    digests = [int(found[1]) for text in texts if (found := _DIGEST.search(text))]
    return sum(digests) + sum("第 " in text for text in texts if not _DIGEST.search(text))


def _configuration(stage: Stage) -> Path:
    document = {
        "version": 1,
        "businesses": [{"code": "game", "name": "游戏大区"}],
        "people": [{"username": "lisi", "wecom_userid": "lisi", "roles": ["viewer"], "businesses": ["game"]}],
        "api_keys": [{"name": "ops", "key": SECRETS["FTA_API_KEY"], "role": "operator", "businesses": ["game"]}],
        "wecom": stage.wecom_section(),
        "sources": [{"name": "rest", "kind": "rest", "secret": SECRETS["FTA_SOURCE_SECRET"], "business": "game"}],
        "channels": [
            {"name": "app", "kind": "wecom_app", "to_user": ["lisi"]},
            {"name": "group", "kind": "wecom_robot", "groups": [{"name": "g", "webhook": stage.env["ROBOT_URL_1"]}]},
            {"name": "hook", "kind": "webhook", "url": stage.hook.url, "secret": "stage-webhook-secret-0123"},
        ],
        "notification_rules": [{"name": "全部", "events": ["alert.firing"], "channels": ["app", "group", "hook"]}],
        "convergence_rules": [],
    }
    path = stage.folder / "portal.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
