"""python -m tests.bench [--rounds 5] [--quick]: measure the portal beside its peers and print each figure with its goal.

Nothing fails for being slow: the report says met or missed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench import callbacks, growth, intake, messages
from tests.bench.portal import BenchStage
from tests.bench.report import Figure, machine, show
from tests.database import POSTGRES, reachable


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round of everything: does it run at all")
    args = parser.parse_args()
    if not reachable(POSTGRES):
        print(f"Not run: no PostgreSQL answers at {POSTGRES}; FTA_TEST_POSTGRES names another")
        return 2
    on = machine()
    print(show(measure(args.rounds, args.quick), on))
    return 0


def measure(rounds: int, quick: bool) -> list[Figure]:
    """Run every part, each on portals of its own, so that no part works off another's backlog."""
    rounds = 1 if quick else rounds
    with tempfile.TemporaryDirectory(prefix="fta-bench-") as name:
        first = BenchStage(Path(name) / "intake")
        try:
            found = intake.measure(first.made(), rounds, 0.3 if quick else 0.8)
        finally:
            first.close()
        second = BenchStage(Path(name) / "engine")
        try:
            second.made().start("web", "engine")
            found += messages.measure(second, rounds, 1.0 if quick else 2.0)
            found += callbacks.measure(second, 1.0 if quick else 6.0, 50 if quick else callbacks.PENDING)
        finally:
            second.close()
        found += growth.measure(Path(name), rounds, 10 * growth.SHORT if quick else growth.LONG)
    return found


if __name__ == "__main__":
    sys.exit(main())
