"""Packages inside packages: flattened, when a plan is frozen, into the one graph that runs.

A node n of the package that node p runs inside becomes p·1000+n. What led to p leads to the first of them; p itself comes when
all of them have ended, and ends as they did (see flow). What they are given stands in the plan, by p, as its scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from fta.healing import origins, ownership, parameters, variables
from fta.healing.nodes import START, STRIDE, Node
from fta.healing.validation import MAX_NODES, Problem, node_of
from fta.lib.types import JSON, JSONDict
from fta.models import Business, Mode, Package, PackageVersion
from fta.models.packages import PackageRisk, stricter

DEPTH = 3  # packages in one another, the outermost included
TYPE = "package"


@dataclass
class Flat:
    """A graph without packages inside of one another, and what is known of those that were: `scopes` by their nodes."""

    nodes: list[Node] = field(default_factory=list)
    scopes: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)  # the node of the outermost package, and words
    packages: list[Package] = field(default_factory=list)


def flatten(nodes: Sequence[Any], key: str, business: Business | None) -> Flat:
    """Return the flat graph of a package's nodes with the packages inside as they are now; what is wrong is named by node."""
    flat = Flat()
    _expand(flat, [node_of(node) for node in nodes], 0, (key,), business, "all")
    if flat.scopes:
        flat.nodes.sort(key=_reading_order)
    if not flat.problems and len(flat.nodes) > MAX_NODES:
        text = _("连同子套餐共 %(count)s 个节点，最多 %(most)s 个") % {"count": len(flat.nodes), "most": MAX_NODES}
        flat.problems.append((int(next(iter(flat.scopes), 0)), text))
    return flat


def graph_of(plan: Mapping[str, Any]) -> Flat:
    """Return the flat graph that a plan holds, with the packages inside in the versions that were frozen."""
    held = [scope["package"]["key"] for scope in plan["scopes"].values()]
    return Flat(
        nodes=[Node.of(node) for node in plan["nodes"]],
        scopes=dict(plan["scopes"]),
        packages=list(Package.objects.filter(key__in=held)),
    )


def keys_of(nodes: Sequence[Any]) -> list[str]:
    """Return the keys of the packages that nodes, sound or not, run inside."""
    inside = [each for each in nodes if isinstance(each, dict) and each.get("type") == TYPE]
    params = [each["params"] for each in inside if isinstance(each.get("params"), dict)]
    return [str(each.get("package") or "") for each in params]


def holders_of(key: str) -> list[int]:
    """Return the ids of the packages whose present version runs this one inside, at whatever depth."""
    rows = Package.objects.filter(archived=False).exclude(current=None).values_list("pk", "key", "current__nodes")
    inside = {name: (pk, set(keys_of(nodes))) for pk, name, nodes in rows}
    found: set[str] = set()
    fresh = {key}
    while fresh:
        fresh = {name for name, (_pk, names) in inside.items() if names & fresh} - found
        found |= fresh
    return [inside[name][0] for name in found]


def given_problems(package: Package, given: Mapping[str, Any]) -> list[str]:
    """Return, in words, why a package must not be given these parameters, whatever their values will be."""
    if package.current is None:
        return []
    flat = flatten(package.current.nodes, package.key, package.business)
    return list(dict.fromkeys(text for _node, text in origins.problems(flat.nodes, flat.scopes, given)))


def _reading_order(node: Node) -> list[int]:
    """Sort the nodes of a package before the node that waits for them."""
    parts = [int(part) for part in node.path.split(".")]
    return [*parts, STRIDE] if node.type == TYPE else parts


def problems_of(nodes: Sequence[Any], key: str, business: Business | None) -> list[Problem]:
    """Return what is wrong with the packages and credentials that these nodes name, as `validate` names it."""
    places = {node["id"]: at for at, node in enumerate(nodes)}
    found: list[tuple[int, str]] = []
    if any(node["type"] == TYPE for node in nodes):
        flat = flatten(nodes, key, business)
        found = [*flat.problems, *origins.problems(flat.nodes, flat.scopes, {})]
    problems = [Problem(f"nodes[{places[number]}].params.package", number, text) for number, text in found]
    again = [node for node in nodes if node["type"] == TYPE and (node.get("retries") or {}).get("count")]
    text = _("子套餐自己不重试，里面的节点各按各的重试")  # its node only ends as they did
    problems += [Problem(f"nodes[{places[node['id']]}].retries", node["id"], text) for node in again]
    return problems + ownership.problems(nodes, business)


def _expand(
    flat: Flat, nodes: Sequence[Node], prefix: int, trail: tuple[str, ...], business: Business | None, join: str
) -> int:
    """Add the nodes of one package below the node `prefix`; return the number of the one that comes first."""
    first: dict[int, int] = {}
    nested = bool(prefix) or any(node.type == TYPE for node in nodes)
    for node in nodes:
        number = prefix * STRIDE + node.id
        first[node.id] = number
        if nested and node.id >= STRIDE:
            _object(flat, number, _("有子套餐时，节点编号最大 %s") % (STRIDE - 1))
            continue
        if node.type == TYPE:
            enters = join if node.id == START else node.join
            first[node.id] = _enter(flat, node, number, prefix, trail, business, enters)
    for node in nodes:
        edges = {
            kind: tuple(first.get(target, target) for target in node.edges(kind))
            for kind in ("success", "failure", "always")
        }
        waits = "all" if node.type == TYPE else join if node.id == START else node.join
        flat.nodes.append(replace(node, id=prefix * STRIDE + node.id, inside=prefix, join=waits, **edges))  # type: ignore[arg-type]
    return first.get(START, prefix * STRIDE + START)


def _enter(
    flat: Flat, node: Node, number: int, prefix: int, trail: tuple[str, ...], business: Business | None, join: str
) -> int:
    given = node.params or {}
    key = str(given.get("package") or "")
    if key in trail:
        return _object(flat, number, _("套餐 %s 直接或间接包含自己") % key)
    package = Package.objects.select_related("current", "business").filter(key=key, archived=False).first()
    if package is None or package.current is None:
        return _object(flat, number, _("没有套餐 %s，或它还没有保存过") % key)
    if len(trail) >= DEPTH:
        return _object(flat, number, _("子套餐最多 %s 层") % DEPTH)
    if package.business_id and (business is None or package.business_id != business.pk):
        return _object(flat, number, _("套餐 %s 属于另一个业务") % key)
    version = package.current
    params = given.get("params")
    wrong = _given_problems(version, params if isinstance(params, dict) else {})
    for text in wrong:
        _object(flat, number, f"{package.name}：{text}")
    flat.packages.append(package)
    flat.scopes[str(number)] = _scope(package, version, prefix, params)
    inner = [node_of(each) for each in version.nodes]
    return _expand(flat, inner, number, (*trail, key), business, join)


def _object(flat: Flat, number: int, text: str) -> int:
    outermost = number
    while outermost >= STRIDE:
        outermost //= STRIDE
    flat.problems.append((outermost, text))
    return number


def _given_problems(version: PackageVersion, given: JSONDict) -> list[str]:
    """Judge what is known already: names, and values without variables."""
    fixed = {name: value for name, value in given.items() if not variables.names_in(value)}
    open_names = {name for name in given if name not in fixed}
    declared = [each for each in version.parameters if each["name"] not in open_names]
    unknown = open_names - {str(each["name"]) for each in version.parameters if each.get("type") != "secret"}
    wrong = [_("没有参数 %(name)s") % {"name": name} for name in sorted(unknown)]
    return parameters.resolve(declared, fixed)[1] + wrong


def _scope(package: Package, version: PackageVersion, parent: int, given: JSON) -> dict[str, Any]:
    return {
        "parent": parent,
        "package": {
            "key": package.key,
            "name": package.name,
            "risk": package.risk,
            "version": version.number,
            "sha256": version.sha256,
        },
        "version_id": version.pk,
        "given": given if isinstance(given, dict) else {},
        "parameters": [each for each in version.parameters if each.get("type") != "secret"],
    }


def values_in(
    plan: Mapping[str, Any], inside: int, base: Mapping[str, str], results: Mapping[int, Mapping[str, str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the variables that the nodes inside the package node `inside` see (0: the outermost), and what does not fit.

    `results` holds the variables of ended nodes by the package node that they are inside of. An inner package sees its own
    parameters and its own nodes, never those of the one around it.
    """
    mine = dict(results.get(inside, {}))
    if not inside:
        return {**base, **mine}, []
    scope = plan["scopes"][str(inside)]
    outer, problems = values_in(plan, scope["parent"], base, results)
    given = {name: variables.render(value, outer) for name, value in scope["given"].items()}
    fitted, wrong = parameters.resolve(scope["parameters"], given)
    params = {f"params.{name}": variables.text_of(value) for name, value in fitted.items()}
    shared = {name: value for name, value in base.items() if not name.startswith("params.")}
    problems += [f"{scope['package']['name']}：{text}" for text in wrong]
    return {**shared, **params, **mine}, problems


def secrets_of(plan: Mapping[str, Any], inside: int, outermost: PackageVersion | None) -> dict[str, str]:
    """Return the secrets of the package that a node stands in, and of no other."""
    version = outermost
    if inside:
        version = PackageVersion.objects.filter(pk=plan["scopes"][str(inside)]["version_id"]).first()
    return dict(version.secrets) if version else {}


def drift(plan: Mapping[str, Any]) -> list[str]:
    """Return which packages inside have another current version than the one that the plan holds, a line of words for each."""
    held = {each["package"]["key"]: each["package"] for each in plan.get("scopes", {}).values()}
    if not held:
        return []
    rows = Package.objects.filter(key__in=held, archived=False).select_related("current")
    now = {package.key: package.current for package in rows}
    lines = []
    for key, frozen in held.items():
        current = now.get(key)
        if current is None:
            lines.append(_("子套餐「%(name)s」已停用") % {"name": frozen["name"]})
        elif current.sha256 != frozen["sha256"] or current.number != frozen["version"]:
            names = {"name": frozen["name"], "old": frozen["version"], "new": current.number}
            lines.append(_("子套餐「%(name)s」已更新：v%(old)s → v%(new)s") % names)
    return lines


def mode_of(package: Package) -> str:
    """Return how far the portal may go with a package: the strictest mode of it and of those inside it."""
    if package.current is None or not any(node["type"] == TYPE for node in package.current.nodes):
        return package.mode
    flat = flatten(package.current.nodes, package.key, package.business)
    return stricter(package.mode, *(each.mode for each in flat.packages), *([Mode.OFF] if flat.problems else []))


def modes_now(plan: Mapping[str, Any]) -> list[str]:
    """Return the present modes of the packages inside a plan; one that is not there any more is off."""
    held = {each["package"]["key"] for each in plan.get("scopes", {}).values()}
    found = dict(Package.objects.filter(key__in=held, archived=False).values_list("key", "mode")) if held else {}
    return [found.get(key, Mode.OFF) for key in sorted(held)]


def highest_risk(*risks: str) -> str:
    """Return the highest of the risks."""
    return max(risks, key=PackageRisk.values.index)
