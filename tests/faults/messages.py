"""python -m tests.faults.messages [--seconds 180] [--rate 20] [--seed N]: messages while WeCom fails in every way it can.

Alerts come at a steady rate, each told by an application, a robot and a webhook, while the simulated corp refuses, hangs, breaks,
forgets tokens and limits, and the engine is killed now and then. In the end every intent must have an end, and what the portal
says was sent must be on the phone: a digest counts for as many as it says. Only what WeCom dropped of itself, and called sent,
cannot be known; what it drops because the portal was over a limit can.
"""

import argparse
import copy
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
    {"next_errcodes": [81013] * 2},
    {"silent_drop": True},
]
# The faults that last, as they are when nothing is wrong; the others hit one call each.
OFF: dict[str, Any] = {
    **dict.fromkeys(("untrusted_ip", "server_error", "agent_closed", "silent_drop"), False),
    "slow_seconds": 0.0,
}
FAULT_SECONDS = 4.0  # each as long as this, with as much between two of them
SILENT_SECONDS = 65.0  # what the limits held back goes out once a minute
KILL_SECONDS = 15.0
REST_SECONDS = 900
_DIGEST = re.compile(r"(\d+) 条通知合并为一条")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.messages", description=__doc__)
    parser.add_argument("--seconds", type=int, default=180)
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
    load = Load(stage, random.Random(seed))
    load.run(seconds, rate)
    return _reckon(load, _rest(stage), seed)


class Load:
    """What is done to the portal: alerts at a steady rate, one fault after another, each in its turn, and killed engines."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self.stage, self.chance = stage, chance
        self.turns = itertools.cycle(chance.sample(FAULTS, len(FAULTS)))
        self.on: dict[str, Any] = {}
        self.sent = self.killed = 0
        self.switched: Counter[str] = Counter()
        self.silence: list[float] = []  # when WeCom began and ended to drop messages of itself

    def run(self, seconds: int, rate: int) -> None:
        """Post alerts at the rate, and let something go wrong all the while; in the end nothing is wrong any more."""
        began, next_fault, next_kill = time.monotonic(), FAULT_SECONDS, KILL_SECONDS
        while (at := time.monotonic() - began) < seconds:
            if at >= next_fault:
                self._switch({} if self.on else next(self.turns))
                next_fault += SILENT_SECONDS if "silent_drop" in self.on else FAULT_SECONDS
            if at >= next_kill:
                next_kill += KILL_SECONDS
                self._kill(self.chance.choice(["engine", "engine2"]))
            bodies = [_alert(self.sent + number) for number in range(max(0, int(at * rate) - self.sent))][:50]
            if bodies and _post(self.stage, bodies):
                self.sent += len(bodies)
            time.sleep(0.05)
        self._switch({})

    def was_silent(self, at: float) -> bool:
        """Tell whether WeCom dropped messages of itself at this moment."""
        spans = zip(self.silence[::2], self.silence[1::2], strict=True)
        return any(begin <= at <= end for begin, end in spans)

    def _switch(self, fault: dict[str, Any]) -> None:
        """Switch off what is on, and this on."""
        if "silent_drop" in {**self.on, **fault}:
            self.silence.append(self.stage.world.clock())
        changes = {name: OFF[name] for name in self.on if name in OFF} | copy.deepcopy(fault)
        self.stage.world.faults.set(changes)
        self.on = fault
        self.switched.update([_named(fault)] if fault else [])

    def _kill(self, name: str) -> None:
        self.stage.kill(name)
        self.stage.start(name)
        self.killed += 1


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


def _reckon(load: Load, rested: float, seed: int) -> int:
    stage, sent = load.stage, load.sent
    with psycopg.connect(stage.database.url) as link:
        rows = link.execute(
            "SELECT kind, state, count(*) FROM notify_delivery WHERE event = 'alert.firing' GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        alerts = link.execute("SELECT count(*) FROM fta_alert").fetchall()[0][0]
    ends: dict[str, Counter[str]] = {}
    for kind, state, count in rows:
        ends.setdefault(kind, Counter())[state] += count
    dropped = [bubble for bubble in stage.world.dropped if load.was_silent(bubble.at)]
    shown = {
        "wecom_app": _said([*stage.world.inboxes["lisi"], *dropped]),
        "wecom_robot": _said(stage.world.robots["demo1"].bubbles),
    }
    faults = dict(load.switched)
    print(f"seed {seed}: {sent} alerts, faults {faults}, {load.killed} kills, {rested:.0f} s until nothing was due")
    print(f"WeCom dropped of itself, and called sent: {len(dropped)} messages about {_said(dropped)} alerts")
    problems = [] if alerts == sent else [f"{sent} alerts were acknowledged and {alerts} are stored"]
    for kind, states in ends.items():
        print(f"{kind:<12} {dict(states)}" + (f", on the phone or dropped {shown[kind]}" if kind in shown else ""))
        if sum(states.values()) != alerts:
            problems.append(f"{alerts} alerts and {sum(states.values())} deliveries of {kind}")
        if set(states) - {"sent", "failed", "unknown"}:
            problems.append(f"deliveries of {kind} have no end")
        if kind in shown and shown[kind] < states["sent"]:
            problems.append(
                f"{states['sent']} of {kind} are called sent and {shown[kind]} were shown or dropped by WeCom of itself"
            )
    if not dropped:
        problems.append("nothing was sent while WeCom dropped messages")
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
