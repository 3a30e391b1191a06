"""Names of what the floors above keep, and what of a configuration names nothing: approval policies and channels.

Their rows are reached through the relations that those floors made with ours; this floor never imports them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from fta.healing.runners import RUNNERS
from fta.models import Execution


def policies() -> list[str]:
    """Return the names of the approval policies in use."""
    return _names("approvals", "policy")


def channels() -> list[str]:
    """Return the names of the channels in use."""
    return _names("delivery", "channel")


def _names(relation: str, column: str) -> list[str]:
    """Return the names of the rows that a column of the rows about executions points at."""
    about: Any = Execution._meta.get_field(relation).related_model
    model = about._meta.get_field(column).related_model
    return list(model._default_manager.filter(archived=False).order_by("name").values_list("name", flat=True))


def policy_fault(name: str) -> str:
    """Return what is wrong with the name of an approval policy; nothing is wrong with none."""
    return f'no approval policy "{name}"' if name and name not in policies() else ""


def channel_faults(names: Sequence[Any]) -> list[tuple[int, str]]:
    """Return (place in the list, message) of the names of channels that are not there."""
    there = channels() if names else []
    return [(at, f'no channel "{name}"') for at, name in enumerate(names) if name not in there]


def faults(nodes: Sequence[Any]) -> list[tuple[str, str]]:
    """Return (path, message) of what nodes name and is not there; what is wrong otherwise their package's `validate` says."""
    return [fault for at, node in enumerate(nodes) if isinstance(node, dict) for fault in _faults(f"nodes[{at}]", node)]


def _faults(where: str, node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    runner, said = RUNNERS.get(str(node.get("type"))), node.get("params")
    params: dict[str, Any] = said if isinstance(said, dict) else {}
    for field in runner.fields if runner else ():
        path, value = f"{where}.params.{field.name}", params.get(field.name)
        if field.kind == "policy" and isinstance(value, str) and (message := policy_fault(value)):
            yield path, message
        if field.kind == "channels" and isinstance(value, list):
            yield from ((f"{path}[{at}]", message) for at, message in channel_faults(value))
