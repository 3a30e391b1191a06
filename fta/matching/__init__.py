"""Which rule decides about an alert: conditions compiled once, kept in memory, first by (priority, id) wins."""

from fta.matching.condition import Condition, InvalidMatch, compile_match, validate_match
from fta.matching.index import RuleIndex, current_rules, match
from fta.matching.shields import outlasts_its_period, shield_for
from fta.matching.subject import Subject

__all__ = [
    "Condition",
    "InvalidMatch",
    "RuleIndex",
    "Subject",
    "compile_match",
    "current_rules",
    "match",
    "outlasts_its_period",
    "shield_for",
    "validate_match",
]
