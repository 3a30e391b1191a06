"""One node of a package, with every default filled in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from fta.lib.types import JSONDict

START = 1  # the id of the node that a package begins with
STRIDE = 1000  # node n of the package inside node p has the id p * STRIDE + n
EDGES = ("success", "failure", "always")
JOINS = ("all", "any")
DEFAULT_TIMEOUT = 600  # seconds
# What an author writes of a node, in the order in which it is shown.
KEYS = ("id", "name", "type", "params", "timeout", "retries", "policy", "next", "join")
_DURATION = re.compile(r"(\d{1,7})([smh]?)")
_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(value: Any) -> int:
    """Return a duration in seconds: a number of seconds, or text such as `30s`, `5m`, `1h`. Raises ValueError for anything else."""
    found = _DURATION.fullmatch(str(value).strip()) if isinstance(value, (int, str)) and value is not True else None
    if found is None:
        raise ValueError(f"{value!r} is not a duration")
    return int(found[1]) * _UNIT[found[2]]


@dataclass(frozen=True)
class Retries:
    """How often a node that failed is tried again, and after how many seconds; each wait is `backoff` times the one before."""

    count: int = 0
    delay: int = 0
    backoff: float = 1.0

    def wait(self, attempt: int) -> int:
        """Return the seconds to wait after this attempt (1 = the first) has failed; an hour at most."""
        return int(min(self.delay * self.backoff ** (attempt - 1), 3600))


@dataclass(frozen=True)
class Node:
    """A node as the flow and the steps use it. `acting` tells that it may change something outside the portal."""

    id: int
    type: str
    name: str = ""
    params: "JSONDict | None" = None
    timeout: int = DEFAULT_TIMEOUT
    retries: Retries = Retries()
    policy: str = "once"
    success: tuple[int, ...] = ()
    failure: tuple[int, ...] = ()
    always: tuple[int, ...] = ()
    join: str = "all"
    acting: bool = True
    inside: int = 0  # the package node whose package this one belongs to, which waits for it; 0 for none

    @classmethod
    def of(cls, data: Mapping[str, Any], policy: str = "once", acting: bool = True) -> "Node":
        """Read a node from its JSON. Raises KeyError, TypeError or ValueError for a malformed one (see plan.validate)."""
        edges = {kind: _targets((data.get("next") or {}).get(kind)) for kind in EDGES}
        retries = data.get("retries") or {}
        return cls(
            id=int(data["id"]),
            type=str(data["type"]),
            name=str(data.get("name") or ""),
            params=dict(data.get("params") or {}),
            timeout=seconds(data.get("timeout") or DEFAULT_TIMEOUT),
            retries=Retries(
                int(retries.get("count") or 0), seconds(retries.get("delay") or 0), float(retries.get("backoff") or 1)
            ),
            policy=str(data.get("policy") or policy),
            join=str(data.get("join") or "all"),
            acting=bool(data.get("acting", acting)),
            inside=int(data.get("inside") or 0),
            **edges,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of the node as an author writes it, complete and in one form."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "params": self.params or {},
            "timeout": self.timeout,
            "retries": {"count": self.retries.count, "delay": self.retries.delay, "backoff": self.retries.backoff},
            "policy": self.policy,
            "next": {kind: list(self.edges(kind)) for kind in EDGES if self.edges(kind)},
            "join": self.join,
        }

    def edges(self, kind: str) -> tuple[int, ...]:
        """Return the ids of the nodes that follow by edges of this kind."""
        return cast(tuple[int, ...], getattr(self, kind))

    @property
    def asks(self) -> bool:
        """Tell whether the node succeeds only by a person's yes, on which the nodes after it stand."""
        return self.type == "approval" or (self.type == "spare_host" and (self.params or {}).get("mode") == "approval")

    @property
    def following(self) -> tuple[int, ...]:
        """Return the ids of every node that may follow, each once; the package node that waits for this one too."""
        waiting = (self.inside,) if self.inside else ()
        return tuple(dict.fromkeys(self.success + self.failure + self.always + waiting))

    @property
    def path(self) -> str:
        """Return the id as people read it: 2.1 for node 1 of the package inside node 2; the id of a flat graph is whole."""
        return path_of(self.id) if self.inside else str(self.id)


def path_of(node_id: int) -> str:
    """Return the id of a node as people read it."""
    parts = []
    while node_id >= STRIDE:
        parts.append(node_id % STRIDE)
        node_id //= STRIDE
    return ".".join(str(part) for part in [node_id, *reversed(parts)])


def _targets(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    found: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
    return tuple(int(target) for target in found)


def downstream(nodes: Sequence[Node], start: int) -> set[int]:
    """Return the ids of all nodes that can be reached from `start`, without `start` itself (unless a loop leads back)."""
    by_id = {node.id: node for node in nodes}
    seen: set[int] = set()
    pending = list(by_id[start].following)
    while pending:
        target = pending.pop()
        if target in seen or target not in by_id:
            continue
        seen.add(target)
        pending.extend(by_id[target].following)
    return seen


def loops(nodes: Sequence[Node]) -> list[int]:
    """Return the ids of the nodes that lie on a loop."""
    return sorted(node.id for node in nodes if node.id in downstream(nodes, node.id))


def in_order(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes so that each comes after all that lead to it. The graph must be free of loops."""
    by_id = {node.id: node for node in nodes}
    done: list[Node] = []
    seen: set[int] = set()

    def visit(node: Node) -> None:
        seen.add(node.id)
        for target in node.following:
            if target not in seen:
                visit(by_id[target])
        done.append(node)

    for node in sorted(nodes, key=lambda each: each.id):
        if node.id not in seen:
            visit(node)
    return done[::-1]
