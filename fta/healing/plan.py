"""The plan of an execution: what exactly will be done, frozen and hashed. It is what an approver sees and a claim compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from fta.healing import hosts, inner, origins, parameters, variables
from fta.healing.canonical import canonical, sha256_of
from fta.healing.nodes import Node
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Foreseen
from fta.healing.validation import Problem, validate
from fta.healing.versions import InvalidPackage, content_sha256, save_version
from fta.lib import secrets
from fta.lib.types import JSON, JSONDict
from fta.models import Alert, Execution, PackageVersion, Person, Rule

__all__ = [
    "InvalidPackage",
    "Plan",
    "Problem",
    "canonical",
    "content_sha256",
    "drift",
    "freeze",
    "host_drift",
    "is_intact",
    "is_void",
    "nodes_of",
    "save_version",
    "sha256_of",
    "validate",
]


@dataclass(frozen=True)
class Plan:
    """A frozen plan. `problems` say, in words, why it cannot be run as it is (a parameter that does not fit)."""

    data: dict[str, Any]
    sha256: str

    @property
    def problems(self) -> list[str]:
        """Return what keeps this plan from running."""
        return list(self.data["problems"])


def freeze(
    execution: Execution,
    rule: Rule | None,
    version: PackageVersion,
    params: Mapping[str, JSON],
    now: datetime,
    graph: inner.Flat | None = None,
) -> Plan:
    """Return the plan of a stored execution for this package version and these parameters; nothing is written.

    Parameters that a rule or person gives may name variables; their values are fitted to the declared type afterwards.
    `graph` is given where the nodes stay what they were, whatever packages are inside of the version now.
    """
    base = variables.values_of(execution.alert, execution.host, execution, {}, _operators(execution))
    given = {name: variables.render(value, base) for name, value in params.items()}
    values, problems = parameters.resolve(version.parameters, given)
    texts = {f"params.{name}": variables.text_of(value) for name, value in values.items()}
    flat = graph or inner.flatten(version.nodes, version.package.key, version.package.business)
    # Of a host that the inventory does not know, the alert says the address.
    trusted = origins.INVENTORY if execution.host else origins.INVENTORY - {"ip"}
    wrong = [*flat.problems, *origins.problems(flat.nodes, flat.scopes, params, trusted)]
    problems += [_("节点 %(node)s：%(text)s") % {"node": number, "text": text} for number, text in wrong]
    foreseen = {node.id: _foreseen(node, execution, flat.scopes, base | texts) for node in flat.nodes}
    problems += [problem for each in foreseen.values() for problem in each.problems]
    data: dict[str, Any] = {
        "rule": {"id": rule.pk, "name": rule.name} if rule else None,
        "package": _package(version, flat),
        "given": dict(params),
        "parameters": values,
        "hosts": [hosts.snapshot(execution.host)] if execution.host else [],
        "nodes": [_frozen(node) for node in flat.nodes],
        "scopes": flat.scopes,
        "foreseen": {str(node_id): each.data for node_id, each in foreseen.items() if each.data},
        "variables": base | texts,
        "mode": execution.mode,
        "problems": problems,
        "frozen_at": now.isoformat(),
    }
    return sealed(data, execution)


def _package(version: PackageVersion, graph: inner.Flat) -> JSONDict:
    package = version.package
    return {
        "key": package.key,
        "name": package.name,
        "risk": inner.highest_risk(package.risk, *(each.risk for each in graph.packages)),
        "version": version.number,
        "sha256": version.sha256,
    }


def sealed(data: Mapping[str, Any], execution: Execution) -> Plan:
    """Return the plan of these contents, which is then intact for this stored execution and no other."""
    complete = {**data, "seal": secrets.sign(sha256_of(data), _sealed_for(execution))}
    return Plan(complete, sha256_of(complete))


def _foreseen(node: Node, execution: Execution, scopes: Mapping[str, Any], base: Mapping[str, str]) -> Foreseen:
    runner = RUNNERS[node.type]
    values, _problems = inner.values_in({"scopes": scopes}, node.inside, base, {})
    return runner.foresee(runner.render(node.params or {}, values), execution)


def nodes_of(data: Mapping[str, Any]) -> list[Node]:
    """Return the nodes of a plan."""
    return [Node.of(node) for node in data.get("nodes", [])]


def is_intact(execution: Execution) -> bool:
    """Tell whether the plan of a loaded execution is the one that its hash was taken of, and that the portal froze for it.

    Whoever writes into the database can set plan and hash alike; the seal takes a key that is not in there.
    """
    if not execution.plan_sha256 or sha256_of(execution.plan) != execution.plan_sha256:
        return False
    bare = {key: value for key, value in execution.plan.items() if key != "seal"}
    return secrets.is_signed(sha256_of(bare), _sealed_for(execution), execution.plan.get("seal"))


def _sealed_for(execution: Execution) -> str:
    """Return what a seal is bound to, so that a plan that was copied from another execution is not intact."""
    return f"plan {execution.pk}"


def drift(execution: Execution) -> list[str]:
    """Return what has changed since the plan was frozen, a line of words for each; empty when nothing has.

    What has begun keeps its packages and parameters, so that only its hosts can have changed.
    """
    if not is_intact(execution):
        return [_("计划内容与其校验值不符")]
    if execution.begun:
        return host_drift(execution)
    packages = _alert_drift(execution) + _package_drift(execution) + inner.drift(execution.plan)
    return packages + _parameter_drift(execution) + host_drift(execution)


def is_void(execution: Execution) -> bool:
    """Tell whether there is nothing left to heal: the rule wants nothing begun any more once its alert has resolved."""
    alert, rule = execution.alert, execution.rule
    if alert is None or rule is None or execution.begun:
        return False
    return rule.void_when_resolved and alert.status == Alert.Status.RESOLVED


def _alert_drift(execution: Execution) -> list[str]:
    return [_("告警已恢复")] if is_void(execution) else []


def _package_drift(execution: Execution) -> list[str]:
    package, version = execution.package, execution.version
    if package is None or version is None or package.current_id == version.pk or package.current is None:
        return []
    names = {"name": package.name, "old": version.number, "new": package.current.number}
    return [_("套餐「%(name)s」已更新：v%(old)s → v%(new)s") % names]


def _parameter_drift(execution: Execution) -> list[str]:
    rule = execution.rule
    if rule is None or dict(rule.parameters or {}) == execution.plan.get("given"):
        return []
    return [_("接入规则「%(name)s」的参数已修改") % {"name": rule.name}]


def host_drift(execution: Execution) -> list[str]:
    """Return how the hosts of the plan, and those that may stand in for them, differ from the inventory now."""
    foreseen = execution.plan.get("foreseen", {}).values()
    spares = [each for node in foreseen for each in node.get("candidates", [])]
    return hosts.changes([*execution.plan.get("hosts", []), *spares])


def _frozen(node: Node) -> JSONDict:
    return {**node.to_json(), "acting": node.acting} | ({"inside": node.inside} if node.inside else {})


def _operators(execution: Execution) -> Sequence[str]:
    """Return who is in charge: the host's operators, else the maintainers of the business."""
    active = Person.objects.filter(active=True).select_related("user").order_by("pk")
    people = list(active.filter(hosts=execution.host_id)) if execution.host_id else []
    if not people and execution.business_id:
        people = list(active.filter(maintains=execution.business_id))
    return [person.wecom_userid or person.user.get_username() for person in people]
