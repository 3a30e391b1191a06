"""One run: load and kills side by side, then rest, then the reckoning."""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults import facts as reading
from tests.faults import points
from tests.faults.actors import PROCESSES, Approvers, Keeper, Killer, Pauser, Sender
from tests.faults.invariants import Breach, Facts, breaches
from tests.faults.scenario import FaultStage, alerts, configuration

WORTH = "the run did what it was to do"
SECONDS_A_KILL = 2.0
SECONDS_AN_EXECUTION = 0.3


@dataclass(frozen=True)
class Result:
    """What a run showed."""

    facts: Facts
    breaches: list[Breach]
    figures: list[tuple[str, str]]


@dataclass(frozen=True)
class Size:
    """How much is done and how much goes wrong in a run."""

    executions: int = 300
    kills: int = 60  # at random moments
    aimed: int = 45  # at the named points
    pauses: int = 6  # past the lease, of processes; and as many of single workers, between acting and recording
    rest: int = 600  # seconds after the load until nothing may be due any more

    @property
    def seconds(self) -> float:
        """Return for how long there is load: enough for every fault, and for the work."""
        return max(10.0, self.kills * SECONDS_A_KILL, self.executions * SECONDS_AN_EXECUTION, self.pauses * 6.0)


def run(size: Size, seed: int, without: str = "") -> Result:
    """Let everything go wrong while alerts are worked off, and check every promise; `without` one of the guards."""
    with tempfile.TemporaryDirectory(prefix="fta-faults-") as folder:
        stage = FaultStage(Path(folder), seed, without)
        try:
            stage.prepare(configuration(stage)).start(*PROCESSES)
            points.tokens(stage.points, size.aimed, size.pauses)
            return _run(stage, size, seed)
        finally:
            stage.close()


def _run(stage: FaultStage, size: Size, seed: int) -> Result:
    began, seconds = time.monotonic(), size.seconds
    sender = Sender(stage, alerts(size.executions, seed), seconds * 0.9)
    killer, pauser = Killer(stage, size.kills, seconds, seed), Pauser(stage, size.pauses, seconds, seed)
    approvers, keeper = Approvers(stage, seed), Keeper(stage)
    for actor in (sender, approvers, killer, pauser, keeper):
        actor.start()
    try:
        for busy in (killer, pauser, sender):
            busy.join(seconds * 2)
        loaded = time.monotonic()
        rested = _rest(stage, size.rest)
    finally:  # else the keeper would go on starting what is to end
        for steady in (approvers, keeper):
            steady.stopping.set()
            steady.join(10)
    struck = points.struck(stage.points, size.aimed)
    stalled = size.pauses - len(list(stage.points.glob("stall-*")))
    found = reading.read(stage, sender.acknowledged)
    broken = breaches(found)
    broken += [Breach(WORTH, text) for text in _shortfalls(sender, approvers, killer, pauser, struck, size)]
    times = [
        ("kills at random", f"{killer.killed.total()} ({_counts(killer.killed)})"),
        ("kills at named points", f"{sum(struck.values())} of {size.aimed} ({_counts(struck)})"),
        ("pauses past the lease", f"{pauser.survived}, and {stalled} stalls of single workers"),
        ("seconds under load / until nothing was due", f"{loaded - began:.0f} / {rested:.0f}"),
        ("posts for acknowledged alerts", f"{sender.posts} for {len(sender.acknowledged)}"),
        ("answers to decisions by status (0: none)", _counts({str(k): n for k, n in approvers.answers.items()})),
        ("step starts whose worker vanished", str(reading.lost_leases(stage))),
    ]
    return Result(found, broken, times + _figures(found))


def _shortfalls(
    sender: Sender, approvers: Approvers, killer: Killer, pauser: Pauser, struck: Mapping[str, int], size: Size
) -> list[str]:
    """Return what makes a run worthless: promises are easily kept where nothing happens."""
    found = []
    if len(sender.acknowledged) != len(sender.bodies):
        found.append(f"{len(sender.acknowledged)} of {len(sender.bodies)} alerts were acknowledged")
    if killer.killed.total() != killer.kills:
        found.append(f"{killer.killed.total()} of {killer.kills} kills happened")
    if sum(struck.values()) < size.aimed * 0.9:
        found.append(f"{sum(struck.values())} of {size.aimed} aimed kills happened")
    if pauser.survived < pauser.pauses:
        found.append(f"{pauser.survived} of {pauser.pauses} pauses were survived")
    if not approvers.answers[200]:
        found.append(f"no decision was taken; the last list of approvals was answered {approvers.listed}")
    return found


def _rest(stage: FaultStage, most: float) -> float:
    """Wait until nothing is due and return the seconds; what is still open then is found by the checks."""
    began = time.monotonic()
    while time.monotonic() - began < most and reading.open_work(stage):
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
