"""The conditions of a rule or a shield (`match` of the configuration file), checked and compiled."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from django.utils.translation import gettext as _

from fta.lib.types import JSONDict
from fta.matching.hours import compile_hours
from fta.matching.subject import Subject
from fta.matching.text import BadText, Networks, compile_text, exact_values, is_network, no_network

Check: TypeAlias = Callable[[Subject], bool]

TEXT_FIELDS = ("source", "alert_type", "severity", "business", "set", "module", "ip", "host", "content")
FIELDS = (*TEXT_FIELDS, "labels", "hours")
# Fields whose plain values may be networks.
NETWORKS: Mapping[str, Networks] = {"ip": lambda value: "/" in value, "host": is_network}


class InvalidMatch(ValueError):
    """The conditions cannot be compiled; `problems` lists (path, message)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = problems


class Condition:
    """Compiled conditions; all of them must hold, and no condition at all always holds."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._checks = tuple(checks)

    def holds(self, subject: Subject) -> bool:
        """Tell whether the alert meets every condition."""
        return all(check(subject) for check in self._checks)


def validate_match(match: JSONDict) -> list[tuple[str, str]]:
    """Return what is wrong with the conditions as (path, message in the reader's language); empty when they are good."""
    return _compile(match)[1]


def compile_match(match: JSONDict) -> Condition:
    """Compile the conditions. Raises InvalidMatch."""
    checks, problems = _compile(match)
    if problems:
        raise InvalidMatch(problems)
    return Condition(checks)


def _compile(match: Any) -> tuple[list[Check], list[tuple[str, str]]]:
    if not isinstance(match, Mapping):
        return [], [("", _("条件必须是一组键值"))]
    checks: list[Check] = []
    problems: list[tuple[str, str]] = []
    for path, make, value in _parts(match):
        try:
            checks.append(make(value))
        except BadText as error:
            problems.append((f"{path}.{error.path}".rstrip("."), error.message))
    return checks, problems


def _parts(match: Mapping[str, Any]) -> Iterable[tuple[str, Callable[[Any], Check], Any]]:
    for name, value in match.items():
        if name == "labels" and isinstance(value, Mapping):
            for label, condition in value.items():
                yield f"labels.{label}", _label(str(label)), condition
        elif name == "hours":
            yield name, _hours, value
        elif name in TEXT_FIELDS:
            yield name, _field(name), value
        else:
            yield name, _refuse, value


def _field(name: str) -> Callable[[Any], Check]:
    def make(value: Any) -> Check:
        test = compile_text(value, NETWORKS.get(name, no_network))
        values = exact_values(value)
        if values is not None and not any(values):  # a field that is empty is missing
            raise BadText("", _("空值不会与任何告警相符；不限就删去这个条件"))
        return lambda subject: test(subject.fields.get(name, ()))

    return make


def _label(name: str) -> Callable[[Any], Check]:
    def make(value: Any) -> Check:
        test = compile_text(value)
        return lambda subject: test((subject.labels[name],) if name in subject.labels else ())

    return make


def _hours(value: Any) -> Check:
    clock = compile_hours(value)
    return lambda subject: clock(subject.at)


def _refuse(value: Any) -> Check:
    raise BadText("", _("未知的条件；可用：%(names)s") % {"names": "、".join(FIELDS)})
