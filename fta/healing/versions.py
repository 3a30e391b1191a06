"""Save a package: a new immutable version each time that something differs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from fta import audit
from fta.healing.canonical import sha256_of
from fta.healing.validation import Problem, node_of, validate
from fta.models import ConfigVersion, Package, PackageVersion


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
    problems = validate(nodes, parameters)
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
