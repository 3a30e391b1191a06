"""What comes next in a graph of nodes, and how it ended: pure functions of nodes and their runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fta.healing.nodes import Node, downstream, in_order
from fta.models.executions import ExecutionState, StepRunState

REFUSALS = frozenset({"refused", "expired"})
ACTIVE = frozenset({StepRunState.READY, StepRunState.RUNNING, StepRunState.WAITING})

# What an edge, or all the edges from one node to another, mean for the node that they lead to.
TAKEN, DEAD, OPEN = "taken", "dead", "open"


@dataclass(frozen=True)
class Run:
    """How a node stands: the state and outcome of its present step."""

    state: str
    outcome: str = ""


@dataclass(frozen=True)
class Restart:
    """A person had `node` done again as `iteration`; everything after it counts as not done, unless it was `only` this one."""

    node: int
    iteration: int
    only: bool


@dataclass(frozen=True)
class Advance:
    """What to do now. `start` names nodes, each with the approval node whose yes it stands on."""

    start: list[tuple[int, int | None]] = field(default_factory=list)
    finished: bool = False
    result: str | None = None


class _Step(Protocol):
    node: int
    iteration: int
    state: str
    outcome: str


S = TypeVar("S", bound=_Step)


def first(nodes: Sequence[Node]) -> Node:
    """Return the node with which the package starts: the one that no other leads to."""
    led_to = {target for node in nodes for target in node.following}
    return next(node for node in nodes if node.id not in led_to)


def present(nodes: Sequence[Node], steps: Iterable[S], restarts: Iterable[Restart]) -> dict[int, S]:
    """Return the step of each node that counts now: the last one, unless a node before it was done again since."""
    latest: dict[int, S] = {}
    for step in sorted(steps, key=lambda each: each.iteration):
        latest[step.node] = step
    for restart in restarts:
        if not restart.only:
            for node in downstream(nodes, restart.node):
                if node in latest and latest[node].iteration < restart.iteration:
                    del latest[node]
    return latest


def advance(nodes: Sequence[Node], runs: Mapping[int, Run], alone: frozenset[int] = frozenset()) -> Advance:
    """Tell which nodes start now, or that all has ended and how.

    A node joins by `all` (every branch that can still come has come, one at least) or by `any`. A branch that was not taken
    is dead, and so is what only dead branches lead to. Nodes in `alone` were done again by themselves: nothing follows them.
    """
    active = any(run.state in ACTIVE for run in runs.values())
    if any(run.state in (StepRunState.SKIPPED, StepRunState.CANCELLED) for run in runs.values()):
        return Advance(finished=not active, result=None if active else _result(nodes, runs))
    status = _statuses(nodes, runs, alone)
    start = [(node.id, permit(nodes, runs, node.id)) for node in nodes if status[node.id] == TAKEN]
    if start or active:
        return Advance(start=sorted(start, key=lambda each: each[0]))
    return Advance(finished=True, result=_result(nodes, runs))


def permit(nodes: Sequence[Node], runs: Mapping[int, Run], node_id: int) -> int | None:
    """Return the approval node on whose yes this node stands: the nearest one on the ways that led here."""
    order = in_order(nodes)
    place = {node.id: number for number, node in enumerate(order)}
    standing: dict[int, int | None] = {}
    for node in order:
        found = []
        for source in order[: place[node.id]]:
            if _edge(source, node.id, runs) == TAKEN:
                yes = source.asks and runs[source.id].state == StepRunState.SUCCEEDED
                found.append(source.id if yes else standing[source.id])
        standing[node.id] = max((each for each in found if each is not None), key=place.__getitem__, default=None)
    return standing[node_id]


def _statuses(nodes: Sequence[Node], runs: Mapping[int, Run], alone: frozenset[int]) -> dict[int, str]:
    """Return for each node without a run whether it starts now, may come later, or never will."""
    status: dict[int, str] = {}
    for node in in_order(nodes):
        if node.id in runs:
            status[node.id] = "run"
            continue
        edges = [
            DEAD if source.id in alone else OPEN if status[source.id] == TAKEN else _edge(source, node.id, runs, status)
            for source in nodes
            if node.id in source.following
        ]
        status[node.id] = _join(node, edges)
    return status


def _join(node: Node, edges: Sequence[str]) -> str:
    if not edges:
        return TAKEN
    if all(edge == DEAD for edge in edges):
        return DEAD
    ready = TAKEN in edges and (node.join == "any" or OPEN not in edges)
    return TAKEN if ready else OPEN


def _edge(source: Node, target: int, runs: Mapping[int, Run], status: Mapping[int, str] | None = None) -> str:
    """Tell what the edges from `source` to `target` mean now, all kinds together."""
    if target not in source.following:
        return DEAD
    run = runs.get(source.id)
    if run is None:
        return DEAD if status is not None and status[source.id] == DEAD else OPEN
    if run.state in ACTIVE:
        return OPEN
    if target == source.inside:  # its package ends when all in it is known
        return OPEN if run.state == StepRunState.UNKNOWN else TAKEN
    if run.state == StepRunState.UNKNOWN:  # success and failure stay open until a person has settled it
        return TAKEN if target in source.always else OPEN
    followed = {StepRunState.SUCCEEDED: source.success, StepRunState.FAILED: source.failure}.get(
        StepRunState(run.state), ()
    )
    taken = run.state in (StepRunState.SUCCEEDED, StepRunState.FAILED) and target in followed + source.always
    return TAKEN if taken else DEAD


def verdict(nodes: Sequence[Node], runs: Mapping[int, Run], inside: int) -> str:
    """Return how the package inside a node ended, in the words for executions."""
    around = {node.id: node.inside for node in nodes}
    within = []
    for node in nodes:
        outer = node.inside
        while outer not in (0, inside):
            outer = around[outer]
        if outer == inside:
            within.append(node)
    return _result(within, {node.id: runs[node.id] for node in within if node.id in runs}, inside)


def _result(nodes: Sequence[Node], runs: Mapping[int, Run], inside: int = 0) -> str:
    """Judge by the nodes of one package; those of a package in it are judged by the node that they are inside of."""
    ended = [(node, runs[node.id]) for node in nodes if node.id in runs and node.inside == inside]
    unhandled = [run for node, run in ended if run.state == StepRunState.FAILED and not (node.failure or node.always)]
    refused = [node for node, run in ended if run.state == StepRunState.FAILED and run.outcome in REFUSALS]
    if any(run.outcome not in REFUSALS for run in unhandled):
        return ExecutionState.FAILED
    states = {run.state for run in runs.values()}
    if StepRunState.UNKNOWN in states:
        return ExecutionState.UNKNOWN
    if StepRunState.CANCELLED in states:
        return ExecutionState.CANCELLED
    if StepRunState.SKIPPED in states or unhandled or not all(_acted_after(nodes, runs, node) for node in refused):
        return ExecutionState.SKIPPED
    if any(run.outcome == "almost" for _, run in ended):
        return ExecutionState.ALMOST
    return ExecutionState.SUCCEEDED


def _acted_after(nodes: Sequence[Node], runs: Mapping[int, Run], refused: Node) -> bool:
    """Tell whether something was done on the way that a refusal opened: what was done before it is not what was asked."""
    after = downstream(nodes, refused.id)
    done = {number for number, run in runs.items() if run.state == StepRunState.SUCCEEDED}
    return any(node.acting and node.id in after & done for node in nodes)
