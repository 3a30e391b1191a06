"""The geometry of a package's graph."""

from fta.healing.nodes import Node
from fta.web.flow_svg import Look, draw, fit


def nodes(*edges: tuple[int, dict[str, list[int]]]) -> list[Node]:
    return [Node.of({"id": pk, "type": "script", "name": f"n{pk}", "next": following}) for pk, following in edges]


def test_success_stays_in_its_row_and_failure_goes_below() -> None:
    drawing = draw(nodes((1, {"success": [2], "failure": [3]}), (2, {}), (3, {})), {"script": "脚本作业"})
    place = {box.id: (box.x, box.y) for box in drawing.boxes}
    assert place[1][1] == place[2][1]
    assert place[3][0] == place[2][0]
    assert place[3][1] > place[2][1]
    assert [edge.css for edge in drawing.edges] == ["", "is-failure"]


def test_a_join_stands_behind_all_that_lead_to_it() -> None:
    drawing = draw(nodes((1, {"success": [2, 3]}), (2, {"success": [4]}), (3, {"success": [4]}), (4, {})), {})
    place = {box.id: (box.x, box.y) for box in drawing.boxes}
    assert place[4][0] > place[2][0] == place[3][0]
    assert len(set(place.values())) == 4


def test_no_two_nodes_share_a_place_in_a_wide_graph() -> None:
    following = {"success": [2, 3, 4], "failure": [5, 6]}
    drawing = draw(nodes((1, following), *((pk, {"failure": [7]}) for pk in range(2, 7)), (7, {})), {})
    assert len({(box.x, box.y) for box in drawing.boxes}) == 7
    assert all(box.x + 156 <= drawing.width and box.y + 62 <= drawing.height for box in drawing.boxes)


def test_an_edge_is_done_once_what_follows_has_begun() -> None:
    looks = {1: Look("succeeded"), 2: Look("running")}
    drawing = draw(nodes((1, {"success": [2]}), (2, {"success": [3]}), (3, {})), {}, looks, picked=2)
    assert [edge.css for edge in drawing.edges] == ["is-done", ""]
    assert [box.picked for box in drawing.boxes] == [False, True, False]


def test_a_broken_graph_is_drawn_all_the_same() -> None:
    assert len(draw(nodes((1, {"success": [2]}), (2, {"success": [1]})), {}).boxes) == 2
    assert len(draw(nodes((1, {"success": [9]})), {}).edges) == 0
    assert draw([], {}).boxes == []


def test_a_long_name_is_cut_to_the_box() -> None:
    assert fit("三次 Ping 不通", 17) == "三次 Ping 不通"
    assert fit("一个名字很长很长的节点", 17).endswith("…")


def test_what_runs_inside_of_a_package_is_framed_unless_another_node_stands_between() -> None:
    def of(number: int, inside: int = 0, **following: list[int]) -> Node:
        return Node.of({"id": number, "type": "script", "next": following, "inside": inside})

    flat = [of(1, success=[2001]), of(2001, 2, success=[2002]), of(2002, 2), of(2, success=[3]), of(3)]
    drawing = draw(flat, {})
    first, last = (next(box for box in drawing.boxes if box.id == number) for number in (2001, 2))
    assert [(frame.x, frame.width) for frame in drawing.frames] == [(first.x - 10, last.x - first.x + 156 + 20)]
    assert [box.kind for box in drawing.boxes][1] == "2.1 · script"
    assert (2002, 2) in [(edge.source, edge.target) for edge in drawing.edges]
    assert draw(flat, {}, fixed={3: (2, 0), 2002: (3, 1)}).frames == []


def test_a_node_of_a_flat_graph_is_called_by_its_whole_number() -> None:
    drawing = draw(nodes((1, {"success": [1500]}), (1500, {})), {"script": "脚本作业"})
    assert [box.kind for box in drawing.boxes] == ["1 · 脚本作业", "1500 · 脚本作业"]
    assert Node.of({"id": 2001, "type": "script", "inside": 2}).path == "2.1"
