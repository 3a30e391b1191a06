"""python -m tests.faults [--kills 60] [--executions 300] [--seed N]: kill the portal's processes at work and check its promises."""

import argparse
import os
import random
import shutil
import sys
from collections import Counter

import django

from tests.database import POSTGRES, reachable
from tests.faults.invariants import CHECKS
from tests.faults.run import Result, run

SHOWN = 10  # breaches of one promise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--executions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    args = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")
    django.setup()  # the simulated corp lives in this process
    missing = lacking()
    if missing:
        print(f"Not run: {missing}")
        return 2
    print(
        f"{args.kills} kills during {args.executions} executions, seed {args.seed}; this takes some minutes", flush=True
    )
    return report(run(args.kills, args.executions, args.seed))


def lacking() -> str:
    """Return what this machine lacks for a run, or ""."""
    if not reachable(POSTGRES):
        return f"no PostgreSQL answers at {POSTGRES}; FTA_TEST_POSTGRES names another"
    return "" if shutil.which("redis-server") else "redis-server is not installed"


def report(result: Result) -> int:
    """Print the figures and the promises; return the exit code."""
    width = max(len(name) for name, _ in result.figures)
    print()
    for name, value in result.figures:
        print(f"{name:<{width}}  {value}")
    print()
    broken = Counter(breach.promise for breach in result.breaches)
    for promise in dict.fromkeys([*CHECKS, *broken]):
        print(f"{'BROKEN' if broken[promise] else 'kept':<6}  {promise}")
        for breach in [breach for breach in result.breaches if breach.promise == promise][:SHOWN]:
            print(f"        {breach.text}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
