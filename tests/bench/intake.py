"""Goal 1: intake, durable before the answer, against a bare view on the same server and against Alertmanager."""

from collections import defaultdict
from dataclasses import replace

from tests.bench.client import middle, percentile, send
from tests.bench.load import Spec
from tests.bench.peers import alert_of_alertmanager, alertmanager, bare
from tests.bench.portal import HEADERS, BenchStage, alert
from tests.bench.report import Figure, Wanted, at_least

PART = "1  Intake, durable before the answer"
JSON = {"Content-Type": "application/json"}
LISTED = 100
Rates = dict[str, list[float]]


def measure(stage: BenchStage, rounds: int, seconds: float) -> list[Figure]:
    """Drive each server in turn, round after round; only the web processes of the portal run."""
    stage.start("web")
    view, peer = bare(stage), alertmanager(stage)
    rates: Rates = defaultdict(list)
    slowest: Rates = defaultdict(list)
    try:
        specs = _specs(stage, view.port, peer.port if peer else 0, seconds)
        for number in range(rounds + 1):  # the first round warms up and does not count
            for name, spec in specs.items():
                outcome = send(replace(spec, tag=f"r{number}"))
                if number:
                    rates[name].append(outcome.good * spec.per_request / outcome.seconds)
                    slowest[name].append(percentile(outcome.milliseconds, 0.99))
    finally:
        view.close()
        if peer:
            peer.close()
        stage.kill("web")
    return _figures(rates, slowest)


def _specs(stage: BenchStage, view: int, peer: int, seconds: float) -> dict[str, Spec]:
    portal = Spec(stage.port, "/intake/rest/", HEADERS, alert("bench_alert"), seconds=seconds)
    bare_view = replace(portal, port=view, path="/bare/")
    specs = {"bare view": bare_view, "portal": portal}
    if peer:
        item = alert_of_alertmanager(told=False)
        theirs = Spec(peer, "/api/v2/alerts", JSON, item, listed=True, seconds=seconds)
        specs["Alertmanager"] = theirs
        specs["Alertmanager, 100"] = replace(theirs, per_request=LISTED)
    specs["bare view, 100"] = replace(bare_view, per_request=LISTED, listed=True)
    specs["portal, 100"] = replace(portal, per_request=LISTED, listed=True)
    return specs


def _figures(rates: Rates, slowest: Rates) -> list[Figure]:
    found = [
        Figure(
            PART,
            f"{name}, alerts/s" if "100" in name else f"{name}, 1 a request, alerts/s",
            _rate(name, rates, slowest),
        )
        for name in rates
    ]
    bare_ratio = _ratio(rates, "portal", "bare view")
    found.append(
        Figure(PART, "portal ÷ bare view, 1 a request", f"{bare_ratio:.2f}", (at_least("gate", bare_ratio, 0.8),))
    )
    if "Alertmanager" in rates:
        one = _ratio(rates, "portal", "Alertmanager")
        many = _ratio(rates, "portal, 100", "Alertmanager, 100")
        limits: tuple[Wanted, ...] = (at_least("gate", many, 0.5), at_least("goal", many, 1.0))
        found.append(Figure(PART, "portal ÷ Alertmanager, 1 a request", f"{one:.2f}", (at_least("goal", one, 0.5),)))
        found.append(Figure(PART, "portal ÷ Alertmanager, 100 a request", f"{many:.2f}", limits))
    else:
        found.append(Figure(PART, "Alertmanager", "not installed: not compared"))
    return found


def _rate(name: str, rates: Rates, slowest: Rates) -> str:
    return f"{middle(rates[name]):,.0f} (p99 {middle(slowest[name]):.0f} ms)"


def _ratio(rates: Rates, ours: str, theirs: str) -> float:
    """Return the median of the rounds' ratios: neighbours in time are compared."""
    return middle([a / b for a, b in zip(rates[ours], rates[theirs], strict=True) if b])
