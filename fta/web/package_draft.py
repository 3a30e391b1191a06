"""The package being edited: its form, its parameters and its nodes, as stored, as posted, or redrawn while it is being built.

Every block has a number of its own in the names of its fields, listed in hidden fields `nodes` and `parameters`; so adding and
removing blocks needs no script and moves nothing that was typed.
"""

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from fta.healing.flow import START
from fta.healing.nodes import Node
from fta.healing.runners import RUNNERS
from fta.healing.validation import Problem, node_of, validate
from fta.healing.variables import VARIABLES
from fta.models import Package, PackageVersion
from fta.web.flow_svg import Drawing, Look, draw
from fta.web.forms.node_params import ParamsForm
from fta.web.forms.packages import NodeForm, PackageForm, ParameterForm
from fta.web.sentences import duration_text

MAX_BLOCKS = 200
MAX_DIGITS = 8
_PLACE = re.compile(r"(nodes|parameters)\[(\d+)\](?:\.(params\.)?([\w.]+))?")


class Draft:
    """One state of the editor."""

    def __init__(self, head: PackageForm, parameters: Sequence[ParameterForm], nodes: Sequence[NodeForm]) -> None:
        self.head = head
        self.parameters = list(parameters)
        self.nodes = list(nodes)
        self.checked = False  # whether problems were looked for
        self.loose: list[str] = []  # problems that belong to no block

    @classmethod
    def stored(cls, user: Any, package: Package | None, version: PackageVersion | None) -> "Draft":
        """Return the editor of a stored version, or of a new package with a first node."""
        nodes = version.nodes if version else [{"id": START, "type": "script"}]
        parameters = version.parameters if version else []
        return cls(
            PackageForm(user, package),
            [ParameterForm(prefix=f"parameters-{at}", initial=each) for at, each in enumerate(parameters)],
            [NodeForm.stored(f"nodes-{at}", each) for at, each in enumerate(nodes)],
        )

    @classmethod
    def posted(cls, user: Any, package: Package | None, data: QueryDict) -> "Draft":
        """Return the editor as it was sent."""
        return cls(
            PackageForm(user, package, data),
            [ParameterForm(data, prefix=f"parameters-{each}") for each in _numbers(data, "parameters")],
            [NodeForm(data, prefix=f"nodes-{each}") for each in _numbers(data, "nodes")],
        )

    def acted(self, action: str, kind: str) -> "Draft":
        """Return the sent editor after add-node, add-parameter, drop:<prefix> or a redraw; nothing is judged."""
        head = PackageForm(self.head.user, self.head.package, initial=_raw(self.head))
        parameters = [ParameterForm(prefix=each.prefix, initial=_raw(each)) for each in self.parameters]
        nodes = [NodeForm(prefix=each.prefix, initial=_raw(each), params=_raw(each.params)) for each in self.nodes]
        if action == "add-node":
            first = {"id": _free_id(nodes), "type": kind if kind in RUNNERS else "script"}
            nodes.append(NodeForm.stored(f"nodes-{_free_place(nodes)}", first))
        elif action == "add-parameter":
            parameters.append(ParameterForm(prefix=f"parameters-{_free_place(parameters)}"))
        dropped = action.removeprefix("drop:")
        return Draft(
            head,
            [each for each in parameters if each.prefix != dropped],
            [each for each in nodes if each.prefix != dropped],
        )

    def is_valid(self) -> bool:
        """Judge every field, then the package as a whole; every problem is put where it belongs."""
        self.checked = True
        good = [form.is_valid() for form in (self.head, *self.parameters, *self.nodes)]
        if not all(good):
            return False
        problems = validate(self.node_data(), self.parameter_data())
        self.show(problems)
        return not problems

    def show(self, problems: Sequence[Problem]) -> None:
        """Put each problem beside its block or field."""
        for problem in problems:
            place = _PLACE.match(problem.path)
            forms_there: Sequence[Any] = getattr(self, place[1]) if place else ()
            at = int(place[2]) if place else 0
            if place is None or at >= len(forms_there):
                self.loose.append(problem.message)
                continue
            form = forms_there[at].params if place[3] else forms_there[at]
            form.add_error(place[4] if place[4] in form.fields else None, problem.message)

    def node_data(self) -> list[dict[str, Any]]:
        """Return the nodes as the package stores them."""
        return [form.node() for form in self.nodes]

    def parameter_data(self) -> list[dict[str, Any]]:
        """Return the parameters as the package stores them."""
        return [form.declaration() for form in self.parameters]

    def secrets(self) -> dict[str, str]:
        """Return the secret values that were typed, by the name of their parameter."""
        return {
            each.cleaned_data["name"]: each.cleaned_data["secret"]
            for each in self.parameters
            if each.cleaned_data["secret"]
        }

    def wrong(self) -> list[tuple[str, str, str]]:
        """Return (anchor, block, message) of every block with a problem, for the summary on top."""
        if not self.checked:
            return []
        found = [("", "", message) for message in self.loose]
        found += [("f-package", _("基本信息"), message) for message in _messages(self.head)]
        for form in self.parameters:
            name = _("参数 %s") % (form["name"].value() or "")
            found += [(str(form.prefix), name, message) for message in _messages(form)]
        for node in self.nodes:
            name = _("节点 %s") % (node["id"].value() or "")
            found += [(str(node.prefix), name, message) for message in [*_messages(node), *_messages(node.params)]]
        return found

    def variables(self) -> list[tuple[str, Any]]:
        """Return what may stand between ${ and }, for the list beside the nodes."""
        return list(VARIABLES.items())

    def drawing(self) -> Drawing | None:
        """Return the graph as far as the nodes can be read now; wrong nodes are marked."""
        read: dict[int, tuple[NodeForm, Node]] = {}
        for form in self.nodes:
            raw = _raw(form)
            if _is_number(raw.get("id")) and int(raw["id"]) not in read:
                node = {"id": int(raw["id"]), "name": raw.get("name", ""), "type": raw.get("type", "script")}
                edges = {kind: _ids(raw.get(kind)) for kind in ("success", "failure", "always")}
                read[node["id"]] = (form, node_of(node | {"next": edges}))
        if not read:
            return None
        looks = {pk: Look(_look(self.checked, form), href=f"#{form.prefix}") for pk, (form, _node) in read.items()}
        return draw([node for _form, node in read.values()], labels(), looks)


def labels() -> dict[str, str]:
    """Return the word of every node type."""
    return {name: str(runner.label) for name, runner in RUNNERS.items()}


def drawing_of(version: PackageVersion) -> Drawing:
    """Return the graph of a stored version."""
    nodes = [node_of(each) for each in version.nodes]
    looks = {node.id: Look("plan", _("超时 %s") % duration_text(node.timeout), f"#node-{node.id}") for node in nodes}
    return draw(nodes, labels(), looks)


def _look(checked: bool, form: NodeForm) -> str:
    wrong = checked and (form.errors or form.params.errors)
    return "plan is-bad" if wrong else "plan"


def _messages(form: forms.Form) -> list[str]:
    found = []
    for name, errors in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        found += [f"{label}：{error}" if label else str(error) for error in errors]
    return found


def _numbers(data: QueryDict, name: str) -> list[str]:
    found = [each for each in data.getlist(name) if _is_number(each)]
    return list(dict.fromkeys(found))[:MAX_BLOCKS]


def _raw(form: forms.Form | ParamsForm) -> dict[str, Any]:
    """Return what the fields hold now, unjudged."""
    return {bound.name: value for bound in form if (value := bound.value()) is not None}


def _is_number(value: Any) -> bool:
    text = str(value)
    return text.isascii() and text.isdigit() and len(text) < MAX_DIGITS


def _ids(value: Any) -> list[int]:
    words = value if isinstance(value, list) else re.split(r"[,，、\s]+", str(value or ""))
    return [int(word) for word in words if _is_number(word)]


def _free_place(blocks: Sequence[forms.Form]) -> int:
    return max((int(str(each.prefix).rpartition("-")[2]) for each in blocks), default=-1) + 1


def _free_id(nodes: Sequence[NodeForm]) -> int:
    return max((int(raw) for each in nodes if _is_number(raw := each["id"].value())), default=0) + 1
