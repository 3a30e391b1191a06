"""Named moments at which a process of the portal kills itself, and guards that it can be run without.

Only the processes that the fault suite starts load this (see child.py); the product knows nothing of it. Each kill is a
file in a folder that all processes share: whoever removes it dies, so a point strikes exactly as often as it was told to.
"""

import copy
import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import F, OuterRef, Q, Value
from django.utils import timezone
from django.utils.module_loading import import_string

from fta.healing.canonical import sha256_of
from tests.faults.tampering import EVERYWHERE, HASH, change

CHANCE = 0.15  # of dying when a point with kills left is passed, so that they spread over the run

# name: where, and whether before or after it
POINTS: dict[str, tuple[str, str]] = {
    "alert stored, not answered": ("fta.intake.views._take", "after"),
    "alert taken up, nothing decided": ("fta.pipeline.process", "before"),
    "step chosen, not claimed": ("fta.healing.steps.claim_step", "before"),
    "step claimed, nothing sent": ("fta.healing.steps.claim_step", "after"),
    "script announced, not started": ("fta.healing.runners.running._started", "before"),
    "script started, not followed": ("fta.healing.runners.running._started", "after"),
    "acted, nothing recorded": ("fta.healing.steps.record", "before"),
    "decision taken, not answered": ("approvals.services.decide", "after"),
    "message sent, not recorded": ("notify.delivery.outcome.sent", "before"),
}


STALLS_AT = list(POINTS).index("acted, nothing recorded")
STALL_SECONDS = 5.0  # longer than the lease, which nobody renews there: others take the step over meanwhile
CHANCE_OF_TWO = 0.3  # of an alert being taken up by a second engine, as long as there are some to be


def tokens(folder: Path, kills: int, **others: int) -> None:
    """Lay out the kills evenly over the points, and so many of the other faults.

    `stall` is a worker that stalls between acting and recording, `twice` an alert that two engines take up, `race` a plan
    that is changed between a worker's reading and its claim.
    """
    for name, count in others.items():
        for number in range(count):
            (folder / f"{name}-{number}").touch()
    for number in range(kills):
        name = list(POINTS)[number % len(POINTS)]
        (folder / f"{list(POINTS).index(name)}-{number}").touch()


def struck(folder: Path, laid: int) -> dict[str, int]:
    """Return how often each point killed."""
    left = [path.name.partition("-")[0] for path in folder.iterdir()]
    return {name: len(range(at, laid, len(POINTS))) - left.count(str(at)) for at, name in enumerate(POINTS)}


def met(folder: Path, **laid: int) -> dict[str, int]:
    """Return how many of the other faults happened."""
    return {name: count - len(list(folder.glob(f"{name}-*"))) for name, count in laid.items()}


def arm(folder: Path) -> None:
    """Make this process die at the points that have kills left, and meet the other faults that were laid out."""
    _take_up_twice(folder)
    _change_before_claim(folder)
    for at, (path, when) in enumerate(POINTS.values()):
        module, _dot, name = path.rpartition(".")
        _wrap(module, name, when, lambda at=at: _strike(folder, at))  # type: ignore[misc]


def _wrap(module: str, name: str, when: str, strike: Callable[[], None]) -> None:
    place = _module(module)
    real = getattr(place, name)

    @wraps(real)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            strike()
        found = real(*args, **kwargs)
        if when == "after":
            strike()
        return found

    setattr(place, name, wrapped)


def _module(path: str) -> Any:
    package, _dot, name = path.rpartition(".")
    return __import__(path, fromlist=[name]) if package else __import__(path)


def _strike(folder: Path, at: int) -> None:
    if random.random() > CHANCE:
        return
    if at == STALLS_AT and _taken(folder, "stall"):
        time.sleep(STALL_SECONDS)
    elif _taken(folder, str(at)):
        os.kill(os.getpid(), signal.SIGKILL)


def _take_up_twice(folder: Path) -> None:
    """Have a second engine decide about some alerts that it read before the first one had decided."""
    pipeline = _module("fta.pipeline")
    real = pipeline.process

    def again(alert: Any, now: datetime) -> None:
        if random.random() > CHANCE_OF_TWO or not _taken(folder, "twice"):
            return
        with suppress(IntegrityError), transaction.atomic():  # what the second one is told, where there is a unique key
            real(alert, now)

    @wraps(real)
    def process(alert: Any, now: datetime) -> Any:
        read = copy.copy(alert)
        found = real(alert, now)
        transaction.on_commit(lambda: again(read, now), robust=True)
        return found

    pipeline.process = process


def _change_before_claim(folder: Path) -> None:
    """Have the plan of some steps changed after their worker has read and checked it."""
    steps = _module("fta.healing.steps")
    real = steps.claim_step

    @wraps(real)
    def claim_step(step: Any, *args: Any) -> Any:
        if step.attempt == 0 and random.random() < CHANCE and _taken(folder, "race"):
            with transaction.atomic(), connection.cursor() as cursor:
                done = change(cursor, step.execution_id, random.choice((HASH, EVERYWHERE)), folder)
            if not done:  # it had begun, or was changed before: another one then
                (folder / f"race-{uuid.uuid4()}").touch()
        return real(step, *args)

    steps.claim_step = claim_step


def _taken(folder: Path, kind: str) -> bool:
    for token in folder.glob(f"{kind}-*"):
        try:
            token.unlink()
        except FileNotFoundError:  # another process was struck by it
            continue
        return True
    return False


# --- guards ---


def _no_fence() -> None:
    """Let a worker record its result whoever holds the step by now, and whatever became of it."""
    steps = _module("fta.healing.steps")

    def finish(model: Any, pk: int, fence: int, frm: str, to: str, **fields: Any) -> None:
        model._default_manager.filter(pk=pk).update(state=to, lease_until=None, **fields)

    steps.finish = finish


def _twice() -> None:
    """Let a step of policy once begin again when its worker vanished."""
    recovery = _module("fta.healing.recovery")
    real = recovery._settle

    def settle(step: Any, *args: Any) -> None:
        step.policy, step.max_attempts = "idempotent", 9
        real(step, *args)

    recovery._settle = settle


def _every_voice() -> None:
    """Apply every answer, also to what is decided."""
    deciding = _module("approvals.services.deciding")
    deciding._object = lambda *args: None
    deciding._guarded = lambda approval, voice: type(approval).objects.filter(pk=approval.pk)
    deciding._carry_on = lambda *args: None


def _no_expiry() -> None:
    """Take an answer however late it comes."""
    deciding = _module("approvals.services.deciding")
    long_ago = timezone.now() - timedelta(days=1)
    deciding.DbNow = lambda: Value(long_ago)
    import_string("approvals.models.Approval").over = property(lambda self: False, lambda self, found: None)
    # What is over ends by the clock of the engine; without it only the answer decides.
    import_string("approvals.services.ApprovalKind").due = lambda self, limit, now: []


def _no_dedupe() -> None:
    """Store what comes again as if it were new; the database's own constraints are dropped by the run."""
    store = _module("fta.intake.store")
    store._open_episodes = lambda wave: {}
    store._events = lambda wave: {}


def _no_unique_key() -> None:
    """Let one alert and rule have two executions: the key is the database's alone, which the run drops."""


def _no_hash_in_claim() -> None:
    """Claim whatever the row says by now: not the plan that the worker read, nor that of the step, nor the approved one."""

    def itself(name: str) -> Any:
        return F(name) if name == "plan_sha256" else OuterRef(name)

    def unasked(*conditions: Any, **fields: Any) -> Q:
        fields.pop("plan_sha256", None)
        return Q(*conditions, **fields)

    claims, gate = _module("fta.healing.claims"), _module("approvals.gate")
    claims.OuterRef = gate.OuterRef = itself
    claims.Q = unasked


def _no_plan_hash() -> None:
    """Run what the row says, whatever its hash and its seal are."""
    _no_hash_in_claim()
    _replace_intact(lambda execution: True)


def _no_seal() -> None:
    """Take a plan for the one that was frozen when its hash fits it."""
    _replace_intact(lambda execution: sha256_of(execution.plan) == execution.plan_sha256)


def _replace_intact(is_intact: Callable[[Any], bool]) -> None:
    for name in ("plan", "steps", "start", "recovery"):
        module = _module(f"fta.healing.{name}")
        if not hasattr(module, "is_intact"):
            raise AttributeError(
                f"{name} asks for the seal no more"
            )  # else the guard would stay, and be called missing
        module.is_intact = is_intact


GUARDS: dict[str, Callable[[], None]] = {
    "fence": _no_fence,
    "once": _twice,
    "one decision": _every_voice,
    "expiry": _no_expiry,
    "dedupe": _no_dedupe,
    "unique key": _no_unique_key,
    "plan hash": _no_plan_hash,
    "plan hash in the claim": _no_hash_in_claim,
    "seal of the plan": _no_seal,
}
# Constraints that are the guard's other half.
CONSTRAINTS = {
    "dedupe": (
        "DROP INDEX alert_one_open_episode",
        "ALTER TABLE fta_alertevent DROP CONSTRAINT alert_event_once",
    ),
    "unique key": ("ALTER TABLE fta_execution DROP CONSTRAINT fta_execution_trigger_key_key",),
}
# The promise that must be found broken without the guard.
BREAKS = {
    "fence": "who lost a step records nothing",
    "once": "a step of policy once is called at most once",
    "one decision": "an approval has at most one applied decision",
    "expiry": "nobody decides after the time",
    "dedupe": "an acknowledged alert is stored exactly once",
    "unique key": "an alert has at most one execution",
    "plan hash": "no changed plan runs",
    "plan hash in the claim": "nothing begins once its plan was changed",
    "seal of the plan": "no changed plan runs",
}
