"""Goal 6: what a verdict costs with a long past, and what many rules cost."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from django.utils import timezone

from fta.matching import Subject
from fta.matching.index import RuleIndex
from fta.models import Alert, Business, Host, Rule, Source
from tests.bench import history
from tests.bench.client import middle
from tests.bench.report import Figure, at_most
from tests.bench.verdicts import Answer, Question
from tests.database import ROOT, SECRETS
from tests.stage import Stage

PART = "6  Stored alerts, stored rules"
SHORT, LONG = 1_000, 1_000_000
TURNS = 4  # of each number of rules in a round
NEW_HOSTS = 20  # of which nothing was heard yet
FEW, MANY = 10, 1000  # rules
Took: TypeAlias = dict[int, list[float]]  # by how many there were

CONVERGENCE: tuple[dict[str, Any], ...] = (  # as a new portal has them; history.py knows their groups
    {"name": "host", "count": 1, "dimensions": ["host", "alert_type"], "function": "skip_when_success"},
    {"name": "package", "count": 1, "dimensions": ["host", "package"], "function": "skip_when_success"},
    {"name": "defence", "count": 20, "dimensions": ["business", "alert_type"], "function": "defense"},
)


def measure(folder: Path, rounds: int, long: int = LONG) -> list[Figure]:
    """Compare two databases whose past is the same but for its length; then two indexes that differ in their number of rules."""
    at = timezone.now()
    with closing(Past(folder / "short", SHORT, at)) as few, closing(Past(folder / "long", long, at)) as many:
        return [*_verdicts(few, many, at, rounds), *_matching(rounds)]


class Past:
    """A portal's database with so many alerts in it, and a process that decides about further ones."""

    def __init__(self, folder: Path, alerts: int, at: datetime) -> None:
        folder.mkdir()
        self.alerts = alerts
        self.stage = Stage(folder, postgres=True)
        path = folder / "portal.yaml"
        path.write_text(yaml.safe_dump(_document(), allow_unicode=True), encoding="utf-8")
        self.stage.prepare(path)
        began = time.monotonic()
        history.fill(self.stage.database.url, alerts, at)
        self.seconds = time.monotonic() - began
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.verdicts"],
            cwd=ROOT,
            env={**self.stage.env, "DJANGO_SETTINGS_MODULE": "fta.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: Question) -> Answer:
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(json.dumps(asdict(question)) + "\n")
        self._child.stdin.flush()
        return Answer(**json.loads(self._child.stdout.readline()))

    def close(self) -> None:
        assert self._child.stdin
        self._child.stdin.close()
        self._child.wait(20)
        self.stage.close()


def _verdicts(few: Past, many: Past, at: datetime, rounds: int) -> list[Figure]:
    """Ask both about each alert in turn; the first round warms up and does not count."""
    asked = {
        "on the first of its kind": [(history.HOSTS + n, n) for n in range(NEW_HOSTS)],
        "on one more of a kind": [history.place(n) for n in range(1, history.HOT)],
    }
    found = [Figure(PART, f"{many.alerts:,} alerts and what came of them written in", f"{many.seconds:.0f} s")]
    for name, places in asked.items():
        took: Took = {few.alerts: [], many.alerts: []}
        for number in range(rounds + 1):
            for host, kind in places:
                question = Question(_host(host), history.alert_type(kind), at.isoformat())
                answers = {past.alerts: past.ask(question) for past in (few, many)}
                if len({answer.state for answer in answers.values()}) > 1:
                    raise RuntimeError(f"The same alert was decided in two ways: {answers}")
                for count, answer in answers.items() if number else ():
                    took[count].append(answer.milliseconds)
        found.append(_compared(f"verdict {name}, {few.alerts:,} → {many.alerts:,} alerts", took, "ms", ("gate", 1.3)))
    return found


def _matching(rounds: int) -> list[Figure]:
    """Match the same alerts against few rules and many, in turn; the first round warms up and does not count."""
    subjects = [Subject.of(_alert(number)) for number in range(MANY)]
    indexes = {count: RuleIndex(_rules(count)) for count in (FEW, MANY)}
    took: Took = {FEW: [], MANY: []}
    for number in range(rounds * TURNS + 1):
        for count, index in indexes.items():
            began = time.perf_counter()
            for subject in subjects:
                index.first(subject)
            if number:
                took[count].append((time.perf_counter() - began) / len(subjects) * 1e6)
    return [_compared(f"matching one alert, {FEW} → {MANY:,} rules", took, "µs", ("gate", 3), ("goal", 1.5))]


def _compared(name: str, took: Took, unit: str, *limits: tuple[str, float]) -> Figure:
    """Return what the medians of few and many say, and their ratio against its limits."""
    few, many = (middle(times) for times in took.values())
    wanted = tuple(at_most(kind, many / few, limit) for kind, limit in limits)
    return Figure(PART, name, f"{few:.1f} → {many:.1f} {unit}: {many / few:.2f}×", wanted)


def _rules(count: int) -> list[Rule]:
    """Return so many rules of all kinds; the last takes whatever no other one does."""
    kinds: tuple[Callable[[int], dict[str, Any]], ...] = (
        lambda n: {"alert_type": f"type_{n}", "severity": ["critical", "error"]},
        lambda n: {"alert_type": {"prefix": f"family_{n}_"}, "content": {"regex": "full|slow"}},
        lambda n: {"alert_type": f"type_{n}", "business": "b1", "module": {"glob": "db*"}},
        lambda n: {"labels": {"job": f"job_{n}"}},
        lambda n: {"ip": _host(n)},
    )
    made = [Rule(pk=n + 1, name=str(n), priority=n, match=kinds[n % len(kinds)](n)) for n in range(count - 1)]
    return [*made, Rule(pk=count, name="rest", priority=count, match={})]


def _alert(number: int) -> Alert:
    business = Business(code="b1")
    return Alert(
        source=Source(name="rest"),
        alert_type=f"type_{number}" if number % 2 else f"family_{number}_x",
        severity="warning",
        severity_raw="warning",
        content="a disk is nearly full",
        target=_host(number),
        host=Host(ip=_host(number), name=f"h-{number}", set_name="s1", module="m1", business=business),
        business=business,
        labels={"job": f"job_{number}", "instance": _host(number)},
        received_at=timezone.now(),
    )


def _document() -> dict[str, Any]:
    node = {"id": 1, "name": "等待", "type": "sleep", "policy": "idempotent", "params": {"seconds": 1}}
    types = [history.alert_type(number) for number in range(history.TYPES)]
    hosts = history.HOSTS + NEW_HOSTS
    return {
        "version": 1,
        "businesses": [{"code": f"b{n}", "name": f"业务 {n}"} for n in range(10)],
        "hosts": [
            {"ip": _host(n), "name": f"h-{n}", "business": f"b{n % 10}", "set": f"s{n % 7}", "module": f"m{n % 3}"}
            for n in range(hosts)
        ],
        "sources": [{"name": "rest", "kind": "rest", "secret": SECRETS["FTA_SOURCE_SECRET"], "business": "b0"}],
        "packages": [
            {"key": f"p{n}", "name": f"p{n}", "risk": "low", "mode": "auto", "nodes": [node]} for n in range(3)
        ],
        "rules": [
            {"name": word, "match": {"alert_type": word}, "package": f"p{n % 3}"} for n, word in enumerate(types)
        ],
        "convergence_rules": [
            {**rule, "priority": n, "window": "5m", "remark": "bench"} for n, rule in enumerate(CONVERGENCE, 1)
        ],
    }


def _host(number: int) -> str:
    return f"127.1.{number // 250}.{number % 250 + 1}"
