"""python -m tests.faults [--large] [--executions N --kills N --aimed N --pauses N --cuts N] [--seed N] [--without GUARD] [--prove]

Kill and pause the portal's processes at work, and check its promises; or show that the run finds each guard's absence.
"""

import argparse
import os
import random
import shutil
import sys
from collections import Counter
from dataclasses import asdict

import django

from tests.database import POSTGRES, reachable
from tests.faults import points
from tests.faults.invariants import CHECKS
from tests.faults.run import Result, Size, run
from tests.fta.runners.sshd import SSHD

SHOWN = 10  # breaches of one promise
LARGE = Size(executions=2000, kills=200, aimed=450, pauses=50, cuts=30)
SMALL = Size(executions=80, kills=8, aimed=27, pauses=8, cuts=3, rest=90)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    for name, value in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--large", action="store_true", help="the size of a release: more than half an hour")
    parser.add_argument("--without", choices=points.GUARDS, default="", help="take this guard out: promises will break")
    parser.add_argument(
        "--prove", action="store_true", help="run once without each guard and expect its promise broken"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    args = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")
    django.setup()  # the simulated corp lives in this process
    missing = lacking()
    if missing:
        print(f"Not run: {missing}")
        return 2
    if args.prove:
        return prove(args.seed)
    size = LARGE if args.large else Size(args.executions, args.kills, args.aimed, args.pauses, args.cuts, args.rest)
    print(f"{size}, seed {args.seed}; this takes at least {size.seconds:.0f} s", flush=True)
    return report(run(size, args.seed, args.without))


def prove(seed: int) -> int:
    """Run without each of the guards; the promise that it keeps must be found broken."""
    blind = []
    for guard, promise in points.BREAKS.items():
        broken = {breach.promise for breach in run(SMALL, seed, guard).breaches}
        print(f"without {guard}: {'found' if promise in broken else 'NOT FOUND'}: {promise}", flush=True)
        if promise not in broken:
            blind.append(guard)
    return 1 if blind else 0


def lacking() -> str:
    """Return what this machine lacks for a run, or ""."""
    if not reachable(POSTGRES):
        return f"no PostgreSQL answers at {POSTGRES}; FTA_TEST_POSTGRES names another"
    if SSHD is None:
        return "openssh-server is not installed"
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
