"""People who answer the same questions at the same moment, on a database of their own; prints what came of it as JSON.

Run by the test beside it: threads need connections of their own, and committed rows.
"""

import json
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Count  # noqa: E402
from django.utils import timezone  # noqa: E402

from approvals import policies, services  # noqa: E402
from approvals.models import Approval, Asked, Decision  # noqa: E402
from approvals.services import ApprovalKind  # noqa: E402
from fta import audit  # noqa: E402
from fta.healing import plan  # noqa: E402
from fta.models import AuditEntry, Execution  # noqa: E402
from tests import factories  # noqa: E402
from tests.approvals.conftest import policy  # noqa: E402

DECIDERS = 16
QUESTIONS = 300
RIVALS = 2  # who go for one question at the same moment; eight pairs are at eight questions
ON_THE_EDGE = 60
CHANNELS = ("reply", "card", "todo", "web", "api")


def people() -> list[User]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    game = factories.business()
    return [factories.person(f"p{n:02}", "operator", businesses=(game,)).user for n in range(DECIDERS)]


def questions(number: int, users: list[User]) -> list[Approval]:
    """Return gate approvals that were asked of all users, each about an execution of its own."""
    now = timezone.now()
    package = factories.Package.objects.filter(key="clean-disk").first() or factories.package()
    host = factories.Host.objects.first() or factories.host()
    first = factories.execution(package=package, host=host, business=host.business, state="held", needs_approval=True)
    frozen = plan.freeze(first, None, package.current, {}, now)
    common = {"package": package, "version": package.current, "host": host, "business": host.business}
    runs = Execution.objects.bulk_create(
        Execution(
            **common,
            state="held",
            needs_approval=True,
            plan=frozen.data,
            plan_sha256=frozen.sha256,
            received_at=now,
            trigger_key=f"q-{time.monotonic_ns()}-{n}",
            deadline_at=now + timedelta(minutes=40),
            alert_type="disk_full",
        )
        for n in range(number)
    )
    bare = {name: value for name, value in frozen.data.items() if name != "seal"}
    for run in runs:  # each plan bears the seal of its own execution
        made = plan.sealed(bare, run)
        run.plan, run.plan_sha256 = made.data, made.sha256
    Execution.objects.bulk_update(runs, ["plan", "plan_sha256"])
    named = policy_of()
    rows = Approval.objects.bulk_create(
        Approval(
            code=f"{run.pk}_0",
            first_code=f"{run.pk}_0",
            kind="gate",
            execution=run,
            policy=named,
            message="清理",
            plan_sha256=run.plan_sha256,
            evidence={"quorums": [1]},
            created_at=now,
            expires_at=now + timedelta(minutes=30),
        )
        for run in runs
    )
    Asked.objects.bulk_create(Asked(approval=row, user=user, why="role:operator") for row in rows for user in users)
    return rows


def policy_of() -> Any:
    return policies.named("") or policy()


def answer(approval: Approval, user: User, turn: int) -> str:
    """Answer once and return what the person is told: won, lost:<who won>, or the code of the refusal."""
    said = "approve" if turn % 2 else "refuse"
    try:
        services.decide(approval.pk, user, said, "", CHANNELS[turn % len(CHANNELS)], timezone.now())
    except services.AlreadyDecided as lost:
        return f"lost:{lost.reason.split(' ')[0]}"
    except services.Refusal as refusal:
        return refusal.code
    return "won"


def in_threads(number: int, work: Any) -> None:
    def run(index: int) -> None:
        try:
            work(index)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def race() -> dict[str, Any]:
    """Let rivals answer every question at the same moment, the teams at different questions."""
    users = people()
    rows = questions(QUESTIONS, users)
    told: dict[int, list[tuple[str, str]]] = {row.pk: [] for row in rows}
    teams = DECIDERS // RIVALS
    starts = [threading.Barrier(RIVALS) for _team in range(teams)]

    def work(index: int) -> None:
        team = index % teams
        for turn, row in enumerate(rows[team::teams]):
            starts[team].wait()
            told[row.pk].append((users[index].username, answer(row, users[index], index + turn)))

    begun = time.monotonic()
    in_threads(DECIDERS, work)
    seconds = time.monotonic() - begun
    return {"seconds": seconds, **judged(rows), "told": told_right(rows, told)}


def judged(rows: list[Approval]) -> dict[str, Any]:
    ids = [row.pk for row in rows]
    twice = Decision.objects.filter(approval__in=ids).values("approval").annotate(n=Count("pk")).filter(n__gt=1)
    fits = {"approved": "ready", "refused": "skipped", "expired": "skipped"}
    pairs = Approval.objects.filter(pk__in=ids).values_list("state", "execution__state")
    return {
        "states": Counter(state for state, _run in pairs),
        "decisions": Decision.objects.filter(approval__in=ids).count(),
        "twice": twice.count(),
        "misfits": sum(fits.get(state) != run for state, run in pairs),
        "audited": Counter(
            AuditEntry.objects.filter(object_type="approvals.approval", object_id__in=map(str, ids)).values_list(
                "verb", flat=True
            )
        ),
        "chain": audit.verify() is None,
    }


def told_right(rows: list[Approval], told: dict[int, list[tuple[str, str]]]) -> int:
    """Return for how many questions one person won and all others were told just who."""
    winners = dict(Approval.objects.filter(pk__in=told).values_list("pk", "decided_by__username"))
    return sum(
        sorted(word for _name, word in said) == sorted(["won", *[f"lost:{winners[pk]}"] * (RIVALS - 1)])
        and (winners[pk], "won") in said
        for pk, said in told.items()
    )


def edge() -> dict[str, Any]:
    """Click from 50 ms before to 50 ms after the end, while the clock ends what is over; some click in good time."""
    users = list(User.objects.filter(username__startswith="p").order_by("pk"))
    rows = questions(ON_THE_EDGE, users)
    start = timezone.now() + timedelta(seconds=1.5)
    for number, row in enumerate(rows):
        row.expires_at = start + timedelta(milliseconds=number * 20)
    Approval.objects.bulk_update(rows, ["expires_at"])
    over = threading.Event()
    words: list[str] = []

    def expire() -> None:
        kind = ApprovalKind()
        while not over.is_set():
            for pk in kind.due(20, timezone.now()):
                kind.do(pk)
        connection.close()

    moments = {row.pk: row.expires_at + timedelta(seconds=_offset(number)) for number, row in enumerate(rows)}

    def click(index: int) -> None:
        for row in sorted(rows[index::8], key=lambda each: moments[each.pk]):
            time.sleep(max(0.0, (moments[row.pk] - timezone.now()).total_seconds()))
            words.append(answer(row, users[index], 1))

    clocks = [threading.Thread(target=expire) for _clock in range(2)]
    for clock in clocks:
        clock.start()
    in_threads(8, click)
    time.sleep(0.2)
    over.set()
    for clock in clocks:
        clock.join()
    for pk in ApprovalKind().due(ON_THE_EDGE, timezone.now()):
        ApprovalKind().do(pk)
    return {"words": Counter(words), **judged(rows)}


def _offset(number: int) -> float:
    """Return when a question is answered, in seconds from its end; one in ten is early enough on any machine."""
    return -1.2 if number % 10 == 9 else (number % 11 - 5) / 100


if __name__ == "__main__":
    print(json.dumps({"race": race(), "edge": edge()}))
