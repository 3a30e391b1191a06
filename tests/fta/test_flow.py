"""The flow: what comes next, joins, dead branches, permits, results. Pure, without a database."""

from dataclasses import dataclass
from typing import Any

import pytest

from fta.healing.flow import Advance, Restart, Run, advance, first, permit, present
from fta.healing.nodes import Node, Retries, in_order, loops, seconds

OK, BAD, UNKNOWN = Run("succeeded"), Run("failed"), Run("unknown")


def graph(*shapes: tuple[int, dict[str, Any]]) -> list[Node]:
    """Build nodes from (id, {success|failure|always: …, type, join, acting})."""
    found = []
    for number, shape in shapes:
        edges = {kind: shape[kind] for kind in ("success", "failure", "always") if kind in shape}
        node = {"id": number, "type": shape.get("type", "script"), "next": edges, "join": shape.get("join", "all")}
        found.append(Node.of(node, acting=shape.get("acting", shape.get("type", "script") == "script")))
    return found


CHAIN = graph((1, {"success": 2}), (2, {"success": 3}), (3, {}))
FORK = graph((1, {"success": [2, 3]}), (2, {"success": 4}), (3, {"success": 4}), (4, {}))
EXAMPLE = graph(
    (1, {"type": "ping_check", "success": 4, "failure": 2}),
    (2, {"type": "approval", "success": 3, "failure": 4}),
    (3, {"success": 4, "failure": 4}),
    (4, {"type": "notify"}),
)


def test_it_starts_with_node_one_and_goes_on_after_each_success() -> None:
    assert first(CHAIN).id == 1
    assert advance(CHAIN, {}) == Advance(start=[(1, None)])
    assert advance(CHAIN, {1: Run("running")}) == Advance()
    assert advance(CHAIN, {1: OK}) == Advance(start=[(2, None)])
    assert advance(CHAIN, {1: OK, 2: OK, 3: OK}) == Advance(finished=True, result="succeeded")


def test_it_fails_when_no_edge_handles_a_failure_and_goes_on_when_one_does() -> None:
    assert advance(CHAIN, {1: OK, 2: BAD}) == Advance(finished=True, result="failed")
    handled = graph((1, {"failure": 2}), (2, {}))
    assert advance(handled, {1: BAD}).start == [(2, None)]
    assert advance(handled, {1: BAD, 2: OK}).result == "succeeded"
    always = graph((1, {"success": 2, "always": 3}), (2, {}), (3, {}))
    assert advance(always, {1: BAD}).start == [(3, None)]


def test_it_joins_by_all_when_every_live_branch_has_come() -> None:
    assert advance(FORK, {1: OK}).start == [(2, None), (3, None)]
    assert advance(FORK, {1: OK, 2: OK, 3: Run("running")}) == Advance()
    assert advance(FORK, {1: OK, 2: OK, 3: OK}).start == [(4, None)]


def test_it_eliminates_dead_branches_from_a_join() -> None:
    # 1 succeeds, so that 2 and 3 never come; 4 must not wait for them.
    assert advance(EXAMPLE, {1: OK}).start == [(4, None)]
    assert advance(EXAMPLE, {1: OK, 4: OK}) == Advance(finished=True, result="succeeded")
    assert advance(FORK, {1: OK, 2: OK, 3: BAD}).start == [(4, None)]
    assert advance(FORK, {1: OK, 2: BAD, 3: BAD}) == Advance(finished=True, result="failed")


def test_it_joins_by_any_at_the_first_branch_and_only_once() -> None:
    fork = graph((1, {"success": [2, 3]}), (2, {"success": 4}), (3, {"success": 4}), (4, {"join": "any"}))
    assert advance(fork, {1: OK, 2: OK, 3: Run("running")}).start == [(4, None)]
    assert advance(fork, {1: OK, 2: OK, 3: OK, 4: OK}) == Advance(finished=True, result="succeeded")


def test_it_gives_each_node_the_nearest_approval_it_stands_on() -> None:
    assert advance(EXAMPLE, {1: BAD, 2: OK}).start == [(3, 2)]
    assert advance(EXAMPLE, {1: BAD, 2: OK, 3: OK}).start == [(4, 2)]
    refused = {1: BAD, 2: Run("failed", "refused")}
    assert advance(EXAMPLE, refused).start == [(4, None)], "a refusal permits nothing, and needs no permit"
    assert permit(EXAMPLE, {1: OK}, 4) is None


def test_it_says_skipped_when_people_refused_and_nothing_was_done() -> None:
    refused = {1: BAD, 2: Run("failed", "refused"), 4: OK}
    assert advance(EXAMPLE, refused) == Advance(finished=True, result="skipped")
    ended = graph((1, {"type": "approval", "success": 2}), (2, {}))
    assert advance(ended, {1: Run("failed", "expired")}) == Advance(finished=True, result="skipped")
    acted = graph((1, {"success": 2}), (2, {"type": "approval", "success": 3, "failure": 4}), (3, {}), (4, {}))
    assert advance(acted, {1: OK, 2: Run("failed", "refused"), 4: OK}).result == "succeeded"
    told = graph(
        (1, {"success": 2}), (2, {"type": "approval", "success": 3, "failure": 4}), (3, {}), (4, {"type": "notify"})
    )
    assert advance(told, {1: OK, 2: Run("failed", "refused"), 4: OK}).result == "skipped", "1 came before the question"


def test_it_ends_skipped_by_a_guard_and_starts_nothing_more() -> None:
    assert advance(FORK, {1: OK, 2: Run("skipped", "guard"), 3: Run("running")}) == Advance()
    guarded = advance(FORK, {1: OK, 2: Run("skipped", "guard"), 3: OK})
    assert guarded == Advance(finished=True, result="skipped")


def test_it_ends_unknown_without_following_success_or_failure() -> None:
    assert advance(CHAIN, {1: OK, 2: UNKNOWN}) == Advance(finished=True, result="unknown")
    told = graph((1, {"success": 2, "always": 3}), (2, {}), (3, {"type": "notify"}))
    assert advance(told, {1: UNKNOWN}).start == [(3, None)]
    assert advance(told, {1: UNKNOWN, 3: OK}).result == "unknown"


def test_it_says_almost_succeeded_and_that_failure_outweighs_it() -> None:
    almost = {1: OK, 2: Run("succeeded", "almost"), 3: OK}
    assert advance(CHAIN, almost).result == "almost_succeeded"
    assert advance(CHAIN, almost | {3: BAD}).result == "failed"


@dataclass
class Step:
    node: int
    iteration: int = 1
    state: str = "succeeded"
    outcome: str = ""


def test_it_forgets_what_came_after_a_node_that_was_done_again() -> None:
    steps = [Step(1), Step(2), Step(3), Step(2, iteration=2)]
    assert set(present(CHAIN, steps, [Restart(2, 2, only=False)])) == {1, 2}
    assert set(present(CHAIN, steps, [Restart(2, 2, only=True)])) == {1, 2, 3}
    again = [*steps, Step(3, iteration=2)]
    assert present(CHAIN, again, [Restart(2, 2, only=False)])[3].iteration == 2


def test_it_starts_nothing_after_a_node_that_was_done_alone() -> None:
    assert advance(CHAIN, {1: OK, 2: OK}, frozenset({2})) == Advance(finished=True, result="succeeded")


def test_it_orders_nodes_and_names_loops() -> None:
    assert [node.id for node in in_order(EXAMPLE)] == [1, 2, 3, 4]
    assert loops(EXAMPLE) == []
    assert loops(graph((1, {"success": 2}), (2, {"success": [3, 2]}), (3, {}))) == [2]


@pytest.mark.parametrize(("value", "expected"), [(5, 5), ("30s", 30), ("5m", 300), ("1h", 3600), ("90", 90)])
def test_it_reads_durations(value: Any, expected: int) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["", "-5", "1d", "5 m", None, True, 1.5, [], "1e3"])
def test_it_refuses_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError):
        seconds(value)


def test_it_waits_longer_after_each_attempt_and_never_over_an_hour() -> None:
    retries = Retries(count=5, delay=10, backoff=2)
    assert [retries.wait(attempt) for attempt in (1, 2, 3)] == [10, 20, 40]
    assert retries.wait(50) == 3600
