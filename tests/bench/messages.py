"""Goal 3: from an alert to the WeCom message at the simulated corp, against Alertmanager's own receiver."""

import json
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field

from tests.bench.client import middle, percentile, send
from tests.bench.load import Outcome, Spec
from tests.bench.peers import Peer, alert_of_alertmanager, alertmanager
from tests.bench.portal import HEADERS, STORMS, BenchStage, alert, host
from tests.bench.report import Figure, Wanted, at_most

PART = "3  Alert to WeCom message"
RATES = (20, 200)
STORM = 1000
LATEST = 5.0  # seconds after the last alert in which a message counts as come at all
OPEN = """
SELECT (SELECT count(*) FROM fta_inbox WHERE state = 'new')
     + (SELECT count(*) FROM notify_delivery WHERE state IN ('pending', 'sending'))
"""
_TOKEN = re.compile(r"bench-([\w-]+?)-(\d+)-")


@dataclass(frozen=True)
class Storm:
    """One storm: seconds until its first message and until all was worked off, and how many messages came."""

    first: float
    all: float
    messages: int


@dataclass
class Told:
    """What the rounds of one way at one rate gave."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    missing: int = 0
    alerts: int = 0


def measure(stage: BenchStage, rounds: int, seconds: float) -> list[Figure]:
    """Send at each rate to the portal and to Alertmanager in turn; then let 1,000 alerts converge to one message."""
    peer = alertmanager(stage)
    told: dict[tuple[str, int], Told] = defaultdict(Told)
    storms: list[Storm] = []
    try:
        _round(stage, peer, "warm", 20, 1.0, defaultdict(Told))
        for number in range(rounds):
            for rate in RATES:
                _round(stage, peer, f"{number}r{rate}", rate, seconds if rate == RATES[0] else seconds / 2, told)
        storms += [_storm(stage, number) for number in range(min(rounds, STORMS))]
    finally:
        if peer:
            peer.close()
    return _figures(told, storms)


def _round(
    stage: BenchStage, peer: Peer | None, tag: str, rate: int, seconds: float, told: dict[tuple[str, int], Told]
) -> None:
    ours = Spec(stage.port, "/intake/rest/", HEADERS, alert("bench_told"), tag=f"p{tag}", rate=rate, seconds=seconds)
    _send_and_wait(stage, ours, told["portal", rate])
    _rest(stage)
    if peer:
        item = alert_of_alertmanager(told=True)
        theirs = Spec(
            peer.port,
            "/api/v2/alerts",
            {"Content-Type": "application/json"},
            item,
            listed=True,
            tag=f"a{tag}",
            rate=rate,
            seconds=seconds,
        )
        _send_and_wait(stage, theirs, told["Alertmanager", rate])


def _send_and_wait(stage: BenchStage, spec: Spec, told: Told) -> None:
    stage.world.clear_conversations()
    outcome = send(spec)
    arrived: dict[int, float] = {}
    deadline = time.monotonic() + LATEST
    while len(arrived) < len(outcome.due_at) and time.monotonic() < deadline:
        time.sleep(0.05)
        arrived = _arrived(stage, spec.tag)
    _count(told, outcome, arrived)


def _arrived(stage: BenchStage, tag: str) -> dict[int, float]:
    """Return when the first message about each numbered alert reached a member."""
    found: dict[int, float] = {}
    with stage.world.lock:
        for bubble in stage.world.inboxes["lisi"]:
            for name, number in _TOKEN.findall(json.dumps(bubble.body, ensure_ascii=False)):
                if name == tag:
                    found.setdefault(int(number), bubble.at)
    return found


def _count(told: Told, outcome: Outcome, arrived: dict[int, float]) -> None:
    waits = [(arrived[n] - due) * 1000 for n, due in enumerate(outcome.due_at) if n in arrived]
    late = len(outcome.due_at) - len(waits)
    waits += [LATEST * 1000] * late  # at least so long
    told.p50.append(percentile(waits, 0.50))
    told.p99.append(percentile(waits, 0.99))
    told.missing += late
    told.alerts += len(outcome.due_at)


def _storm(stage: BenchStage, number: int) -> Storm:
    """Post 1,000 alerts at once that converge to one message."""
    stage.world.clear_conversations()
    item, tag = alert(f"bench_storm_{number}", host(number)), f"storm{number}"
    began = time.time()
    send(Spec(stage.port, "/intake/rest/", HEADERS, item, 100, True, tag=tag, at_most=STORM // 100, seconds=20))
    _rest(stage, 45)
    ended = time.time()
    time.sleep(0.3)  # for a second message, which would be one too many
    with stage.world.lock:
        bubbles = list(stage.world.inboxes["lisi"])
    return Storm(bubbles[0].at - began if bubbles else float("nan"), ended - began, len(bubbles))


def _rest(stage: BenchStage, seconds: float = 15) -> None:
    """Wait until everything is worked off, so that the next round does not pay for this one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and stage.count(OPEN):
        time.sleep(0.05)


def _figures(told: dict[tuple[str, int], Told], storms: list[Storm]) -> list[Figure]:
    found = []
    for rate in RATES:
        ours, theirs = told["portal", rate], told["Alertmanager", rate]
        found += [Figure(PART, f"{name} at {rate}/s", _text(told[name, rate])) for name in ("portal", "Alertmanager")]
        if theirs.p50:
            p50, p99 = middle(ours.p50) / middle(theirs.p50), middle(ours.p99) / middle(theirs.p99)
            limits: tuple[Wanted, ...] = (at_most("gate", p50, 5), at_most("goal", p50, 2.5))
            found.append(Figure(PART, f"p50 at {rate}/s, portal ÷ Alertmanager", f"{p50:.1f}", limits))
            limits = (at_most("gate", p99, 6), at_most("goal", p99, 3))
            found.append(Figure(PART, f"p99 at {rate}/s, portal ÷ Alertmanager", f"{p99:.1f}", limits))
    wait, worked_off = middle([storm.first for storm in storms]), STORM / middle([storm.all for storm in storms])
    messages = ", ".join(str(storm.messages) for storm in storms)
    value = f"{wait:.2f} s; messages a storm: {messages}"
    found.append(
        Figure(PART, "1,000 alerts at once: their one message after", value, (at_most("gate", wait, 1.0, " s"),))
    )
    found.append(Figure(PART, "the same: stored, matched, converged, alerts/s", f"{worked_off:,.0f}"))
    return found


def _text(told: Told) -> str:
    if not told.p50:
        return "not installed: not compared"
    late = f", {told.missing} of {told.alerts} not within {LATEST:.0f} s" if told.missing else ""
    return f"p50 {middle(told.p50):.1f} ms, p99 {middle(told.p99):.1f} ms{late}"
