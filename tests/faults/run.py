"""One run: load and kills side by side, then rest, then the reckoning."""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults import facts as reading
from tests.faults.actors import Approvers, Killer, Sender
from tests.faults.invariants import Breach, Facts, breaches
from tests.faults.scenario import FaultStage, alerts, configuration

SECONDS_A_KILL = 2.5
LOAD_AT_MOST = 240.0  # seconds in which the kills happen
REST_AT_MOST = 180.0  # seconds until nothing may be due any more


@dataclass(frozen=True)
class Result:
    """What a run showed."""

    facts: Facts
    breaches: list[Breach]
    figures: list[tuple[str, str]]


def run(kills: int, executions: int, seed: int) -> Result:
    """Kill web, engine and worker `kills` times while `executions` alerts are worked off, and check every promise."""
    with tempfile.TemporaryDirectory(prefix="fta-faults-") as folder:
        stage = FaultStage(Path(folder), seed)
        try:
            stage.prepare(configuration(stage)).start("worker", "engine", "web")
            return _run(stage, kills, executions, seed)
        finally:
            stage.close()


def _run(stage: FaultStage, kills: int, executions: int, seed: int) -> Result:
    began = time.monotonic()
    seconds = min(LOAD_AT_MOST / 1.5, max(10.0, kills * SECONDS_A_KILL))
    sender = Sender(stage, alerts(executions, seed), seconds * 0.9)
    killer, approvers = Killer(stage, kills, seconds, seed), Approvers(stage, seed)
    for actor in (sender, approvers, killer):
        actor.start()
    killer.join(LOAD_AT_MOST)
    sender.join(LOAD_AT_MOST / 2)
    loaded = time.monotonic()
    rested = _rest(stage)
    approvers.stopping.set()
    approvers.join(10)
    found = reading.read(stage, sender.acknowledged)
    broken = breaches(found)
    broken += [Breach("the run did what it was to do", text) for text in _shortfalls(sender, approvers, killer)]
    times = [
        ("kills", f"{killer.killed.total()} ({_counts(killer.killed)})"),
        ("seconds under load / until nothing was due", f"{loaded - began:.0f} / {rested:.0f}"),
        ("posts for acknowledged alerts", f"{sender.posts} for {len(sender.acknowledged)}"),
        ("answers to decisions by status (0: none)", _counts({str(k): n for k, n in approvers.answers.items()})),
        ("step starts whose worker vanished", str(reading.lost_leases(stage))),
    ]
    return Result(found, broken, times + _figures(found))


def _shortfalls(sender: Sender, approvers: Approvers, killer: Killer) -> list[str]:
    """Return what makes a run worthless: promises are easily kept where nothing happens."""
    found = []
    if len(sender.acknowledged) != len(sender.bodies):
        found.append(f"{len(sender.acknowledged)} of {len(sender.bodies)} alerts were acknowledged")
    if killer.killed.total() != killer.kills:
        found.append(f"{killer.killed.total()} of {killer.kills} kills happened")
    if not approvers.answers[200]:
        found.append(f"no decision was taken; the last list of approvals was answered {approvers.listed}")
    return found


def _rest(stage: FaultStage) -> float:
    """Wait until nothing is due and return the seconds; what is still open then is found by the checks."""
    began = time.monotonic()
    while time.monotonic() - began < REST_AT_MOST and reading.open_work(stage):
        time.sleep(1.0)
    return time.monotonic() - began


def _figures(facts: Facts) -> list[tuple[str, str]]:
    once = Counter(step.state for step in facts.steps if step.policy == "once")
    idempotent = Counter(step.state for step in facts.steps if step.policy == "idempotent")
    twice = sum(1 for _, count in Counter(facts.marks).items() if count > 1)
    return [
        ("executions", _counts(Counter(run.state for run in facts.runs))),
        ("steps of policy once", _counts(once)),
        ("steps of policy idempotent", f"{_counts(idempotent)}; {twice} ran to their end more than once"),
        ("calls received", str(len(facts.calls))),
        ("steps that ended unknown: the honest price", str(once["unknown"] + idempotent["unknown"])),
        ("approvals", _counts(Counter(asked.state for asked in facts.approvals))),
        ("deliveries", _counts(facts.deliveries)),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    pairs = sorted(counts.items())
    return ", ".join(f"{name} {count}" for name, count in pairs) or "none"
