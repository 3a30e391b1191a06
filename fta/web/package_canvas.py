"""The graph of a package as a picture: of a stored version, and of a draft with its faults; and the names that a draft may use."""

from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from fta.healing.nodes import DEFAULT_TIMEOUT, EDGES, Node, seconds
from fta.healing.runners import RUNNERS
from fta.healing.validation import node_of
from fta.healing.variables import VARIABLES
from fta.models import Package, PackageVersion
from fta.web.flow_svg import BOX_H, BOX_W, GAP_X, GAP_Y, META_UNITS, Drawing, Look, Place, draw, fit
from fta.web.forms.packages import NodeForm
from fta.web.package_draft import Draft, ids_of, is_number, raw_of
from fta.web.sentences import duration_text


def labels() -> dict[str, str]:
    """Return the word of every node type."""
    return {name: str(runner.label) for name, runner in RUNNERS.items()}


def places_of(package: Package) -> dict[int, Place]:
    """Return the places that people have chosen for the nodes of a package."""
    return {int(pk): (place[0], place[1]) for pk, place in package.layout.items()}


def drawing_of(version: PackageVersion) -> Drawing:
    """Return the graph of a stored version."""
    nodes = [node_of(each) for each in version.nodes]
    looks = {node.id: Look("plan", _timeout(node.timeout), f"#node-{node.id}") for node in nodes}
    return draw(nodes, labels(), looks, fixed=places_of(version.package))


def drawing_of_draft(draft: Draft) -> Drawing | None:
    """Return the graph as far as the nodes can be read now; there is room at its right and lower edge to move a node to."""
    read = _readable(draft)
    if not read:
        return None
    looks = {pk: _look(draft, form) for pk, (form, _node) in read.items()}
    fixed = {pk: place for pk, (form, _node) in read.items() if (place := _place(form))}
    picked = next((pk for pk, (form, _node) in read.items() if form.prefix == draft.picked), None)
    found = draw([node for _form, node in read.values()], labels(), looks, picked, fixed)
    return replace(found, width=found.width + BOX_W + GAP_X, height=found.height + BOX_H + GAP_Y)


def names_of(draft: Draft) -> list[tuple[str, str]]:
    """Return what may stand between ${ and } in this draft, with what it is."""
    found = [(name, str(text)) for name, text in VARIABLES.items() if not name.startswith(("params.", "node."))]
    for form in draft.parameters:
        if form["name"].value() and form["type"].value() != "secret":
            found.append((f"params.{form['name'].value()}", _("套餐参数")))
    for pk, (_form, node) in _readable(draft).items():
        title = node.name or labels().get(node.type, node.type)
        results = RUNNERS[node.type].results if node.type in RUNNERS else ()
        found += [(f"node.{pk}.{name}", _("节点「%s」的结果") % title) for name in ("output", "state", *results)]
    return found


def _readable(draft: Draft) -> dict[int, tuple[NodeForm, Node]]:
    found: dict[int, tuple[NodeForm, Node]] = {}
    for form in draft.nodes:
        raw = raw_of(form)
        if is_number(raw.get("id")) and int(raw["id"]) not in found:
            node: dict[str, Any] = {
                "id": int(raw["id"]),
                "name": raw.get("name", ""),
                "type": str(raw.get("type", "script")),  # YAML may say anything
            }
            edges = {kind: ids_of(raw.get(kind)) for kind in EDGES}
            found[node["id"]] = (form, node_of(node | {"next": edges}))
    return found


def _place(form: NodeForm) -> Place | None:
    column, _comma, row = str(form["place"].value() or "").partition(",")
    return (int(column), int(row)) if is_number(column) and is_number(row) else None


def _look(draft: Draft, form: NodeForm) -> Look:
    if draft.checked and (form.errors or form.params.errors):
        first = next(errors[0] for each in (form, form.params) for errors in each.errors.values())
        return Look("plan is-bad", fit(str(first), META_UNITS), str(form.prefix))
    return Look("plan", _timeout(form["timeout"].value()), str(form.prefix))


def _timeout(value: Any) -> str:
    try:
        return _("超时 %s") % duration_text(seconds(value or DEFAULT_TIMEOUT))
    except ValueError:
        return ""
