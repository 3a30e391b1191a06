"""The package being edited: its form, its parameters and its nodes, as stored, as posted, or changed by a button.

Every block has a number of its own in the names of its fields, listed in hidden fields `nodes` and `parameters`; so adding and
removing blocks needs no script and moves nothing that was typed. The graph editor works on the same fields.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.config import references
from fta.healing import inner
from fta.healing.nodes import EDGES, START
from fta.healing.runners import RUNNERS
from fta.healing.validation import Problem, validate
from fta.models import Package, PackageVersion
from fta.web.forms.node_params import ParamsForm
from fta.web.forms.packages import NodeForm, PackageForm, ParameterForm

MAX_BLOCKS = 200
MAX_DIGITS = 8
_MISSING = {
    "policy": gettext_lazy("没有审批策略「%s」"),
    "channel": gettext_lazy("没有通知服务「%s」"),
    "credential": gettext_lazy("没有类型为令牌的凭据「%s」"),
}
_PLACE = re.compile(r"(nodes|parameters)\[(\d+)\](?:\.(params\.)?([\w.]+))?")


class Draft:
    """One state of the editor."""

    def __init__(self, head: PackageForm, parameters: Sequence[ParameterForm], nodes: Sequence[NodeForm]) -> None:
        self.head = head
        self.parameters = list(parameters)
        self.nodes = list(nodes)
        self.picked = ""  # the prefix of the node that is looked at
        self.checked = False  # whether problems were looked for
        self.loose: list[str] = []  # problems that belong to no block
        self.text: str | None = None  # YAML that could not be read, kept to be mended

    @classmethod
    def stored(cls, user: Any, package: Package | None, version: PackageVersion | None) -> "Draft":
        """Return the editor of a stored version, or of a new package with a first node."""
        nodes = version.nodes if version else [{"id": START, "type": "script"}]
        layout = package.layout if package else {}
        return cls.of(PackageForm(user, package), version.parameters if version else [], nodes, layout)

    @classmethod
    def copy_of(cls, user: Any, source: Package) -> "Draft":
        """Return the editor of a new package that is to be as another one; secrets are not copied."""
        version = source.current
        number = version.number if version else 0
        own = {name: getattr(source, name) for name in ("name", "description", "risk", "mode")}
        initial = {**own, **source.budget, "note": _("复制自 %(key)s v%(n)s") % {"key": source.key, "n": number}}
        parameters, nodes = (version.parameters, version.nodes) if version else ([], [])
        return cls.of(PackageForm(user, None, initial=initial), parameters, nodes, source.layout)

    @classmethod
    def of(
        cls, head: PackageForm, parameters: Sequence[Any], nodes: Sequence[Any], layout: Mapping[str, Any]
    ) -> "Draft":
        """Return the editor of these parameters and nodes; `layout` has the chosen places by the id of the node."""
        placed = [{**each, "place": ",".join(map(str, layout.get(str(each.get("id")), [])))} for each in nodes]
        return cls(
            head,
            [ParameterForm(prefix=f"parameters-{at}", initial=each) for at, each in enumerate(parameters)],
            [NodeForm.stored(f"nodes-{at}", each) for at, each in enumerate(placed)],
        )

    @classmethod
    def posted(cls, user: Any, package: Package | None, data: QueryDict) -> "Draft":
        """Return the editor as it was sent."""
        found = cls(
            PackageForm(user, package, data),
            [ParameterForm(data, prefix=f"parameters-{each}") for each in _numbers(data, "parameters")],
            [NodeForm(data, prefix=f"nodes-{each}") for each in _numbers(data, "nodes")],
        )
        found.picked = data.get("picked", "")
        return found

    def sent(self) -> "Draft":
        """Return this state with its fields read, as if a browser had sent it; this one stays unjudged."""
        data = {
            bound.html_name: value
            for form in self._forms()
            for bound in form
            # A box that is not ticked is not sent; any other field may hold a false or a zero.
            if (value := bound.value()) is not None
            and not (value is False and isinstance(bound.field, forms.BooleanField))
        }
        found = Draft(
            PackageForm(self.head.user, self.head.package, data),
            [ParameterForm(data, prefix=each.prefix) for each in self.parameters],
            [NodeForm(data, prefix=each.prefix) for each in self.nodes],
        )
        for form in found._forms():
            form.full_clean()
        return found

    def _forms(self) -> list[Any]:
        return [self.head, *self.parameters, *self.nodes, *(node.params for node in self.nodes)]

    def acted(self, action: str, kind: str) -> "Draft":
        """Return the sent editor after a button (add-node, copy-node, add-parameter, drop:<prefix>, tidy, redraw), unjudged."""
        found = self._raw()
        verb, _colon, prefix = action.partition(":")
        if verb == "add-node":
            found._add_node({"type": kind if kind in RUNNERS else "script"}, after=self.picked)
        elif verb == "copy-node":
            found._copy_node(prefix)
        elif verb == "add-parameter":
            found.parameters.append(ParameterForm(prefix=f"parameters-{_free_place(found.parameters)}"))
        elif verb == "drop":
            found._drop(prefix)
        elif verb == "tidy":
            found.nodes = [_changed(each, place="") for each in found.nodes]
        return found

    def _raw(self) -> "Draft":
        found = Draft(
            PackageForm(self.head.user, self.head.package, initial=raw_of(self.head)),
            [ParameterForm(prefix=each.prefix, initial=raw_of(each)) for each in self.parameters],
            [_changed(each) for each in self.nodes],
        )
        found.picked = self.picked
        return found

    def _add_node(self, node: Mapping[str, Any], after: str = "") -> None:
        """Add a node; it follows the one that is looked at, if nothing does yet."""
        prefix, pk = f"nodes-{_free_place(self.nodes)}", _free_id(self.nodes)
        for at, form in enumerate(self.nodes):
            if form.prefix == after and not ids_of(form["success"].value()):
                self.nodes[at] = _changed(form, success=[pk])
        self.nodes.append(NodeForm.stored(prefix, {**node, "id": pk}))
        self.picked = prefix

    def _copy_node(self, prefix: str) -> None:
        for form in [each for each in self.nodes if each.prefix == prefix]:
            self._add_node({"type": form["type"].value()})
            pk = self.nodes.pop()["id"].value()
            self.nodes.append(_changed(form, self.picked, id=pk, place="", **dict.fromkeys(EDGES, "")))

    def _drop(self, prefix: str) -> None:
        """Drop a block; what led to a dropped node leads nowhere."""
        gone = {int(pk) for each in self.nodes if each.prefix == prefix and is_number(pk := each["id"].value())}
        self.parameters = [each for each in self.parameters if each.prefix != prefix]
        self.nodes = [each for each in self.nodes if each.prefix != prefix]
        for at, form in enumerate(self.nodes):
            targets = {kind: ids_of(form[kind].value()) for kind in EDGES}
            if any(gone & set(each) for each in targets.values()):
                kept = {kind: [target for target in each if target not in gone] for kind, each in targets.items()}
                self.nodes[at] = _changed(form, **kept)

    def is_valid(self) -> bool:
        """Judge every field, then the package as a whole; every problem is put where it belongs."""
        self.checked = True
        good = [form.is_valid() for form in (self.head, *self.parameters, *self.nodes)]
        if all(good[1:]):
            problems = validate(self.node_data(), self.parameter_data()) or self._beyond()
            self.show(problems)
            good.append(not problems)
        return all(good)

    def _beyond(self) -> list[Problem]:
        """Return what is wrong with the other things that the nodes name: packages, policies, channels, credentials."""
        own, nodes = self.head.cleaned_data, self.node_data()
        key = self.head.package.key if self.head.package else own.get("key", "")
        missing = [Problem(each.path, None, _MISSING[each.kind] % each.name) for each in references.missing(nodes)]
        return [*inner.problems_of(nodes, key, own.get("business")), *missing]

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

    def layout(self) -> dict[str, list[int]]:
        """Return the places that a person has chosen, by the id of the node."""
        placed = ((form.cleaned_data.get("id"), form.cleaned_data.get("place")) for form in self.nodes)
        return {str(pk): [int(part) for part in place.split(",")] for pk, place in placed if pk and place}

    def secrets(self) -> dict[str, str]:
        """Return the secret values that were typed, by the name of their parameter."""
        return {
            each.cleaned_data["name"]: each.cleaned_data["secret"]
            for each in self.parameters
            if each.cleaned_data["secret"]
        }

    def wrong(self) -> list[tuple[str, str, str]]:
        """Return (anchor, block, message) of every block with a problem, for the summary on top."""
        found = [("f-yaml" if self.text is not None else "", "", message) for message in self.loose]
        if not self.checked:
            return found
        found += [("f-package", _("基本信息"), message) for message in _messages(self.head)]
        for form in self.parameters:
            name = _("参数 %s") % (form["name"].value() or "")
            found += [(str(form.prefix), name, message) for message in _messages(form)]
        for node in self.nodes:
            name = _("节点 %s") % (node["id"].value() or "")
            found += [(str(node.prefix), name, message) for message in [*_messages(node), *_messages(node.params)]]
        return found

    def faults(self) -> dict[str, list[str]]:
        """Return the messages of every faulty field by its name in the page, and of a block as a whole by its prefix."""
        found: dict[str, list[str]] = {}
        for form in self._forms():
            for name, errors in form.errors.items():
                block = str(form.prefix or "f-package").removesuffix("-p")
                place = form[name].html_name if name in form.fields else block
                found.setdefault(place, []).extend(str(error) for error in errors)
        return found


def _changed(form: NodeForm, prefix: Any = None, **changes: Any) -> NodeForm:
    """Return the node as its fields hold it, unjudged, with some of them changed."""
    initial = {**raw_of(form), **changes}
    return NodeForm(prefix=prefix or form.prefix, initial=initial, params=raw_of(form.params))


def _messages(form: forms.Form) -> list[str]:
    found = []
    for name, errors in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        found += [f"{label}：{error}".lstrip("：").rstrip("。") for error in errors]
    return found


def _numbers(data: QueryDict, name: str) -> list[str]:
    found = [each for each in data.getlist(name) if is_number(each)]
    return list(dict.fromkeys(found))[:MAX_BLOCKS]


def raw_of(form: forms.Form | ParamsForm) -> dict[str, Any]:
    """Return what the fields hold now, unjudged."""
    return {bound.name: value for bound in form if (value := bound.value()) is not None}


def is_number(value: Any) -> bool:
    """Tell whether a value is a whole number of a few digits."""
    text = str(value)
    return text.isascii() and text.isdigit() and len(text) < MAX_DIGITS


def ids_of(value: Any) -> list[int]:
    """Return the node ids that a list, or a text with commas, names."""
    words = value if isinstance(value, list) else re.split(r"[,，、\s]+", str(value or ""))
    return [int(word) for word in words if is_number(word)]


def _free_place(blocks: Sequence[forms.Form]) -> int:
    return max((int(str(each.prefix).rpartition("-")[2]) for each in blocks), default=-1) + 1


def _free_id(nodes: Sequence[NodeForm]) -> int:
    return max((int(raw) for each in nodes if is_number(raw := each["id"].value())), default=0) + 1
