"""The versions of a package: saved when something differs, compared, restored; and who stands on the package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from fta import audit
from fta.healing.canonical import sha256_of
from fta.healing.inner import problems_of
from fta.healing.runners import RUNNERS
from fta.healing.validation import Problem, node_of, validate
from fta.models import ConfigVersion, Execution, Package, PackageVersion, Rule


class InvalidPackage(ValueError):
    """The package cannot be saved; `problems` name each fault and its node."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = list(problems)


def content_sha256(nodes: Sequence[Any], parameters: Sequence[Any]) -> str:
    """Return the hash that a version of these nodes and parameters has; secrets are told apart by the version's number."""
    try:
        complete: Sequence[Any] = [node_of(node).to_json() for node in nodes]
    except (AttributeError, KeyError, TypeError, ValueError):  # not a package yet: validate says why
        complete = nodes
    return sha256_of({"nodes": complete, "parameters": list(parameters)})


def save_version(
    package: Package,
    nodes: Sequence[Any],
    parameters: Sequence[Any],
    secrets: Mapping[str, str],
    author: str,
    note: str,
    now: datetime,
) -> PackageVersion:
    """Make these nodes, parameters and secrets the current version of a stored package, and return it.

    A secret that is not given keeps its value. What equals the current version is that version: nothing is written then.
    Raises InvalidPackage.
    """
    problems = validate(nodes, parameters) or problems_of(nodes, package.key, package.business)
    if problems:
        raise InvalidPackage(problems)
    complete = [node_of(node).to_json() for node in nodes]
    with transaction.atomic():
        locked = Package.objects.select_for_update(no_key=True).get(pk=package.pk)
        kept = _secrets(parameters, locked.current.secrets if locked.current else {}, secrets)
        digest = content_sha256(complete, parameters)
        if locked.current and (locked.current.sha256, locked.current.secrets) == (digest, kept):
            return locked.current
        last = locked.versions.order_by("-number").values_list("number", flat=True).first() or 0
        version = PackageVersion.objects.create(
            package=locked,
            number=last + 1,
            nodes=complete,
            parameters=list(parameters),
            secrets=kept,  # type: ignore[misc]  # sealed JSON
            sha256=digest,
            author=author,
            note=note,
        )
        Package.objects.filter(pk=locked.pk).update(current=version, updated_at=now)
        package.current = version
        audit.record(author, "package.save", locked, at=now, version=version.number, sha256=digest, note=note)
        ConfigVersion.bump("packages")
    return version


def _secrets(parameters: Sequence[Any], old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    names = [str(each["name"]) for each in parameters if each.get("type") == "secret"]
    merged = {**old, **{name: value for name, value in new.items() if value}}
    return {name: merged[name] for name in names if name in merged}


class SameVersion(Exception):
    """What should be restored is what is current."""


def restore(package: Package, version: PackageVersion, author: str, reason: str, now: datetime) -> PackageVersion:
    """Make an older version of a package current again, as a new version, and return it.

    A secret keeps its present value: the old one may have been changed for a reason. Raises InvalidPackage for a version that
    would not be saved today, SameVersion.
    """
    with transaction.atomic():
        locked = Package.objects.select_for_update(no_key=True).get(pk=package.pk)
        secrets = {**version.secrets, **(locked.current.secrets if locked.current else {})}
        made = save_version(package, version.nodes, version.parameters, secrets, author, reason, now)
        if made == locked.current:
            raise SameVersion
        numbers = {"version": made.number, "restored": version.number}
        audit.record(author, "package.restore", locked, at=now, reason=reason, **numbers)
    return made


@dataclass(frozen=True)
class Comparison:
    """What differs from one version to another: nodes by id, of a changed node the paths that differ."""

    added: frozenset[int]
    removed: frozenset[int]
    changed: Mapping[int, Sequence[str]]
    parameters: bool


def compare(old: PackageVersion, new: PackageVersion) -> Comparison:
    """Return what differs from an old version to a new one."""
    before, after = ({node["id"]: node for node in version.nodes} for version in (old, new))
    paths = {pk: _paths(before[pk], after[pk]) for pk in before.keys() & after.keys()}
    return Comparison(
        added=frozenset(after.keys() - before.keys()),
        removed=frozenset(before.keys() - after.keys()),
        changed={pk: found for pk, found in sorted(paths.items()) if found},
        parameters=old.parameters != new.parameters,
    )


def _paths(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the keys of a node that differ; of its parameters each one, as params.<name>."""
    flat = [
        {**{f"params.{key}": value for key, value in (node.get("params") or {}).items()}, **node} for node in (old, new)
    ]
    keys = [key for key in dict.fromkeys([*flat[0], *flat[1]]) if key != "params"]
    return [key for key in keys if flat[0].get(key) != flat[1].get(key)]


@dataclass(frozen=True)
class Usage:
    """Who stands on a package; it cannot be archived while anyone does."""

    rules: Sequence[Rule]
    packages: Sequence[Package]
    running: int  # executions that have not ended

    def __bool__(self) -> bool:
        return bool(self.rules or self.packages or self.running)


def usage_of(package: Package) -> Usage:
    """Return who stands on a package now: rules and current versions of other packages in use, executions under way."""
    others = Package.objects.filter(archived=False).exclude(pk=package.pk).select_related("current")
    return Usage(
        rules=list(Rule.objects.filter(package=package, archived=False)),
        packages=[other for other in others if other.current and package.key in _inner(other.current)],
        running=Execution.objects.filter(package=package).exclude(state__in=Execution.ENDED).count(),
    )


def _inner(version: PackageVersion) -> set[str]:
    """Return the keys of the packages that a version runs inside."""
    found = set()
    for node in version.nodes:
        runner = RUNNERS.get(node["type"])
        names = [field.name for field in runner.fields if field.kind == "package"] if runner else []
        found |= {str(node["params"][name]) for name in names if name in (node.get("params") or {})}
    return found
