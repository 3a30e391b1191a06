"""What is wrong with a package, named by node, before it is saved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from fta.healing import parameters as declared
from fta.healing import variables
from fta.healing.nodes import EDGES, JOINS, KEYS, START, Node, downstream, loops, seconds
from fta.healing.runners import RUNNERS
from fta.healing.runners.fields import Fault
from fta.lib import plain
from fta.models import StepRun

MAX_NODES = 200
MAX_RETRIES = 20
MAX_TIMEOUT = 24 * 3600
MAX_NAME = 128


@dataclass(frozen=True)
class Problem:
    """One fault of a package: where it is (`nodes[2].params`), at which node, and what it is, in words for the author."""

    path: str
    node: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def validate(nodes: Sequence[Any], parameters: Sequence[Any]) -> list[Problem]:
    """Return every fault of a package's nodes and parameters; an empty list means that it may be saved."""
    said = {"nodes": list(nodes), "parameters": list(parameters)}
    if strange := [Problem(path, None, message) for path, message in plain.faults(said)]:
        return strange
    found = [Problem(path, None, message) for path, message in declared.problems_of(parameters)]
    if not nodes:
        return [*found, Problem("nodes", None, _("至少要有一个节点"))]
    if len(nodes) > MAX_NODES:
        return [*found, Problem("nodes", None, _("最多 %(count)s 个节点") % {"count": MAX_NODES})]
    shapes = [problem for at, node in enumerate(nodes) for problem in _shape(at, node)]
    if shapes:
        return found + shapes
    read = [node_of(node) for node in nodes]
    found += _graph(read)
    for at, node in enumerate(nodes):
        found += _params(at, node, parameters, nodes)
    return found


def node_of(data: dict[str, Any]) -> Node:
    """Read a node, with the policy and the acting of its type."""
    runner = RUNNERS.get(data["type"])
    return Node.of(data, runner.default_policy, runner.acting) if runner else Node.of(data)


def _shape(at: int, node: Any) -> list[Problem]:
    if not isinstance(node, dict) or type(node.get("id")) is not int or not 1 <= node["id"] <= 10**6:
        return [Problem(f"nodes[{at}].id", None, _("节点编号应为正整数"))]

    faults = [(key, _("没有这一项，能写的是 %s") % "、".join(KEYS)) for key in node if key not in KEYS]
    faults += [(key, message) for key, (fits, message) in _checks().items() if not fits(node.get(key))]
    return [Problem(f"nodes[{at}].{key}", node["id"], message % {"said": node.get(key)}) for key, message in faults]


def _checks() -> dict[str, tuple[Callable[[Any], bool], str]]:
    """Return what each value of a node must be, and what to say when it is not; one that is empty stands for its default."""
    return {
        "type": (lambda value: isinstance(value, str) and value in RUNNERS, _("未知的节点类型：%(said)s")),
        "name": (_is_name, _("应为文本，最多 128 个字符")),
        "policy": (lambda value: not value or value in StepRun.Policy.values, _("策略只能是 once、idempotent、probe")),
        "join": (lambda value: not value or value in JOINS, _("汇合方式只能是 all 或 any")),
        "params": (lambda value: isinstance(value or {}, dict), _("应为对象")),
        "timeout": (lambda value: _is_duration(value or 1, 1, MAX_TIMEOUT), _("超时应为 1 秒到 24 小时，如 60s、5m")),
        "retries": (lambda value: _are_retries(value or {}), _("重试应为 {count, delay, backoff}，次数最多 20")),
        "next": (
            lambda value: _are_edges(value or {}),
            _("后续节点应为 {success, failure, always}，值为节点编号"),
        ),
    }


def _is_name(value: Any) -> bool:
    plain_text = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return value is None or (plain_text and len(str(value)) <= MAX_NAME)


def _is_duration(value: Any, least: int, most: int) -> bool:
    try:
        return least <= seconds(value) <= most
    except ValueError:
        return False


def _are_retries(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) - {"count", "delay", "backoff"}:
        return False
    count, backoff = value.get("count") or 0, value.get("backoff") or 1
    return (
        type(count) is int
        and 0 <= count <= MAX_RETRIES
        and _is_duration(value.get("delay") or 0, 0, MAX_TIMEOUT)
        and isinstance(backoff, (int, float))
        and not isinstance(backoff, bool)
        and 1 <= backoff <= 10
    )


def _are_edges(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) - set(EDGES):
        return False
    given = [each for each in value.values() if each is not None]
    return all(type(target) is int for each in given for target in (each if isinstance(each, list) else [each]))


def _graph(nodes: Sequence[Node]) -> list[Problem]:
    places = {node.id: at for at, node in enumerate(nodes)}

    def problem(node_id: int, message: str) -> Problem:
        return Problem(f"nodes[{places[node_id]}]", node_id, message)

    if len(places) != len(nodes):
        ids = [node.id for node in nodes]
        return [problem(twice, _("节点编号重复")) for twice in sorted({each for each in ids if ids.count(each) > 1})]
    if START not in places:
        return [Problem("nodes", None, _("缺少起始节点（编号 1）"))]
    found = [
        problem(node.id, _("指向不存在的节点 %(target)s") % {"target": target})
        for node in nodes
        for target in node.following
        if target not in places
    ]
    found += [problem(each, _("节点在一个环上，流程不会结束")) for each in loops(nodes)]
    reachable = downstream(nodes, START) | {START}
    return found + [problem(node.id, _("从起始节点走不到这个节点")) for node in nodes if node.id not in reachable]


def _params(at: int, node: dict[str, Any], parameters: Sequence[Any], nodes: Sequence[Any]) -> list[Problem]:
    params = node.get("params") or {}
    runner = RUNNERS[node["type"]]
    faults = list(runner.validate(params))
    for key, value in params.items():
        named = sorted(f"${{{name}}}" for name in runner.names({key: value}))
        for name in variables.check(list(named), parameters, nodes):
            faults.append(Fault(key, _("未知的变量：${%(name)s}") % {"name": name}))
    return [Problem(f"nodes[{at}].params.{field}".rstrip("."), node["id"], message) for field, message in faults]
