"""The rules of a backtest: those in force, and the same with the drafts in place.

A draft is a rule's values by name, durations in seconds, a package by its key, businesses by their ids. It stands in the place of
the rule that it names by `id`, or whose name it bears; one that names no rule stands beside the others.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min
from django.utils.translation import gettext as _

from fta.backtest.world import RuleSet
from fta.convergence.rules import LONGEST, CompiledRule, compile_rule, current_rules, validate_rule
from fta.matching import RuleIndex, validate_match
from fta.matching import current_rules as current_index
from fta.models import ConvergenceRule, Incident, Mode, Package, Rule

Draft = Mapping[str, Any]
Drafts = Sequence[Draft]
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
_NEW = 2**62  # the id of the first draft that replaces nothing: higher than any, as a new row's is
_MOST = 2**31 - 1  # what a column holds


def problems_of(rules: Drafts, convergence_rules: Drafts) -> Problems:
    """Return what is wrong with the drafts as (path, message)."""
    found: Problems = []
    for number, draft in enumerate(rules):
        found += [(f"rules[{number}].{path}".rstrip("."), message) for path, message in _wrong_rule(draft)]
    for number, draft in enumerate(convergence_rules):
        full = _CONVERGENCE | dict(draft)
        wrong = validate_rule(full) + _wrong_numbers(full, ("priority", "window", "count"))
        found += [(f"convergence_rules[{number}].{path}", message) for path, message in wrong]
    return [
        *found,
        *_misplaced("rules", rules, _ids_by_name(Rule)),
        *_misplaced("convergence_rules", convergence_rules, _ids_by_name(ConvergenceRule)),
    ]


def in_force() -> RuleSet:
    """Return the rules as they are."""
    return RuleSet(current_index(), current_rules())


def with_drafts(rules: Drafts, convergence_rules: Drafts) -> RuleSet:
    """Return the rules with good drafts in their places."""
    now = in_force()
    return RuleSet(
        _index(rules) if rules else now.index, _rules(convergence_rules) if convergence_rules else now.convergence
    )


def beginning(since: datetime, *sets: RuleSet) -> datetime:
    """Return where a replay has to begin for what went on at a moment to be as it was: the incidents and their windows."""
    rules = [rule for each in sets for rule in each.convergence]
    quiet = max((rule.quiet for rule in rules), default=timedelta())
    window = min(max((rule.window for rule in rules), default=timedelta()), LONGEST)
    going_on = Incident.objects.filter(opened_at__range=(since - LONGEST, since)).exclude(closed_at__lt=since)
    opened = going_on.aggregate(first=Min("opened_at"))["first"] or since
    return min(since - min(2 * quiet, LONGEST), opened - window)


def _index(drafts: Drafts) -> RuleIndex:
    placed = dict(zip(_places(drafts, _ids_by_name(Rule)), drafts, strict=True))
    rows = Rule.objects.filter(enabled=True, archived=False).exclude(pk__in=placed)
    found = list(rows.select_related("package__business", "package__current"))
    for pk, draft in placed.items():
        values = _RULE | {name: draft[name] for name in _RULE if name in draft}
        if values["enabled"]:
            found.append(Rule(pk=pk, package=_package(draft), **values))
    return RuleIndex(found)


def _package(draft: Draft) -> Package | None:
    wanted = draft.get("package")
    rows = Package.objects.filter(archived=False).select_related("business", "current")
    return rows.filter(key=wanted).first() if wanted else None


def _rules(drafts: Drafts) -> tuple[CompiledRule, ...]:
    placed = dict(zip(_places(drafts, _ids_by_name(ConvergenceRule)), drafts, strict=True))
    rows = {row.pk: row for row in current_rules() if row.pk not in placed}
    orders = dict(ConvergenceRule.objects.filter(pk__in=rows).values_list("pk", "priority"))
    for pk, draft in placed.items():
        values = _CONVERGENCE | {name: draft[name] for name in _CONVERGENCE if name in draft}
        row = ConvergenceRule(pk=pk, **values)
        if row.enabled:
            rows[pk] = compile_rule(row, draft["blocked_by"] if "blocked_by" in draft else _blocked_by(pk))
            orders[pk] = row.priority
    return tuple(sorted(rows.values(), key=lambda rule: (orders[rule.pk], rule.pk)))


def _blocked_by(pk: int) -> list[int]:
    """Return the ids of the businesses that do without the rule in whose place a draft stands."""
    rows = ConvergenceRule.objects.filter(pk=pk, blocked_by__isnull=False)
    return [int(business or 0) for business in rows.values_list("blocked_by", flat=True)]


def _ids_by_name(model: type[Rule] | type[ConvergenceRule]) -> dict[str, int]:
    return dict(model._default_manager.filter(archived=False).values_list("name", "pk"))


def _places(drafts: Drafts, known: Mapping[str, int]) -> list[int]:
    """Return of each draft the id of the rule in whose place it stands, or an id of its own."""
    return [draft.get("id") or known.get(draft.get("name", ""), _NEW + number) for number, draft in enumerate(drafts)]


def _misplaced(kind: str, drafts: Drafts, known: Mapping[str, int]) -> Problems:
    """Return where a draft names no rule, or one that another draft stands for."""
    found: Problems = []
    first: dict[int | str, int] = {}
    for number, (place, draft) in enumerate(zip(_places(drafts, known), drafts, strict=True)):
        if draft.get("id") and place not in known.values():
            found.append((f"{kind}[{number}].id", _("没有这条规则")))
        same = {first.setdefault(key, number) for key in (place, draft.get("name")) if key} - {number}
        if same:
            found.append((f"{kind}[{number}]", _("与 %(other)s 是同一条规则") % {"other": f"{kind}[{min(same)}]"}))
    return found


def _wrong_rule(draft: Draft) -> Problems:
    found = [(f"match.{path}".rstrip("."), message) for path, message in validate_match(draft.get("match", {}))]
    found += _wrong_numbers(draft, ("priority", "timeout", "stale_after"))
    if draft.get("mode", Mode.AUTO) not in Mode.values:
        found.append(("mode", _("未知的模式")))
    if draft.get("package") and _package(draft) is None:
        found.append(("package", _("没有这个套餐")))
    return found


def _wrong_numbers(values: Draft, names: tuple[str, ...]) -> Problems:
    given = {name: values[name] for name in names if values.get(name) is not None}
    return [(name, _("应为不超过 %(most)d 的整数") % {"most": _MOST}) for name, n in given.items() if not _fits(n)]


def _fits(value: Any) -> bool:
    return type(value) is int and abs(value) <= _MOST
