"""Change one piece of configuration by hand: guard, change, audit, and make every process read it anew.

Whoever calls has authorised the user and checked the values' form; what must hold whoever calls is checked here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from fta import audit
from fta.config import duties
from fta.config.connections import connection_faults
from fta.convergence.rules import validate_rule
from fta.healing.versions import Usage, save_version, usage_of
from fta.matching import outlasts_its_period, validate_match
from fta.models import (
    Business,
    ConfigVersion,
    ConvergenceRule,
    Duty,
    Host,
    Package,
    PackageVersion,
    Person,
    Rule,
    Shield,
)

Editable: TypeAlias = Rule | Shield | ConvergenceRule | Package | Duty | Host

_CACHES: dict[type[Any], str] = {
    Rule: "rules",
    Shield: "shields",
    ConvergenceRule: "convergence",
    Package: "packages",
}
_VERBS = {
    Rule: "rule",
    Shield: "shield",
    ConvergenceRule: "convergence_rule",
    Package: "package",
    Duty: "duty",
    Host: "host",
}
_KEYS: dict[type[Any], str] = {Package: "key", Host: "ip"}  # what a row is known by, if not by its name
_MANY = ("blocked_by", "operators")  # lists of rows


class InvalidEdit(ValueError):
    """The values contradict what they are for; `problems` lists (field path, words for the author)."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = list(problems)


class Overtaken(Exception):
    """Somebody saved the package since this editing began."""

    def __init__(self, version: PackageVersion) -> None:
        self.reason = _("%(author)s 在你编辑时保存了 v%(number)s。比较后再保存。") % {
            "author": version.author,
            "number": version.number,
        }
        super().__init__(self.reason)


class PackageInUse(Exception):
    """Rules, other packages or executions still stand on the package, so it cannot be archived."""

    def __init__(self, usage: Usage) -> None:
        parts = [_("接入规则：%s") % "、".join(rule.name for rule in usage.rules)] if usage.rules else []
        parts += [_("套餐：%s") % "、".join(package.name for package in usage.packages)] if usage.packages else []
        parts += [_("没有结束的执行 %s 个") % usage.running] if usage.running else []
        self.reason = _("还有人在用（%s），不能归档。") % "；".join(parts)
        super().__init__(self.reason)


def problems_of(kind: type[Any], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what must not be saved for a row of this kind, as (path, message)."""
    if kind is ConvergenceRule:
        return validate_rule(dict(values))
    if kind is Duty:
        return duties.problems_of(values)
    if kind is Host:
        return list(connection_faults(values).items())
    found = [(f"match.{path}".rstrip("."), message) for path, message in validate_match(values.get("match") or {})]
    return found + (_wrong_shield(values) if kind is Shield else _wrong_rule(values) if kind is Rule else [])


def save(row: Editable, values: Mapping[str, Any], actor: str, now: datetime, reason: str = "") -> None:
    """Write the values into a new or a stored row; nothing happens when nothing differs.

    `blocked_by` of a convergence rule is a list of businesses, `operators` of a host one of people. Raises InvalidEdit.
    """
    plain = {name: value for name, value in values.items() if name not in _MANY}
    with transaction.atomic():
        if row.pk:
            row = _locked(row)
        before = {name: getattr(row, name) for name in plain}
        changes = {
            name: [_word(before[name]), _word(value)]
            for name, value in plain.items()
            if not row.pk or before[name] != value  # two rows may have one name
        }
        for name, value in plain.items():
            setattr(row, name, value)
        if set(plain) - {"priority"} and plain != {
            "enabled": False
        }:  # what is wrong can still be put last or switched off
            _guard(row)
        added = row.pk is None
        if changes:
            _write(row)
        for name in _MANY:
            changes |= _set_many(row, name, values[name]) if name in values else {}
        if changes:
            noted(
                row, actor, "add" if added else "change", now, changes=changes, **({"reason": reason} if reason else {})
            )


def save_package(
    package: Package,
    values: Mapping[str, Any],
    nodes: Sequence[Any],
    parameters: Sequence[Any],
    secrets: Mapping[str, str],
    actor: str,
    note: str,
    now: datetime,
    base: int | None = None,
) -> PackageVersion:
    """Write a package's own values and its nodes, which make a new version when they differ.

    `base` is the number of the version that the editing began with. Raises InvalidPackage, InvalidEdit, Overtaken.
    """
    with transaction.atomic():
        if package.pk:
            package.refresh_from_db(from_queryset=Package.objects.select_for_update(no_key=True))
            if base is not None and package.current and package.current.number != base:
                raise Overtaken(package.current)
        save(package, values, actor, now)
        return save_version(package, nodes, parameters, secrets, actor, note, now)


def arrange(package: Package, layout: Mapping[str, Any]) -> None:
    """Keep where people have put the nodes of the graph: how it looks, and nothing that it does; so there is nothing to audit."""
    Package.objects.filter(pk=package.pk).update(layout=layout)


def enable(row: Rule | Shield | ConvergenceRule, on: bool, actor: str, now: datetime, reason: str = "") -> None:
    """Take a rule or shield into use or out of it."""
    save(row, {"enabled": on}, actor, now, reason)


def archive(row: Rule | Shield | ConvergenceRule | Package | Host, actor: str, now: datetime) -> None:
    """Take a row out of use for good; executions that stand on it keep it. Raises PackageInUse."""
    with transaction.atomic():
        row = _locked(row)
        if isinstance(row, Package) and (usage := usage_of(row)):
            raise PackageInUse(usage)
        off = {} if isinstance(row, (Package, Host)) else {"enabled": False}
        type(row).objects.filter(pk=row.pk).update(archived=True, **off)
        noted(row, actor, "archive", now)


def block(rule: ConvergenceRule, business: Business, blocked: bool, actor: str, now: datetime) -> None:
    """Let a business do without a global convergence rule, or take it up again."""
    with transaction.atomic():
        rule = ConvergenceRule.objects.select_for_update().get(pk=rule.pk)
        if rule.business_id is not None:
            raise InvalidEdit([("business", _("只有全局规则可以设置例外"))])
        if blocked:
            rule.blocked_by.add(business)
        else:
            rule.blocked_by.remove(business)
        noted(rule, actor, "block" if blocked else "unblock", now, business=business.code)


def noted(row: Editable, actor: str, verb: str, now: datetime, **data: Any) -> None:
    """Audit a change that the caller has made in this transaction, and make every process read that kind of row anew."""
    audit.record(actor, f"{_VERBS[type(row)]}.{verb}", row, at=now, name=row.name, **data)
    if type(row) in _CACHES:
        ConfigVersion.bump(_CACHES[type(row)])


def _wrong_shield(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    starts_at, ends_at = values["starts_at"], values["ends_at"]
    if ends_at <= starts_at:
        return [("ends_at", _("结束必须晚于开始"))]
    if outlasts_its_period(starts_at, ends_at, values["repeat"]):
        return [("ends_at", _("一次屏蔽比重复的周期还长；改短，或选「一次」"))]
    return []


def _wrong_rule(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [] if values["timeout"] >= Rule.SHORTEST else [("timeout", _("至少 1 分钟"))]
    notify, mail, channels = values["notify"] or {}, Rule.MAIL_MAINTAINERS, Rule.CHANNELS
    if not isinstance(notify, dict) or not isinstance(notify.get(mail, True), bool):
        return [*found, ("notify", _("%(name)s 应为 true 或 false") % {"name": mail})]
    if not isinstance(notify.get(channels, []), list):
        return [*found, (f"notify.{channels}", _("请写通知服务名称的列表"))]
    said = _("未知的通知设置；可用：%(names)s") % {"names": f"{mail}、{channels}"}
    return found + [(f"notify.{key}", said) for key in notify if key not in (mail, channels)]


def _guard(row: Editable) -> None:
    if isinstance(row, Package):
        return
    names = [field.name for field in row._meta.concrete_fields]
    problems = problems_of(type(row), {name: getattr(row, name) for name in names})
    if problems:
        raise InvalidEdit(problems)


def _write(row: Editable) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:  # somebody took the name since the form was checked
        raise InvalidEdit([(_KEYS.get(type(row), "name"), _("这个名字已被使用"))]) from error


def _locked(row: Any) -> Any:
    return type(row).objects.select_for_update().get(pk=row.pk)


def _set_many(row: Any, name: str, wanted: Sequence[Business | Person]) -> dict[str, Any]:
    relation = getattr(row, name)
    before, after = (sorted(_called(each) for each in rows) for rows in (relation.all(), wanted))
    if before == after:
        return {}
    relation.set(wanted)
    return {name: [before, after]}


def _called(row: Business | Person) -> str:
    return row.code if isinstance(row, Business) else row.user.get_username()


def _word(value: Any) -> Any:
    """Return a value as the audit trail keeps it: a row by its name."""
    return str(value) if hasattr(value, "pk") else value
