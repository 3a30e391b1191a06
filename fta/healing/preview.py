"""A plan as it would be carried out, for people to read: parameters rendered, what only a run can tell left as it is written."""

from typing import Any

from fta.healing import variables
from fta.healing.plan import nodes_of
from fta.healing.runners import RUNNERS
from fta.lib.types import JSONDict
from fta.models import Execution


def rendered(execution: Execution) -> list[dict[str, Any]]:
    """Return the nodes of a frozen plan with the variables in their parameters filled in; secrets have no variables."""
    known = dict(execution.plan.get("variables", {}))
    return [
        {"id": node.id, "name": node.name, "type": node.type, "params": _params(node.type, node.params or {}, known)}
        for node in nodes_of(execution.plan)
    ]


def _params(kind: str, params: JSONDict, known: dict[str, str]) -> JSONDict:
    if kind not in RUNNERS:
        return dict(params)
    later = {name: f"${{{name}}}" for name in variables.names_in(params) if name not in known}
    return RUNNERS[kind].render(dict(params), known | later)
