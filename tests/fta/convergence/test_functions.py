"""Every branch of every verdict function, from rows and a moment."""

from datetime import UTC, datetime, timedelta

import pytest

from fta.convergence.functions import FUNCTIONS, Other, Standing

NOW = datetime(2024, 11, 25, 4, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def standing(
    *states: str, ordinal: int = 2, count: int = 1, crossed: bool = False, ended: datetime = LONG_AGO
) -> Standing:
    ended_states = {"succeeded", "almost_succeeded", "failed", "skipped", "unknown", "cancelled"}
    others = [Other(number, state, ended if state in ended_states else None) for number, state in enumerate(states, 1)]
    return Standing(ordinal, count, crossed, others)


@pytest.mark.parametrize(
    ("function", "states", "kind"),
    [
        ("skip_when_success", (), "proceed"),
        ("skip_when_success", ("running", "succeeded"), "wait"),
        ("skip_when_success", ("failed", "held"), "wait"),
        ("skip_when_success", ("sleeping",), "wait"),
        ("skip_when_success", ("failed", "succeeded"), "skip"),
        ("skip_when_success", ("almost_succeeded",), "skip"),
        ("skip_when_success", ("skipped", "failed"), "skip"),
        ("skip_when_success", ("failed", "failed"), "proceed"),
        ("skip_when_success", ("cancelled",), "proceed"),
        ("skip_when_success", ("unknown", "failed"), "approve"),
        ("approve_when_failed", (), "proceed"),
        ("approve_when_failed", ("running",), "wait"),
        ("approve_when_failed", ("succeeded",), "skip"),
        ("approve_when_failed", ("failed", "failed"), "approve"),
        ("approve_when_failed", ("unknown",), "approve"),
        ("skip_when_running", (), "proceed"),
        ("skip_when_running", ("ready",), "skip"),
        ("skip_when_running", ("succeeded", "running"), "skip"),
        ("skip_when_running", ("succeeded", "failed"), "proceed"),
        ("wait_when_running", (), "proceed"),
        ("wait_when_running", ("failed", "running"), "wait"),
        ("wait_when_running", ("failed", "succeeded"), "proceed"),
        ("relate", ("running",), "proceed"),
        ("notify", ("running",), "proceed"),
        ("common_cause", ("running",), "proceed"),
        ("defense", (), "approve"),
        ("defense", ("running",), "approve"),
    ],
)
def test_it_judges_by_the_others(function: str, states: tuple[str, ...], kind: str) -> None:
    answer = FUNCTIONS[function].verdict(standing(*states), NOW)
    assert answer.kind == kind
    assert bool(answer.text) is (kind != "proceed" or (function == "skip_when_success" and bool(states)))


def test_it_skips_for_five_minutes_after_an_end() -> None:
    judge = FUNCTIONS["skip_when_running"].verdict
    assert judge(standing("failed", ended=NOW - timedelta(minutes=4, seconds=59)), NOW).kind == "skip"
    assert judge(standing("failed", ended=NOW - timedelta(minutes=5)), NOW).kind == "proceed"


def test_it_runs_the_one_that_crosses_the_threshold_only() -> None:
    trigger = FUNCTIONS["trigger"]
    assert trigger.below.kind == "below"
    assert trigger.verdict(standing(crossed=True), NOW).kind == "proceed"
    assert trigger.verdict(standing(), NOW).kind == "skip"


def test_it_skips_above_the_count_when_it_collects() -> None:
    judge = FUNCTIONS["collect"].verdict
    assert judge(standing(ordinal=3, count=3), NOW).kind == "proceed"
    assert judge(standing(ordinal=4, count=3), NOW).kind == "skip"


def test_it_has_every_function_with_a_label() -> None:
    assert list(FUNCTIONS) == [
        "skip_when_success", "approve_when_failed", "skip_when_running", "wait_when_running", "relate", "trigger", "notify",
        "collect", "defense", "common_cause",
    ]  # fmt: skip
    assert {name: str(function.label) for name, function in FUNCTIONS.items()}["defense"] == "异常防御需审批"
    assert all(function.below.kind == "proceed" for name, function in FUNCTIONS.items() if name != "trigger")
    assert {name for name, function in FUNCTIONS.items() if function.holds_on_error} == {
        "approve_when_failed", "trigger", "defense",
    }  # fmt: skip
