"""The rules of a backtest: those in force, and the same with the drafts in place."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from fta.backtest.world import RuleSet
from fta.convergence.rules import CompiledRule, compile_rule, current_rules, validate_rule
from fta.matching import RuleIndex, validate_match
from fta.matching import current_rules as current_index
from fta.models import ConvergenceRule, Mode, Package, Rule

Draft = Mapping[str, Any]
Problems = list[tuple[str, str]]

_RULE = {
    "name": "",
    "priority": 100,
    "enabled": True,
    "match": {},
    "mode": Mode.AUTO,
    "timeout": 2400,
    "stale_after": None,
}
_CONVERGENCE = {
    "name": "",
    "alert_types": [],
    "window": 300,
    "count": 1,
    "dimensions": [],
    "function": "",
    "priority": 100,
    "business_id": None,
    "enabled": True,
}
_NEW = 2**62  # the id of a draft that replaces nothing: higher than any, as a new row's is


def problems_of(rule: Draft | None, convergence: Draft | None) -> Problems:
    """Return what is wrong with the drafts as (path, message)."""
    found: Problems = []
    if rule is not None:
        match = rule.get("match", {})
        found += [(f"rule.match.{path}".rstrip("."), message) for path, message in validate_match(match)]
        found += [(f"rule.{path}", message) for path, message in _wrong_numbers(rule, ("priority", "timeout"))]
        if rule.get("mode", Mode.AUTO) not in Mode.values:
            found.append(("rule.mode", _("未知的模式")))
        if rule.get("package") and _package(rule) is None:
            found.append(("rule.package", _("没有这个套餐")))
    if convergence is not None:
        full = _CONVERGENCE | dict(convergence)
        found += [(f"convergence_rule.{path}", message) for path, message in validate_rule(full)]
        found += [(f"convergence_rule.{path}", message) for path, message in _wrong_numbers(full, ("priority",))]
    return found


def in_force() -> RuleSet:
    """Return the rules as they are."""
    return RuleSet(current_index(), current_rules())


def with_drafts(rule: Draft | None, convergence: Draft | None) -> RuleSet:
    """Return the rules with good drafts in the place of those that they name by `id`, or beside all others."""
    now = in_force()
    return RuleSet(_index(rule) if rule else now.index, _rules(convergence) if convergence else now.convergence)


def reach(*sets: RuleSet) -> timedelta:
    """Return how far back before a moment what came decides about what comes."""
    spans = [rule.quiet for rules in sets for rule in rules.convergence]
    return min(2 * max(spans, default=timedelta()), timedelta(hours=24))


def _index(draft: Draft) -> RuleIndex:
    rows = Rule.objects.filter(enabled=True, archived=False).exclude(pk=draft.get("id") or _NEW)
    found = list(rows.select_related("package__business", "package__current"))
    values = _RULE | {name: draft[name] for name in _RULE if name in draft}
    if values["enabled"]:
        found.append(Rule(pk=draft.get("id") or _NEW, package=_package(draft), **values))
    return RuleIndex(found)


def _package(draft: Draft) -> Package | None:
    wanted = draft.get("package")
    rows = Package.objects.filter(archived=False).select_related("business", "current")
    return rows.filter(key=wanted).first() if wanted else None


def _rules(draft: Draft) -> tuple[CompiledRule, ...]:
    rows = {row.pk: row for row in current_rules()}
    values = _CONVERGENCE | {name: draft[name] for name in _CONVERGENCE if name in draft}
    row = ConvergenceRule(pk=draft.get("id") or _NEW, **values)
    rows.pop(row.pk, None)
    if row.enabled:
        rows[row.pk] = compile_rule(row, draft.get("blocked_by", ()))
    orders = dict(ConvergenceRule.objects.filter(pk__in=rows).values_list("pk", "priority"))
    orders[row.pk] = row.priority
    return tuple(sorted(rows.values(), key=lambda rule: (orders[rule.pk], rule.pk)))


def _wrong_numbers(values: Draft, names: tuple[str, ...]) -> Problems:
    wrong = [name for name in names if name in values and type(values[name]) is not int]
    return [(name, _("应为整数")) for name in wrong]
