"""What the rows of this floor that are in use name of the sections of the configuration file."""

from collections.abc import Iterator, Sequence
from typing import Any

from fta.config.document import Use
from fta.healing.runners import RUNNERS
from fta.models import ApiKey, Business, ConvergenceRule, Credential, Host, Package, Person, Rule, Source

_SECTIONS = {"policy": "approval_policies", "channels": "channels", "package": "packages"}  # by the kind of a field


def of_people() -> Iterator[Use]:
    """Yield what the active people whom the file keeps name."""
    for row in Person.objects.filter(managed=True, active=True).select_related("user").prefetch_related("businesses"):
        yield from _of_business("person", row.user.get_username(), *row.businesses.all())


def of_api_keys() -> Iterator[Use]:
    """Yield what the keys in use name."""
    for row in ApiKey.objects.filter(enabled=True):
        yield from _of_business("api key", row.name, *Business.objects.filter(people__user=row.user_id))


def of_credentials() -> Iterator[Use]:
    """Yield what the credentials name."""
    for row in Credential.objects.select_related("business"):
        yield from _of_business("credential", row.name, row.business)


def of_hosts() -> Iterator[Use]:
    """Yield what the hosts in use name; the credentials have a question of their own."""
    for ip, code in Host.objects.filter(archived=False).values_list("ip", "business__code"):
        yield from [Use("businesses", code, "host", ip)] if code else ()


def of_sources() -> Iterator[Use]:
    """Yield what the sources in use name."""
    for row in Source.objects.filter(archived=False).select_related("business"):
        yield from _of_business("source", row.name, row.business)
        yield from _of_names("channels", row.relay_to, "source", row.name)


def of_packages() -> Iterator[Use]:
    """Yield what the packages in use name, in their present nodes."""
    for row in Package.objects.filter(archived=False).select_related("business", "current"):
        yield from _of_business("package", row.key, row.business)
        for section, names in _in_nodes(row.current.nodes if row.current else ()):
            yield from _of_names(section, names, "package", row.key)


def _in_nodes(nodes: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for node in nodes:
        runner = RUNNERS.get(node["type"])
        for field in runner.fields if runner else ():
            if field.kind in _SECTIONS:
                yield _SECTIONS[field.kind], (node.get("params") or {}).get(field.name)


def of_rules() -> Iterator[Use]:
    """Yield what the rules in use name."""
    for row in Rule.objects.filter(archived=False).select_related("package"):
        yield from _of_names("packages", row.package.key if row.package else "", "rule", row.name)
        yield from _of_names("approval_policies", row.approval_policy, "rule", row.name)
        yield from _of_names("channels", row.notify.get(Rule.CHANNELS), "rule", row.name)


def of_convergence_rules() -> Iterator[Use]:
    """Yield what the convergence rules in use name."""
    rows = ConvergenceRule.objects.filter(archived=False).select_related("business").prefetch_related("blocked_by")
    for row in rows:
        yield from _of_business("convergence rule", row.name, row.business, *row.blocked_by.all())


def _of_business(kind: str, user: str, *rows: Business | None) -> Iterator[Use]:
    yield from (Use("businesses", row.code, kind, user) for row in rows if row)


def _of_names(section: str, names: Any, kind: str, user: str) -> Iterator[Use]:
    """Yield the names that a value of the configuration is: one, a list of them, or what somebody else wrote there."""
    listed = names if isinstance(names, list) else [names]
    yield from (Use(section, name, kind, user) for name in listed if isinstance(name, str) and name)
