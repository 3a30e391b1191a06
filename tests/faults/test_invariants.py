"""The checker itself: a run that kept every promise passes, and each promise that is broken is noticed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.invariants import Asked, Call, Facts, Run, Step, breaches

AT = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
LATER = AT.timestamp() + 1

GOOD = Facts(
    acknowledged=["a", "b", "c"],
    over=["c"],
    unended=["a"],
    stored={"a": 1, "b": 1, "c": 1},
    waiting={"done": 4},
    runs=[
        Run(1, 11, "succeeded", True, False, "p1"),
        Run(2, 12, "succeeded", True, True, "p2"),
        Run(3, 13, "succeeded", True, False, "p3"),
    ],
    steps=[
        Step(1, 1, "http", "once", "succeeded", "k1"),
        Step(2, 2, "http", "once", "unknown", "k2"),
        Step(3, 3, "script", "idempotent", "succeeded", "k3"),
    ],
    approvals=[
        Asked(7, 2, "gate", "approved", "p2", AT),
        Asked(8, 2, "gate", "expired", "p2", None),
        Asked(10, 2, "gate", "superseded", "p1", AT),
    ],
    decisions=[(7, "approve"), (10, "approve")],
    deliveries={"sent": 5, "failed": 1, "unknown": 1},
    calls=[Call("k1", LATER), Call("k2", LATER)],
    marks=["k3", "k3"],
)

BROKEN: dict[str, Callable[[], Facts]] = {
    "stored exactly once: lost": lambda: replace(GOOD, stored={"a": 1, "b": 1}),
    "stored exactly once: doubled": lambda: replace(GOOD, stored={**GOOD.stored, "a": 2}),
    "stored exactly once: left in the inbox": lambda: replace(GOOD, waiting={"done": 3, "new": 1}),
    "whose end was acknowledged": lambda: replace(GOOD, over=["a"], unended=["a", "b"]),
    "at most one execution": lambda: replace(GOOD, runs=[*GOOD.runs, Run(4, 11, "skipped", True, False, "p1")]),
    "called at most once": lambda: replace(GOOD, calls=[*GOOD.calls, Call("k1", LATER)]),
    "called at most once: a script": lambda: replace(
        GOOD,
        steps=[*GOOD.steps, Step(4, 1, "script", "once", "succeeded", "k4")],
        starts=["k4", "k4"],
        marks=["k3", "k4"],
    ),
    "records nothing: two successes of one step": lambda: replace(GOOD, successes={1: 1, 3: 2}),
    "records nothing: an end that no step has any more": lambda: replace(
        GOOD, runs=[*GOOD.runs[:2], Run(3, 13, "unknown", True, False, "p3")]
    ),
    "cannot be known": lambda: replace(
        GOOD, steps=[*GOOD.steps[:2], Step(3, 3, "script", "idempotent", "unknown", "k3")]
    ),
    "after the time": lambda: replace(
        GOOD, approvals=[Asked(7, 2, "gate", "approved", "p2", AT, AT - timedelta(seconds=1)), GOOD.approvals[1]]
    ),
    "without the approval: a script": lambda: replace(
        GOOD,
        steps=[*GOOD.steps, Step(4, 2, "script", "once", "failed", "k4")],
        starts=["k4"],
        approvals=[],
        decisions=[],
        calls=[Call("k1", LATER)],
    ),
    "success was a real one: no call": lambda: replace(GOOD, calls=[Call("k2", LATER)]),
    "success was a real one: no end": lambda: replace(GOOD, marks=[]),
    "without the approval: a call of no step": lambda: replace(GOOD, calls=[*GOOD.calls, Call("stranger", LATER)]),
    "without the approval: none": lambda: replace(GOOD, approvals=[], decisions=[]),
    "without the approval: refused": lambda: replace(
        GOOD, approvals=[Asked(7, 2, "gate", "refused", "p2", AT)], decisions=[(7, "refuse")]
    ),
    "without the approval: of another plan": lambda: replace(
        GOOD, approvals=[Asked(7, 2, "gate", "approved", "p9", AT)]
    ),
    "without the approval: of another execution": lambda: replace(
        GOOD, approvals=[Asked(7, 1, "gate", "approved", "p2", AT)]
    ),
    "without the approval: given after the call": lambda: replace(
        GOOD, calls=[Call("k1", LATER), Call("k2", AT.timestamp() - 1)]
    ),
    "no changed plan runs: a script": lambda: replace(GOOD, otherwise=["k3"]),
    "no changed plan runs: a call": lambda: replace(GOOD, otherwise=["k1"]),
    "once its plan was changed: a script": lambda: replace(
        GOOD, changed={3: "p3"}, starts=["k3"], runs=[*GOOD.runs[:2], Run(3, 13, "failed", True, False, "p3")]
    ),
    "once its plan was changed: a call": lambda: replace(GOOD, changed={1: "p1"}),
    "one applied decision: two": lambda: replace(GOOD, decisions=[(7, "approve"), (7, "refuse")]),
    "one applied decision: after the expiry": lambda: replace(GOOD, decisions=[(7, "approve"), (8, "approve")]),
    "one applied decision: the other answer": lambda: replace(GOOD, decisions=[(7, "refuse")]),
    "one applied decision: a no that was undone": lambda: replace(GOOD, decisions=[(7, "approve"), (10, "refuse")]),
    "one applied decision: a yes to a node that was undone": lambda: replace(
        GOOD,
        approvals=[*GOOD.approvals, Asked(9, 2, "node", "superseded", "p2", AT)],
        decisions=[*GOOD.decisions, (9, "approve")],
    ),
    "every execution, step and approval ends: execution": lambda: replace(
        GOOD, runs=[*GOOD.runs, Run(4, 14, "running", False, False, "p4")]
    ),
    "every execution, step and approval ends: step": lambda: replace(
        GOOD, steps=[*GOOD.steps, Step(4, 3, "http", "once", "running", "k4")]
    ),
    "every execution, step and approval ends: approval": lambda: replace(
        GOOD, approvals=[*GOOD.approvals, Asked(9, 2, "gate", "pending", "p2", None)]
    ),
    "every delivery ends": lambda: replace(GOOD, deliveries={"sent": 5, "sending": 1}),
    "the audit chain": lambda: replace(GOOD, audit="broken at entry 3"),
}


def test_it_finds_nothing_where_every_promise_was_kept() -> None:
    assert breaches(GOOD) == []


@pytest.mark.parametrize("case", BROKEN)
def test_it_notices_each_broken_promise_and_no_other(case: str) -> None:
    found = breaches(BROKEN[case]())
    promise = case.split(":")[0]
    assert found
    assert all(promise in breach.promise for breach in found), found


def test_it_lets_an_idempotent_step_be_called_again() -> None:
    steps = [replace(GOOD.steps[0], policy="idempotent"), *GOOD.steps[1:]]
    assert breaches(replace(GOOD, steps=steps, calls=[*GOOD.calls, Call("k1", LATER)])) == []


def test_it_lets_an_execution_go_on_whose_plan_was_frozen_anew() -> None:
    assert breaches(replace(GOOD, changed={1: "forged", 3: ""}, starts=["k3"])) == []


def test_it_does_not_expect_the_host_of_a_changed_plan_to_be_asked() -> None:
    steps = [*GOOD.steps[:2], replace(GOOD.steps[2], state="unknown")]
    assert breaches(replace(GOOD, steps=steps, changed={3: ""})) == []


def test_it_does_not_count_an_execution_with_a_changed_plan_as_lost_when_it_was_refused() -> None:
    runs = [*GOOD.runs, Run(4, 14, "failed", True, False, "forged")]
    steps = [*GOOD.steps, Step(4, 4, "script", "once", "cancelled", "k4")]
    assert breaches(replace(GOOD, runs=runs, steps=steps, changed={4: "forged"})) == []
