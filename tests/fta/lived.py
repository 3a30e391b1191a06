"""A stretch of time lived through the real pipeline, event by event, for comparison with what a backtest makes of it."""

import random
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

import time_machine

from fta import pipeline
from fta.healing.ending import end_execution
from fta.models import Alert, ConfigVersion, Execution, Shield
from tests import factories

State = Execution.State
TYPES = ["disk_full", "cpu", "mem", "ping", "noise"]
FUNCTIONS = [
    ("skip_when_success", ["host", "alert_type"], 1, 300),
    ("wait_when_running", ["host", "package"], 1, 120),
    ("defense", ["business", "alert_type"], 6, 60),
    ("skip_when_running", ["set"], 4, 90),
    ("approve_when_failed", ["module", "alert_type"], 2, 200),
    ("trigger", [{"name": "severity", "values": ["info"]}, "host"], 2, 300),
    ("collect", ["alert_type", {"name": "set", "values": ["s1", "s2"]}], 12, 60),
    ("notify", ["label:rack"], 3, 60),
]


def setting(chance: random.Random, functions: int = 4) -> None:
    """Make hosts, packages, rules, a shield and some convergence rules."""
    game, pay = factories.business("game", "游戏大区"), factories.business("pay", "支付")
    for number in range(8):
        business = pay if number > 5 else game
        factories.host(
            f"127.0.6.{number}", f"h{number}", set_name=f"s{number % 3}", module=f"m{number % 2}", business=business
        )
    packages = [factories.package("a"), factories.package("b", mode="approval"), factories.package("c", mode="shadow")]
    factories.rule("一", match={"alert_type": "disk_full"}, package=packages[0], priority=1, timeout=600)
    factories.rule("二", match={"alert_type": ["cpu", "mem"]}, package=packages[0], priority=2, timeout=240)
    factories.rule("三", match={"alert_type": "ping", "business": "pay"}, package=packages[1], priority=3)
    factories.rule("四", match={"alert_type": "ping", "set": "s0"}, package=packages[2], priority=4)
    factories.rule("五", match={"alert_type": "ping", "set": "s1"}, package=None, priority=5)
    for number, (function, dimensions, count, window) in enumerate(chance.sample(FUNCTIONS, functions)):
        factories.convergence_rule(
            f"收{number}", function=function, dimensions=dimensions, count=count, window=window, priority=number
        )
    for kind in ("rules", "shields", "convergence"):
        ConfigVersion.bump(kind)


def shield(begin: datetime) -> None:
    Shield.objects.create(
        name="割接",
        match={"set": "s2", "alert_type": "cpu"},
        starts_at=begin,
        ends_at=begin + timedelta(minutes=2),
        reason="r",
    )
    ConfigVersion.bump("shields")


class Lived:
    """Drives the pipeline through time: alerts fire and resolve, executions end well or badly, sleepers wake."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.events: list[tuple[datetime, int, str, Any]] = []
        self.number = 0
        self.watched: set[int] = set()

    def at(self, moment: datetime, what: str, thing: Any) -> None:
        self.number += 1
        heappush(self.events, (moment, self.number, what, thing))

    def live(self, begin: datetime, alerts: int, seconds: float) -> None:
        """Let alerts come over so many seconds, in bursts, and go on until all has ended."""
        moment = begin
        for _ in range(alerts):
            moment += timedelta(seconds=self.chance.choice([0.1, 0.5, 1, seconds / alerts * 2.5]))
            self.at(moment, "fire", None)
        while self.events:
            moment, _n, what, thing = heappop(self.events)
            self.wake_until(moment)
            getattr(self, what)(moment, thing)

    def wake_until(self, moment: datetime) -> None:
        """Wake those whose time comes before a moment, as the engine does."""
        while True:
            due = Execution.objects.filter(state=State.SLEEPING, wake_at__lte=moment).order_by("wake_at", "pk").first()
            if due is None or due.wake_at is None:
                return
            with time_machine.travel(due.wake_at, tick=False):
                pipeline.SleeperKind().do(due.pk)
            self.watch(due.pk, due.wake_at)

    def fire(self, moment: datetime, _: None) -> None:
        chance = self.chance
        alert = factories.alert(
            alert_type=chance.choice(TYPES),
            target=f"127.0.6.{min(chance.randrange(9), chance.randrange(10))}",  # the ninth is not registered
            severity=chance.choice(["critical", "info"]),
            labels={"rack": f"r{chance.randrange(3)}"} if chance.random() < 0.7 else {},
            received_at=moment,
            starts_at=moment,
            last_seen_at=moment,
        )
        run = pipeline.process(alert, moment)
        if run is not None:
            self.watch(run.pk, moment)
        if chance.random() < 0.3:
            self.at(moment + timedelta(seconds=chance.randrange(5, 200)), "resolve", alert)

    def resolve(self, moment: datetime, alert: Alert) -> None:
        Alert.objects.filter(pk=alert.pk).update(status=Alert.Status.RESOLVED, resolved_at=moment, last_seen_at=moment)
        Execution.objects.filter(alert=alert, state=State.SLEEPING).update(wake_at=moment)  # they are due at once
        self.wake_until(moment)

    def watch(self, pk: int, moment: datetime) -> None:
        """Let an execution that may run, or that a person is asked about, end some time."""
        run = Execution.objects.get(pk=pk)
        if pk in self.watched or run.state not in (State.READY, State.HELD):
            return
        self.watched.add(pk)
        if run.state == State.READY:
            Execution.objects.filter(pk=pk).update(started_at=moment)
        self.at(moment + timedelta(seconds=self.chance.randrange(1, 400)), "end", pk)

    def end(self, moment: datetime, pk: int) -> None:
        result = self.chance.choice([State.SUCCEEDED, State.FAILED, State.ALMOST, State.UNKNOWN, State.CANCELLED])
        if Execution.objects.get(pk=pk).state == State.HELD and self.chance.random() < 0.5:
            result = State.SKIPPED
        Execution.objects.filter(pk=pk).update(state=State.RUNNING)
        end_execution(Execution.objects.get(pk=pk), result, "", moment)
        self.wake_until(moment)
