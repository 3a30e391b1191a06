"""One run: load and kills side by side, then rest, then the reckoning."""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults import facts as reading
from tests.faults import points
from tests.faults.actors import PROCESSES, Approvers, Cutter, Keeper, Killer, Pauser, Sender, Tamperer
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
    cuts: int = 6  # of database connections, and of the broker
    rest: int = 600  # seconds after the load until nothing may be due any more

    @property
    def doubles(self) -> int:
        """Return how many alerts two engines take up."""
        return max(3, self.executions // 20)

    @property
    def changes(self) -> int:
        """Return how many plans somebody changes in the database while their executions wait; some of them then expire."""
        return max(3, self.executions // 13)

    @property
    def races(self) -> int:
        """Return how many plans are changed between a worker's reading and its claim."""
        return max(2, self.executions // 25)

    @property
    def seconds(self) -> float:
        """Return for how long there is load: enough for every fault, and for the work."""
        kills = self.kills + self.aimed  # each makes a process start again, which takes longer than most of its work
        return max(10.0, kills * SECONDS_A_KILL, self.executions * SECONDS_AN_EXECUTION, self.pauses * 6.0)


def run(size: Size, seed: int, without: str = "") -> Result:
    """Let everything go wrong while alerts are worked off, and check every promise; `without` one of the guards."""
    with tempfile.TemporaryDirectory(prefix="fta-faults-") as folder:
        stage = FaultStage(Path(folder), seed, without)
        try:
            stage.prepare(configuration(stage)).start(*PROCESSES)
            points.tokens(stage.points, size.aimed, stall=size.pauses, twice=size.doubles, race=size.races)
            return _run(stage, size, seed)
        finally:
            stage.close()


@dataclass(frozen=True)
class Cast:
    """Those who act on the portal in a run."""

    sender: Sender
    approvers: Approvers
    killer: Killer
    pauser: Pauser
    tamperer: Tamperer
    cutter: Cutter
    keeper: Keeper

    @classmethod
    def of(cls, stage: FaultStage, size: Size, seed: int) -> "Cast":
        """Return the cast of a run."""
        seconds = size.seconds
        return cls(
            Sender(stage, alerts(size.executions, seed), seconds * 0.9, seed),
            Approvers(stage, seed),
            Killer(stage, size.kills, seconds, seed),
            Pauser(stage, size.pauses, seconds, seed),
            Tamperer(stage, size.changes, seconds, seed),
            Cutter(stage, size.cuts, seconds, seed),
            Keeper(stage),
        )

    def start(self) -> None:
        """Let all of them begin."""
        for actor in (self.sender, self.approvers, self.killer, self.pauser, self.tamperer, self.cutter, self.keeper):
            actor.start()

    def end_load(self, seconds: float) -> None:
        """Wait until nothing more is sent and nothing more goes wrong."""
        for busy in (self.killer, self.pauser, self.sender, self.tamperer, self.cutter):
            busy.join(seconds)

    def end(self) -> None:
        """Stop those who go on for as long as the run does."""
        for steady in (self.approvers, self.keeper):
            steady.stopping.set()
            steady.join(10)


def _run(stage: FaultStage, size: Size, seed: int) -> Result:
    began = time.monotonic()
    cast = Cast.of(stage, size, seed)
    cast.start()
    try:
        cast.end_load(size.seconds * 2)
        loaded = time.monotonic()
        rested = _rest(stage, size.rest)
    finally:  # else the keeper would go on starting what is to end
        cast.end()
    struck = points.struck(stage.points, size.aimed)
    met = points.met(stage.points, stall=size.pauses, twice=size.doubles, race=size.races)
    found = reading.read(stage, cast.sender.acknowledged, cast.sender.over)
    broken = breaches(found) + [Breach(WORTH, text) for text in _shortfalls(cast, struck, met, size)]
    killed, sender = cast.killer.killed, cast.sender
    times = [
        ("kills at random", f"{killed.total()} ({_counts(killed)})"),
        ("kills at named points", f"{sum(struck.values())} of {size.aimed} ({_counts(struck)})"),
        ("pauses past the lease", f"{cast.pauser.survived}, and {met['stall']} stalls of single workers"),
        ("database and broker cut off", _counts(cast.cutter.done)),
        ("alerts that two engines took up", str(met["twice"])),
        ("plans changed in the database", f"{cast.tamperer.done}, and {met['race']} between reading and claim"),
        ("seconds under load / until nothing was due", f"{loaded - began:.0f} / {rested:.0f}"),
        (
            "posts for acknowledged alerts",
            f"{sender.posts} for {len(sender.acknowledged)}, of which {len(sender.over)} ended",
        ),
        ("answers to decisions by status (0: none)", _counts({str(k): n for k, n in cast.approvers.answers.items()})),
        ("step starts whose worker vanished", str(reading.lost_leases(stage))),
    ]
    return Result(found, broken, times + _figures(found))


def _shortfalls(cast: Cast, struck: Mapping[str, int], met: Mapping[str, int], size: Size) -> list[str]:
    """Return what makes a run worthless: promises are easily kept where nothing happens."""
    found = []
    sender, killer, pauser, approvers = cast.sender, cast.killer, cast.pauser, cast.approvers
    if len(sender.acknowledged) != len(sender.bodies):
        found.append(f"{len(sender.acknowledged)} of {len(sender.bodies)} alerts were acknowledged")
    if killer.killed.total() != killer.kills:
        found.append(f"{killer.killed.total()} of {killer.kills} kills happened")
    if sum(struck.values()) < size.aimed - max(1, size.aimed // 10):
        found.append(f"{sum(struck.values())} of {size.aimed} aimed kills happened")
    if pauser.survived < pauser.pauses:
        found.append(f"{pauser.survived} of {pauser.pauses} pauses were survived")
    if cast.tamperer.done < size.changes / 2:  # where nothing waits for long there is little to be changed
        found.append(f"{cast.tamperer.done} of {size.changes} plans were changed")
    if cast.cutter.done.total() != size.cuts:
        found.append(f"{cast.cutter.done.total()} of {size.cuts} cuts were made")
    if not met["twice"]:
        found.append("no alert was taken up by two engines")
    if not met["race"]:
        found.append("no plan was changed between reading and claim")
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
        (
            "executions whose plan was changed",
            _counts(Counter(run.state for run in facts.runs if run.id in facts.changed)),
        ),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    pairs = sorted(counts.items())
    return ", ".join(f"{name} {count}" for name, count in pairs) or "none"
