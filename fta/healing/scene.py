"""Whom a node acts on when its turn comes: the faulty host, or the spare once the two have been swapped on the way to it.

Both are what the plan has frozen; what a step reports only tells which of them it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fta.healing.nodes import Node, downstream, in_order
from fta.lib.types import JSONDict
from fta.models import StepRun

MOVES = frozenset({"spare_host", "swap_host"})


def hosts_at(
    plan: Mapping[str, Any], nodes: Sequence[Node], node: Node, present: Mapping[int, StepRun]
) -> "tuple[JSONDict | None, JSONDict | None]":
    """Return the host that the node acts on and the one that is its spare, by the steps that count now."""
    host, spare = first_host(plan), None
    for each in in_order(nodes):
        step = present.get(each.id)
        if each.type not in MOVES or step is None or step.state != StepRun.State.SUCCEEDED:
            continue
        if node.id not in downstream(nodes, each.id):
            continue
        if each.type == "spare_host":
            spare = _candidate(plan, each, step)
        elif spare is not None:
            host, spare = spare, host
    return host, spare


def first_host(plan: Mapping[str, Any]) -> "JSONDict | None":
    """Return the host that the alert is about; None when it names none that is registered."""
    return next(iter(plan.get("hosts", [])), None)


def values(plan: Mapping[str, Any], host: "JSONDict | None", spare: "JSONDict | None") -> dict[str, str]:
    """Return the variables that a spare brings and a swap changes."""
    if host == first_host(plan):
        return {"ip_bak": str(spare["ip"])} if spare else {}
    there = {"ip": "ip", "host.name": "name", "set": "set", "module": "module"}
    moved = {name: str((host or {}).get(key) or "") for name, key in there.items()}
    return moved | {"ip_bak": str(plan.get("variables", {}).get("ip") or "")}


def _candidate(plan: Mapping[str, Any], node: Node, step: StepRun) -> "JSONDict | None":
    frozen = plan.get("foreseen", {}).get(str(node.id), {}).get("candidates", [])
    return next((each for each in frozen if each["id"] == step.result.get("host")), None)
