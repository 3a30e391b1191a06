"""Where the nodes of a package stand and how its edges run: pure geometry for an SVG template, states as classes only."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from fta.healing.nodes import EDGES, Node, in_order, loops

BOX_W, BOX_H = 156, 62
GAP_X, GAP_Y = 42, 40
MARGIN = 4
FRAME = 10  # from the nodes of a package inside to the line around them
MIN_WIDTH = 760  # a small graph is not blown up to the width of the page
EDGE_WORDS = {"failure": _("失败"), "always": _("总是")}
TITLE_UNITS, META_UNITS = 17, 22  # half-width letters that fit into a box


@dataclass(frozen=True)
class Look:
    """How a node looks now: its state's class, and a short line below its name."""

    state: str = "idle"
    meta: str = ""
    href: str = ""


@dataclass(frozen=True)
class Box:
    """A node at its place."""

    id: int
    column: int
    row: int
    kind: str
    title: str
    full_title: str
    look: Look
    picked: bool

    @property
    def x(self) -> int:
        """Return the left edge."""
        return MARGIN + self.column * (BOX_W + GAP_X)

    @property
    def y(self) -> int:
        """Return the upper edge."""
        return MARGIN + self.row * (BOX_H + GAP_Y)


@dataclass(frozen=True)
class Edge:
    """A line with its arrow head; its word, if its kind has one, stands at (label_x, label_y)."""

    source: int
    target: int
    path: str
    arrow: str
    css: str
    kind: str
    label_x: int
    label_y: int

    @property
    def word(self) -> Any:
        """Return what to write on the line, '' for the plain way on after success."""
        return EDGE_WORDS.get(self.kind, "")

    @property
    def cap(self) -> tuple[int, int]:
        """Return the corner of the patch that keeps the line out of its label."""
        return self.label_x - 15, self.label_y - 12


@dataclass(frozen=True)
class Frame:
    """A line around the nodes of a package inside and the one that waits for them."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Drawing:
    """A laid out graph."""

    width: int
    height: int
    boxes: Sequence[Box]
    edges: Sequence[Edge]
    frames: Sequence[Frame] = ()
    step = (BOX_W + GAP_X, BOX_H + GAP_Y)  # from column to column, from row to row
    margin = MARGIN


Place = tuple[int, int]


def draw(
    nodes: Sequence[Node],
    labels: Mapping[str, str],
    looks: Mapping[int, Look] | None = None,
    picked: int | None = None,
    fixed: Mapping[int, Place] | None = None,
    marks: Mapping[tuple[int, int, str], str] | None = None,
) -> Drawing:
    """Lay out a graph from left to right; success goes on in the row, failure to a row below.

    `labels` are the words of node types, `looks` the state of nodes by id, `fixed` the places that a person has chosen, `marks`
    further classes of edges by (source, target, kind). A graph with a loop or an edge to a node that does not exist is drawn in
    one row, so that an editor can still show it.
    """
    places = _places(nodes, fixed or {})
    looks, marks = looks or {}, marks or {}
    boxes = [
        _box(node, places[node.id], labels.get(node.type, node.type), looks.get(node.id, Look()), node.id == picked)
        for node in nodes
    ]
    taken = set(places.values())
    edges = [
        _edge(
            (node.id, target, kind),
            (places[node.id], places[target]),
            taken,
            kind != "success" and target in node.success,
            "is-done" if _is_done(looks, node.id, target) else marks.get((node.id, target, kind), ""),
        )
        for node in nodes
        for kind, target in _lines(node)
        if target in places
    ]
    columns = max((x for x, _row in places.values()), default=0) + 1
    rows = max((y for _column, y in places.values()), default=0) + 1
    below = any(edge.path.count("V") > 1 for edge in edges)
    width = columns * (BOX_W + GAP_X) - GAP_X + 2 * MARGIN
    height = rows * (BOX_H + GAP_Y) - GAP_Y + 2 * MARGIN + (GAP_Y // 2 if below else 0)
    return Drawing(max(width, MIN_WIDTH), height, boxes, edges, _frames(nodes, boxes))


def _frames(nodes: Sequence[Node], boxes: Sequence[Box]) -> list[Frame]:
    """Frame what lies in a package inside, unless another node stands between."""
    around = {node.id: node.inside for node in nodes}
    found = []
    for scope in sorted(set(around.values()) - {0}):
        mine = [box for box in boxes if box.id == scope or _is_within(box.id, scope, around)]
        left, right = min(box.column for box in mine), max(box.column for box in mine)
        top, bottom = min(box.row for box in mine), max(box.row for box in mine)
        within = [box for box in boxes if left <= box.column <= right and top <= box.row <= bottom]
        if len(within) == len(mine):
            x, y = MARGIN + left * (BOX_W + GAP_X) - FRAME, MARGIN + top * (BOX_H + GAP_Y) - FRAME
            width = (right - left) * (BOX_W + GAP_X) + BOX_W + 2 * FRAME
            found.append(Frame(x, y, width, (bottom - top) * (BOX_H + GAP_Y) + BOX_H + 2 * FRAME))
    return found


def _is_within(node: int, scope: int, around: Mapping[int, int]) -> bool:
    while node := around.get(node, 0):
        if node == scope:
            return True
    return False


def _lines(node: Node) -> list[tuple[str, int]]:
    """Return the edges to draw as (kind, target); the last nodes of a package inside lead to the node that waits for them."""
    if node.inside and node.following == (node.inside,):
        return [("success", node.inside)]
    return [(kind, target) for kind in EDGES for target in node.edges(kind)]


def _box(node: Node, place: Place, label: str, look: Look, picked: bool) -> Box:
    title = node.name or label
    return Box(node.id, *place, f"{node.path} · {label}", fit(title, TITLE_UNITS), title, look, picked)


def fit(text: str, units: int) -> str:
    """Cut a text to a width in half-width letters; a Chinese character takes two."""
    used = 0
    for index, letter in enumerate(text):
        used += 2 if unicodedata.east_asian_width(letter) in "WFA" else 1
        if used > units:
            return text[: max(index - 1, 1)] + "…"
    return text


def _places(nodes: Sequence[Node], fixed: Mapping[int, Place]) -> dict[int, Place]:
    by_id = {node.id: node for node in nodes}
    if set(by_id) <= set(fixed) and len({fixed[pk] for pk in by_id}) == len(by_id):
        return {pk: fixed[pk] for pk in by_id}
    broken = any(target not in by_id for node in nodes for target in node.following)
    if broken or loops(nodes):
        return _in_a_row(nodes, fixed)
    column = dict.fromkeys(by_id, 0)
    for node in in_order(nodes):
        here = fixed[node.id][0] if node.id in fixed else column[node.id]
        for target in node.following:
            column[target] = max(column[target], here + 1)
    places = _kept(by_id, fixed)
    for node in sorted(nodes, key=lambda each: (each.id not in places, each.id)):
        if node.id in places:
            _walk_on(node, by_id, column, places)
        else:
            _walk(node, 0, by_id, column, places)
    return places


def _kept(known: Iterable[int], fixed: Mapping[int, Place]) -> dict[int, Place]:
    """Return the chosen places of nodes that are there; of two on one place, the first keeps it."""
    first = {place: pk for pk, place in reversed([(pk, fixed[pk]) for pk in known if pk in fixed])}
    return {pk: place for place, pk in first.items()}


def _in_a_row(nodes: Sequence[Node], fixed: Mapping[int, Place]) -> dict[int, Place]:
    places = _kept([node.id for node in nodes], fixed)
    for node in nodes:
        if node.id not in places:
            taken = set(places.values())
            places[node.id] = next(place for index in range(len(nodes)) if (place := (index, 0)) not in taken)
    return places


def _walk(node: Node, row: int, by_id: Mapping[int, Node], column: Mapping[int, int], places: dict[int, Place]) -> None:
    taken = set(places.values())
    while (column[node.id], row) in taken:
        row += 1
    places[node.id] = (column[node.id], row)
    _walk_on(node, by_id, column, places)


def _walk_on(node: Node, by_id: Mapping[int, Node], column: Mapping[int, int], places: dict[int, Place]) -> None:
    row = places[node.id][1]
    for kind in ("success", "always", "failure"):
        for target in node.edges(kind):
            if target not in places:
                _walk(by_id[target], row + (kind == "failure"), by_id, column, places)


def _x(place: Place) -> int:
    return MARGIN + place[0] * (BOX_W + GAP_X)


def _y(place: Place) -> int:
    return MARGIN + place[1] * (BOX_H + GAP_Y)


def _is_done(looks: Mapping[int, Look], start: int, end: int) -> bool:
    idle = Look()
    ended = {"succeeded", "failed", "skipped", "approved", "refused", "expired", "shadowed"}
    return looks.get(start, idle).state in ended and looks.get(end, idle).state != "idle"


def _edge(key: tuple[int, int, str], ends: tuple[Place, Place], taken: set[Place], second: bool, mark: str) -> Edge:
    """Draw an edge; the second one between the same two nodes runs beside the first."""
    (source, target, kind), (start, end) = key, ends
    aside = 18 if second else 0
    x1, y1 = _x(start) + BOX_W, _y(start) + BOX_H // 2 + aside
    x2, y2 = _x(end) - 7, _y(end) + BOX_H // 2 + aside
    middle = _x(start) + BOX_W // 2 + (14 if kind == "failure" else 0)
    bottom = _y(start) + BOX_H
    between = any((column, start[1]) in taken for column in range(start[0] + 1, end[0]))
    label = (x1 + GAP_X // 2 - 3, y1 + 4)
    arrow = f"M{x2 - 1} {y2 - 4}v8l7-4z"
    if start[1] == end[1] and not between and end[0] > start[0]:
        path = f"M{x1} {y1}H{x2}"
    elif (
        start[0] == end[0]
        and end[1] > start[1]
        and not any((end[0], row) in taken for row in range(start[1] + 1, end[1]))
    ):
        path, arrow = f"M{middle} {bottom}V{_y(end) - 7}", f"M{middle - 4} {_y(end) - 8}h8l-4 7z"
        label = (middle, bottom + GAP_Y // 2 + 2)
    elif end[1] > start[1] and start[0] < end[0] and not any((c, end[1]) in taken for c in range(start[0], end[0])):
        path = f"M{middle} {bottom}V{y2 - 8}Q{middle} {y2} {middle + 8} {y2}H{x2}"
        label = (middle, bottom + GAP_Y // 2 + 4)
    elif end[1] != start[1] and not between and end[0] > start[0]:
        turn = _x(end) - GAP_X // 2
        path = f"M{x1} {y1}H{turn}V{y2}H{x2}"
    else:
        lane, turn = max(bottom, _y(end) + BOX_H) + GAP_Y // 2, _x(end) - GAP_X // 2
        path = f"M{middle} {bottom}V{lane}H{turn}V{y2}H{x2}"
        label = (middle, bottom + GAP_Y // 2)
    css = f"{'is-failure ' if kind == 'failure' else ''}{mark}".strip()
    return Edge(source, target, path, arrow, css, kind, *label)
