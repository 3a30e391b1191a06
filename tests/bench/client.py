"""Run the load client in a process of its own."""

import json
import subprocess
import sys
from dataclasses import asdict
from statistics import median

from tests.bench.load import Outcome, Spec
from tests.database import ROOT


class Running:
    """A client at work."""

    def __init__(self, spec: Spec) -> None:
        self.seconds = spec.seconds
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdin
        self._child.stdin.write(json.dumps(asdict(spec)))
        self._child.stdin.close()
        self._child.stdin = None

    def result(self) -> Outcome:
        """Wait for its end and return what it saw."""
        out, _ = self._child.communicate(timeout=self.seconds + 40)
        return Outcome(**json.loads(out))


def send(spec: Spec) -> Outcome:
    """Send and wait for the end."""
    return Running(spec).result()


def percentile(values: list[float], share: float) -> float:
    """Return a percentile by rank; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def middle(values: list[float]) -> float:
    """Return the median; nan of nothing."""
    return median(values) if values else float("nan")
