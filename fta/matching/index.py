"""Rules in memory: an index by the words that a rule cannot do without, so that a thousand rules cost little more than ten."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import merge
from typing import Any, TypeAlias

from django.utils.translation import gettext as _

from fta import signals
from fta.matching.condition import NETWORKS, Condition, InvalidMatch, compile_match
from fta.matching.subject import Subject
from fta.matching.text import exact_values, literal_prefixes, no_network
from fta.models import ConfigVersion, Rule

logger = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, ...]
Entry: TypeAlias = tuple[int, int, Condition]  # place in the order of rules, rule id, its conditions

_EVERYTHING: Key = ("*",)
# Where a rule is filed, the most telling first: by its alert type, a label, its host, business, source.
_FILED_BY = ("ip", "host", "business", "source")


class RuleIndex:
    """Compiled rules, each filed under one necessary condition of its own; swapped whole when a rule changes."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: dict[int, Rule] = {}
        self._files: defaultdict[Key, list[Entry]] = defaultdict(list)
        self._lengths: set[int] = set()
        for place, rule in enumerate(sorted(rules, key=lambda rule: (rule.priority, rule.pk))):
            condition = _compiled_or_told(rule)
            if condition is not None:
                self.rules[rule.pk] = rule
                for key in _keys(rule.match):
                    self._files[key].append((place, rule.pk, condition))
                    self._lengths |= {len(key[1])} if key[0] == "prefix" else set()

    def first(self, subject: Subject) -> Rule | None:
        """Return the first rule by (priority, id) whose conditions hold."""
        files = [self._files[key] for key in self._lookups(subject) if key in self._files]
        for _place, pk, condition in merge(*files):
            if condition.holds(subject):
                return self.rules[pk]
        return None

    def _lookups(self, subject: Subject) -> Iterator[Key]:
        yield _EVERYTHING
        for alert_type in subject.fields.get("alert_type", ()):
            yield ("alert_type", alert_type)
            for length in self._lengths:
                yield ("prefix", alert_type[:length])
        for name in _FILED_BY:
            for word in dict.fromkeys(subject.fields.get(name, ())):
                yield (name, word)
        for label, value in subject.labels.items():
            yield ("label", label, value)


def current_rules() -> RuleIndex:
    """Return the enabled rules, compiled; built again when a rule or a package has changed since."""
    return _compiled(ConfigVersion.versions("rules", "packages"))


def match(subject: Subject, rules: RuleIndex) -> int | None:
    """Return the id of the rule that decides about the alert, or None."""
    rule = rules.first(subject)
    return rule.pk if rule else None


@lru_cache(maxsize=1)
def _compiled(versions: tuple[int, ...]) -> RuleIndex:
    rows = Rule.objects.filter(enabled=True, archived=False).select_related("package__business", "package__current")
    return RuleIndex(rows)


def _compiled_or_told(rule: Rule) -> Condition | None:
    try:
        return compile_match(rule.match)
    except InvalidMatch as error:
        logger.exception("Unable to compile rule %s", rule.pk)
        text = _("接入规则「%(name)s」的条件有误，已略过：%(error)s") % {"name": rule.name, "error": error}
        signals.announce(signals.system_fault, text=text, subject=f"rule:{rule.pk}")
        return None


def _keys(conditions: dict[str, Any]) -> list[Key]:
    """Return the keys of which an alert must have at least one, for the rule's conditions to hold."""
    kind = conditions.get("alert_type")
    exact = exact_values(kind)
    if exact is not None:
        return [("alert_type", value) for value in exact]
    prefixes = literal_prefixes(kind)
    if prefixes is not None:
        return list(dict.fromkeys(("prefix", prefix) for prefix in prefixes))
    for label, value in conditions.get("labels", {}).items():
        values = exact_values(value)
        if values is not None:
            return [("label", label, item) for item in values]
    for name in _FILED_BY:
        values = exact_values(conditions.get(name))
        networks = any(map(NETWORKS.get(name, no_network), values or ()))
        if values is not None and not networks:
            return [(name, item) for item in values]
    return [_EVERYTHING]
