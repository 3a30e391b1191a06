"""Sections of what comes in and what is done about it: sources, packages, rules, convergence rules, shields."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fta.config import references, uses
from fta.config.document import Run, Use
from fta.config.people import business_named
from fta.config.reader import Reader
from fta.config.sources import SHORTEST_SECRET, check_relay, source_out, source_values
from fta.convergence.dimensions import BadDimension, Dimension
from fta.convergence.functions import FUNCTIONS
from fta.healing import inner
from fta.healing.plan import InvalidPackage, save_version
from fta.lib.secrets import digest
from fta.matching import outlasts_its_period, validate_match
from fta.models import Business, ConvergenceRule, Mode, Package, Rule, Shield, Source
from fta.pipeline.budget import LONGEST_WINDOW

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_RESERVED_KEY = "new"  # the address of the page that makes a package
_LOWEST_PRIORITY = -(10**6)


def read_match(reader: Reader, key: str = "match") -> dict[str, Any]:
    """Take conditions, each fault with the path of its condition."""
    match = reader.mapping(key)
    for path, message in validate_match(match):
        reader.errors.add(f"{reader.path}.{key}{'.' + path if path else ''}", message)
    return match


class Sources:
    name = "sources"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            if name:
                named.add(name)
                self._apply_one(name, reader, run)
        run.archive(Source.objects.filter(archived=False).exclude(name__in=named), archived=True, enabled=False)

    def _apply_one(self, name: str, reader: Reader, run: Run) -> None:
        secret, values = reader.text("secret"), source_values(reader)
        if secret and len(secret) < SHORTEST_SECRET:
            reader.fault("secret", "must be at least 16 characters long (128 bits)")
        if secret:
            values["secret_digest"] = digest(secret)
        reader.end()
        if app_id := run.claim(reader, "app_id", values["app_id"]):
            run.give_up(Source.objects.filter(app_id=app_id).exclude(name=name), "app_id")
        run.upsert(Source, {"name": name}, {**values, "app_id": app_id})
        run.later(lambda: check_relay(values["relay_to"], reader))

    def export(self) -> Any:
        return [source_out(row) for row in Source.objects.filter(archived=False).select_related("business")]

    def uses(self) -> Iterator[Use]:
        return uses.of_sources()


_Waiting = tuple[Package, list[Any], list[Any], Reader]


class Packages:
    name = "packages"

    def apply(self, data: Any, run: Run) -> None:
        waiting: dict[str, _Waiting] = {}
        for reader in run.readers(self.name, data):
            key = run.claim(reader, "key", package_key(reader))
            if key:
                values, nodes, parameters = package_values(key, reader)
                row = run.upsert(Package, {"key": key}, {**values, "archived": False})
                waiting[key] = (row, nodes, parameters, reader)
        run.leave_out(self.name, Package.objects.filter(archived=False).exclude(key__in=waiting), "key")
        run.later(lambda: _save_all(waiting, run))

    def export(self) -> Any:
        rows = Package.objects.filter(archived=False).select_related("business", "current")
        return [package_out(row) for row in rows]

    def uses(self) -> Iterator[Use]:
        return uses.of_packages()


def package_key(reader: Reader) -> str:
    """Take the key of a package, which is a part of addresses; "" with a fault when it will not do."""
    key = reader.text("key", required=True, limit=64)
    if key and (not _KEY.fullmatch(key) or key == _RESERVED_KEY):
        reader.fault(
            "key", f'"{key}" cannot be a key: letters, digits, - and _ are expected, and not "{_RESERVED_KEY}"'
        )
        return ""
    return key


def package_values(key: str, reader: Reader) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Take what a package is: its own values, its nodes and its parameters."""
    values = {
        "name": reader.text("name", key, limit=128),
        "business": business_named(reader),
        "description": reader.text("description", limit=4000),
        "risk": reader.choice("risk", Package.Risk.values, Package.Risk.MEDIUM),
        "mode": reader.choice("mode", Mode.values, Mode.APPROVAL),
        "budget": _budget(reader),
    }
    nodes, parameters = reader.items("nodes"), reader.items("parameters")
    reader.end()
    return values, nodes, parameters


def package_out(row: Package) -> dict[str, Any]:
    """Return a package as `package_values` takes it."""
    item: dict[str, Any] = {"key": row.key, "name": row.name, "risk": row.risk, "mode": row.mode}
    item.update({"business": row.business.code} if row.business else {})
    item.update({name: value for name in ("description", "budget") if (value := getattr(row, name))})
    if row.current:
        item.update({"parameters": row.current.parameters} if row.current.parameters else {})
        item["nodes"] = row.current.nodes
    return item


def _budget(reader: Reader) -> dict[str, Any]:
    if not reader.has("budget"):
        return {}
    child = reader.child("budget")
    found: dict[str, Any] = {
        key: child.number(key, least=1, most=most)  # 0 would be no limit to one reader and no host to the next
        for key, most in (("max_hosts", 10**6), ("max_percent", 100))
        if child.raw(key) is not None
    }
    found["window"] = child.seconds("window", 1800, most=LONGEST_WINDOW)
    found["scope"] = child.choice("scope", ["module", "set", "business"], "module")
    if not found["window"]:
        child.fault("window", "must be longer than 0")
    child.end()
    return found


def _save_all(waiting: Mapping[str, _Waiting], run: Run) -> None:
    """Save the nodes of all packages, those that run inside of others first, whatever their order in the file."""
    seen: set[str] = set()

    def save(key: str) -> None:
        if key in seen:
            return
        seen.add(key)
        row, nodes, parameters, reader = waiting[key]
        for inside in inner.keys_of(nodes):
            if inside in waiting:
                save(inside)
        _save_nodes(row, nodes, parameters, reader, run)

    for key in waiting:
        save(key)


def _save_nodes(row: Package, nodes: list[Any], parameters: list[Any], reader: Reader, run: Run) -> None:
    before = row.current_id
    for path, message in references.faults(nodes):
        reader.fault(path, message)
    try:
        version = save_version(row, nodes, parameters, {}, author=run.actor, note="apply_config", now=run.now)
    except InvalidPackage as error:
        for problem in error.problems:
            reader.errors.add(f"{reader.path}.{problem.path}", problem.message)
        return
    if version.pk != before:
        run.changed(f"~ package {row.key}: version {version.number}", row)


class Rules:
    name = "rules"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=128))
            if name:
                named.add(name)
                self._apply_one(name, reader, run)
        run.archive(Rule.objects.filter(archived=False).exclude(name__in=named), archived=True, enabled=False)

    def _apply_one(self, name: str, reader: Reader, run: Run) -> None:
        row = run.upsert(Rule, {"name": name}, {**rule_values(reader), "archived": False})
        run.later(lambda: check_rule(row.approval_policy, row.notify, reader))

    def export(self) -> Any:
        return [rule_out(row) for row in Rule.objects.filter(archived=False).select_related("package")]

    def uses(self) -> Iterator[Use]:
        return uses.of_rules()


def rule_values(reader: Reader) -> dict[str, Any]:
    """Take everything of a rule but its name."""
    verify = reader.child("verify") if reader.has("verify") else None
    timeout = reader.seconds("timeout", 2400) or 0
    values = {
        "priority": reader.number("priority", 100, least=_LOWEST_PRIORITY),
        "enabled": reader.flag("enabled", True),
        "match": read_match(reader),
        "package": _package_named(reader),
        "parameters": reader.mapping("parameters"),
        "timeout": timeout,
        "stale_after": reader.seconds("stale_after", None),
        "void_when_resolved": reader.flag("void_when_resolved", False),
        "mode": reader.choice("mode", Mode.values, Mode.AUTO),
        "approval_policy": reader.text("approval_policy", limit=64),
        "notify": _notify(reader),
        "verify_within": verify.seconds("within", 600) if verify else 600,
        "verify_stay": verify.seconds("stay", 1800) if verify else 1800,
    }
    if timeout < Rule.SHORTEST:
        reader.fault("timeout", "must be at least 1m")
    if verify:
        verify.end()
    reader.end()
    return values


def check_rule(policy: str, notify: Mapping[str, Any], reader: Reader) -> None:
    """Complain about the names of an approval policy and of channels that are not there."""
    if message := references.policy_fault(policy):
        reader.fault("approval_policy", message)
    for index, message in references.channel_faults(notify.get(Rule.CHANNELS) or ()):
        reader.fault(f"notify.{Rule.CHANNELS}[{index}]", message)


def _notify(reader: Reader) -> dict[str, Any]:
    child, mail = reader.child("notify"), Rule.MAIL_MAINTAINERS
    found: dict[str, Any] = {mail: child.flag(mail, True)} if child.has(mail) else {}
    child.raw(mail)  # known, also where it is not given
    if names := child.texts(Rule.CHANNELS):
        found[Rule.CHANNELS] = names
    child.end()
    return found


def _package_named(reader: Reader) -> Package | None:
    key = reader.text("package")
    found = Package.objects.filter(key=key, archived=False).first() if key else None
    if key and found is None:
        reader.fault("package", f'no package "{key}"')
    return found


def rule_out(row: Rule) -> dict[str, Any]:
    """Return a rule as `rule_values` takes it, with its name."""
    found: dict[str, Any] = {
        "name": row.name,
        "priority": row.priority,
        "match": row.match,
        "package": row.package.key if row.package else "",
        "parameters": row.parameters,
        "timeout": f"{row.timeout}s",
        "mode": row.mode,
        "approval_policy": row.approval_policy,
        "notify": {name: value for name, value in row.notify.items() if name in (Rule.MAIL_MAINTAINERS, Rule.CHANNELS)},
        "verify": {"within": f"{row.verify_within}s", "stay": f"{row.verify_stay}s"},
    }
    if row.stale_after is not None:
        found["stale_after"] = f"{row.stale_after}s"
    if row.void_when_resolved:
        found["void_when_resolved"] = True
    if not row.enabled:
        found["enabled"] = False
    return {key: value for key, value in found.items() if value not in ("", {})}


class ConvergenceRules:
    name = "convergence_rules"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=128))
            if name:
                named.add(name)
                self._apply_one(name, reader, run)
        gone = ConvergenceRule.objects.filter(archived=False).exclude(name__in=named)
        run.archive(gone, archived=True, enabled=False)

    def _apply_one(self, name: str, reader: Reader, run: Run) -> None:
        values = convergence_rule_values(reader)
        blocked_by = values.pop("blocked_by")
        row = run.upsert(ConvergenceRule, {"name": name}, {**values, "archived": False})
        run.set_many(row, "blocked_by", blocked_by)

    def export(self) -> Any:
        rows = ConvergenceRule.objects.filter(archived=False).select_related("business")
        return [convergence_rule_out(row) for row in rows.prefetch_related("blocked_by")]

    def uses(self) -> Iterator[Use]:
        return uses.of_convergence_rules()


def convergence_rule_values(reader: Reader) -> dict[str, Any]:
    """Take everything of a convergence rule but its name; `blocked_by` lists the codes of those that do without a global one."""
    dimensions = reader.items("dimensions")
    for index, dimension in enumerate(dimensions):
        try:
            Dimension.read(dimension)
        except BadDimension as error:
            reader.errors.add(f"{reader.path}.dimensions[{index}]", str(error))
    values = {
        "alert_types": reader.texts("alert_types"),
        "window": reader.seconds("window", 300),
        "count": reader.number("count", 1, least=1),
        "dimensions": dimensions,
        "function": reader.choice("function", sorted(FUNCTIONS), required=True),
        "priority": reader.number("priority", 100, least=_LOWEST_PRIORITY),
        "business": business_named(reader),
        "blocked_by": _businesses(reader, "blocked_by"),
        "enabled": reader.flag("enabled", True),
        "remark": reader.text("remark", required=True),
    }
    if values["business"] and values["blocked_by"]:
        reader.fault("blocked_by", "is for global rules: this one is of one business")
    if not dimensions:
        reader.fault("dimensions", "is required: without one, everything would be one incident")
    if not values["window"]:
        reader.fault("window", "must be longer than 0")
    reader.end()
    return values


def _businesses(reader: Reader, key: str) -> list[Business]:
    codes = reader.texts(key)
    found = {business.code: business for business in Business.objects.filter(code__in=codes, archived=False)}
    for index, code in enumerate(codes):
        if code not in found:
            reader.errors.add(f"{reader.path}.{key}[{index}]", f'no business "{code}"')
    return list(found.values())


def convergence_rule_out(row: ConvergenceRule) -> dict[str, Any]:
    """Return a convergence rule as `convergence_rule_values` takes it, with its name."""
    blocked_by = sorted(business.code for business in row.blocked_by.all())
    item = {name: getattr(row, name) for name in ("name", "alert_types", "count", "dimensions", "function")}
    item.update({"window": f"{row.window}s", "priority": row.priority, "remark": row.remark})
    item.update({"business": row.business.code} if row.business else {})
    item.update({"blocked_by": blocked_by} if blocked_by else {})
    item.update({} if row.enabled else {"enabled": False})
    return item


class Shields:
    name = "shields"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=128))
            values = shield_values(reader)
            if name and values["starts_at"] and values["ends_at"]:
                named.add(name)
                made = {} if Shield.objects.filter(name=name).exists() else {"author": run.actor}
                run.upsert(Shield, {"name": name}, {**values, **made, "archived": False})
        run.archive(Shield.objects.filter(archived=False).exclude(name__in=named), archived=True, enabled=False)

    def export(self) -> Any:
        return [shield_out(row) for row in Shield.objects.filter(archived=False)]


def shield_values(reader: Reader) -> dict[str, Any]:
    """Take everything of a shield but its name; a time that is no time is None, with a fault."""
    start, end = reader.moment("from", required=True), reader.moment("to", required=True)
    repeat = reader.choice("repeat", Shield.Repeat.values, Shield.Repeat.ONCE)
    values = {
        "match": read_match(reader),
        "starts_at": start,
        "ends_at": end,
        "repeat": repeat,
        "reason": reader.text("reason", required=True),
        "enabled": reader.flag("enabled", True),
    }
    if start and end and end <= start:
        reader.fault("to", "must be later than from")
    elif start and end and outlasts_its_period(start, end, repeat):
        reader.fault("to", f"a {repeat} window cannot be longer than its period: it would never end")
    reader.end()
    return values


def shield_out(row: Shield) -> dict[str, Any]:
    """Return a shield as `shield_values` takes it, with its name."""
    item = {"name": row.name, "match": row.match, "repeat": row.repeat, "reason": row.reason}
    item.update({"from": row.starts_at.isoformat(), "to": row.ends_at.isoformat()})
    item.update({} if row.enabled else {"enabled": False})
    return item
