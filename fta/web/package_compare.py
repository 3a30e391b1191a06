"""Two versions of a package beside each other: one graph with what was added, removed and changed, and the text line by line."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import unified_diff
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.nodes import EDGES, Node
from fta.healing.runners import RUNNERS
from fta.healing.validation import node_of
from fta.healing.versions import Comparison, compare
from fta.models import PackageVersion
from fta.web.flow_svg import META_UNITS, Drawing, Look, draw, fit
from fta.web.package_canvas import labels, places_of
from fta.web.package_text import text

_WORDS = {
    "name": gettext_lazy("名称"),
    "type": gettext_lazy("类型"),
    "timeout": gettext_lazy("超时"),
    "retries": gettext_lazy("重试"),
    "policy": gettext_lazy("中断后怎么办"),
    "next": gettext_lazy("连线"),
    "join": gettext_lazy("汇合"),
}


def context(old: PackageVersion, new: PackageVersion) -> dict[str, Any]:
    """Return what the page of a comparison shows."""
    found = compare(old, new)
    words = {pk: _words(node_of(_by_id(new)[pk]), paths) for pk, paths in found.changed.items()}
    return {
        "old": old,
        "new": new,
        "comparison": found,
        "changes": _changes(old, new, found, words),
        "drawing": _drawing(old, new, found, words),
        "lines": _lines(old, new),
    }


def _by_id(version: PackageVersion) -> dict[int, Any]:
    return {node["id"]: node for node in version.nodes}


def _words(node: Node, paths: Sequence[str]) -> str:
    """Return which parts of a node differ, in the words of its form."""
    runner = RUNNERS.get(node.type)
    fields: dict[str, Any] = {field.name.partition(".")[0]: field.label for field in runner.fields} if runner else {}
    named = [
        fields.get(name := path.removeprefix("params."), name) if "." in path else _WORDS.get(path, path)
        for path in paths
    ]
    return "、".join(str(word) for word in named)


def _changes(
    old: PackageVersion, new: PackageVersion, found: Comparison, words: Mapping[int, str]
) -> list[tuple[str, int, str, str]]:
    """Return (mark, id, name, what differs) of every node that differs."""
    before, after = _by_id(old), _by_id(new)
    rows = [("added", pk, after[pk], "") for pk in sorted(found.added)]
    rows += [("changed", pk, after[pk], words[pk]) for pk in found.changed]
    rows += [("removed", pk, before[pk], "") for pk in sorted(found.removed)]
    return [
        (mark, pk, str(node["name"] or labels().get(node["type"], node["type"])), what) for mark, pk, node, what in rows
    ]


def _drawing(old: PackageVersion, new: PackageVersion, found: Comparison, words: Mapping[int, str]) -> Drawing:
    """Draw the new version with what was removed still in place."""
    before, after = ({pk: node_of(node) for pk, node in _by_id(version).items()} for version in (old, new))
    merged = [_merged(before.get(pk), after.get(pk)) for pk in dict.fromkeys([*after, *before])]
    looks = {node.id: Look("plan") for node in merged}
    looks |= {pk: Look("plan is-added", _("新增")) for pk in found.added}
    looks |= {pk: Look("plan is-removed", _("删除")) for pk in found.removed}
    looks |= {pk: Look("plan is-changed", fit(_("改：%s") % words[pk], META_UNITS)) for pk in found.changed}
    old_edges, new_edges = _edges(before.values()), _edges(after.values())
    marks = dict.fromkeys(new_edges - old_edges, "is-added") | dict.fromkeys(old_edges - new_edges, "is-removed")
    return draw(merged, labels(), looks, fixed=places_of(new.package), marks=marks)


def _merged(old: Node | None, new: Node | None) -> Node:
    if old is None or new is None:
        return next(each for each in (old, new) if each)
    edges = {kind: tuple(dict.fromkeys(new.edges(kind) + old.edges(kind))) for kind in EDGES}
    return replace(new, success=edges["success"], failure=edges["failure"], always=edges["always"])


def _edges(nodes: Any) -> set[tuple[int, int, str]]:
    return {(node.id, target, kind) for node in nodes for kind in EDGES for target in node.edges(kind)}


def _lines(old: PackageVersion, new: PackageVersion) -> list[tuple[str, str]]:
    """Return (mark, line) of the texts' difference, with a little around each change."""
    before, after = (text({}, each.parameters, each.nodes).splitlines() for each in (old, new))
    marks = {"+": "is-added", "-": "is-removed", "@": "is-gap"}
    return [(marks.get(line[0], ""), line) for line in list(unified_diff(before, after, lineterm="", n=3))[2:]]
