"""The conditions of a rule or shield as the fields of a form, and back.

A form shows the common forms of a condition; whatever it cannot show without loss stays behind as `rest`, for a YAML box.
A condition is shown only when reading its field gives the same condition again.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

LISTED = ("source", "severity", "business")  # chosen from lists
WRITTEN = ("set", "module", "ip")  # one value a line
HOWS = ("equals", "glob", "regex")
EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]
_LABEL = re.compile(
    r"(?P<name>[^\s=!~]+)\s*(?:(?P<op>=~|!=|=)\s*(?P<value>.*)|\s(?P<word>in|exists|not exists)(?:\s+(?P<list>.*))?)"
)


class BadLabel(ValueError):
    """A line of the labels field is not understood; the text says which and what can be written."""


def lines_of(text: str) -> list[str]:
    """Return the values of a field that takes one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def label_conditions(text: str) -> dict[str, Any]:
    """Read lines such as app=web, app!=web, app=~^web, app in web, api, app exists. Raises BadLabel."""
    found: dict[str, Any] = {}
    for line in lines_of(text):
        parts = _LABEL.fullmatch(line)
        condition = _label_condition(parts) if parts else None
        if parts is None or condition is None:
            raise BadLabel(
                _("「%(line)s」看不懂；写法如 app=web、app!=web、app=~^web、app in web, api、app exists")
                % {"line": line}
            )
        if parts["name"] in found:
            raise BadLabel(_("标签 %(name)s 写了两次；多个值用 in") % {"name": parts["name"]})
        found[parts["name"]] = condition
    return found


def _label_condition(parts: re.Match[str]) -> Any:
    if parts["word"] == "in":
        values = [value.strip() for value in (parts["list"] or "").split(",") if value.strip()]
        return values or None
    if parts["word"]:
        return None if parts["list"] else {"exists": parts["word"] == "exists"}
    value = parts["value"]
    return {"=": value, "!=": {"not": value}, "=~": {"regex": value}}[parts["op"]] if value else None


def _label_line(name: str, condition: Any) -> str:
    """Return the line that stands for a label's condition, whether or not it reads back as the same."""
    if isinstance(condition, list):
        return f"{name} in {', '.join(str(value) for value in condition)}"
    if not isinstance(condition, Mapping):
        return f"{name}={condition}"
    if "exists" in condition:
        return f"{name} {'exists' if condition['exists'] is True else 'not exists'}"
    sign, value = ("!=", condition.get("not")) if "not" in condition else ("=~", condition.get("regex"))
    return f"{name}{sign}{value}"


def _shown_label(name: str, condition: Any) -> str:
    line = _label_line(name, condition)
    try:
        return line if lines_of(line) == [line] and label_conditions(line) == {name: condition} else ""
    except BadLabel:
        return ""


def split(match: Mapping[str, Any], offered: Mapping[str, Iterable[str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of the form's fields, and the conditions that they cannot show.

    `offered` are the values that the user may choose of source, severity and business.
    """
    shown: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, condition in match.items():
        values = _values(condition)
        if name in LISTED and values and set(values) <= set(offered.get(name, ())):
            shown[name] = values
        elif name in WRITTEN and _is_plain(name, condition, values):
            shown[name] = "\n".join(values)
        elif name == "labels" and isinstance(condition, Mapping):
            _split_labels(condition, shown, rest)
        else:
            found = _SPECIAL[name](condition, values) if name in _SPECIAL else {}
            shown |= found
            rest |= {} if found else {name: condition}
    return shown, rest


def _values(condition: Any) -> list[str]:
    """Return the values of a condition "equals" or "one of"; none for any other or for values that no line can hold."""
    if isinstance(condition, Mapping):
        condition = condition["exact"] if set(condition) == {"exact"} else []
    values = [str(item) for item in (condition if isinstance(condition, list) else [condition])]
    return values if all(lines_of(value) == [value] for value in values) else []


def _is_plain(name: str, condition: Any, values: list[str]) -> bool:
    # {exact: 10.0.0.0/8} is that text, a plain 10.0.0.0/8 the network.
    return bool(values) and not (
        name == "ip" and isinstance(condition, Mapping) and any("/" in each for each in values)
    )


def _split_labels(condition: Mapping[str, Any], shown: dict[str, Any], rest: dict[str, Any]) -> None:
    lines = {str(name): _shown_label(str(name), value) for name, value in condition.items()}
    hidden = {str(name): value for name, value in condition.items() if not lines[str(name)]}
    shown["labels"] = "\n".join(line for line in lines.values() if line)
    rest |= {"labels": hidden} if hidden else {}


def _split_type(condition: Any, values: list[str]) -> dict[str, Any]:
    how = next(iter(condition)) if isinstance(condition, Mapping) and len(condition) == 1 else ""
    if how in ("glob", "regex"):
        values = _values(condition[how])
        return {"alert_type_how": how, "alert_type": "\n".join(values)} if values else {}
    return {"alert_type_how": "equals", "alert_type": "\n".join(values)} if values else {}


def _split_content(condition: Any, values: list[str]) -> dict[str, Any]:
    pattern = condition["regex"] if isinstance(condition, Mapping) and set(condition) == {"regex"} else None
    return {"content": pattern} if isinstance(pattern, str) and lines_of(pattern) == [pattern] else {}


def _split_hours(condition: Any, values: list[str]) -> dict[str, Any]:
    if not isinstance(condition, Mapping) or set(condition) - {"from", "to", "days"}:
        return {}
    return {
        "hours_from": str(condition.get("from", "00:00")),
        "hours_to": str(condition.get("to", "24:00")),
        "days": [str(day) for day in condition.get("days", EVERY_DAY)],
    }


_SPECIAL = {"alert_type": _split_type, "content": _split_content, "hours": _split_hours}


def join(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions of a form's cleaned values, without its `rest`."""
    found: dict[str, Any] = {name: _one_or_many(data[name]) for name in LISTED if data.get(name)}
    types = lines_of(data.get("alert_type") or "")
    if types:
        how = data.get("alert_type_how") or "equals"
        found["alert_type"] = _one_or_many(types) if how == "equals" else {how: _one_or_many(types)}
    found |= {name: _one_or_many(lines_of(data[name])) for name in WRITTEN if lines_of(data.get(name) or "")}
    if data.get("content"):
        found["content"] = {"regex": data["content"]}
    if data.get("labels"):
        found["labels"] = dict(data["labels"])
    return found | _join_hours(data)


def _join_hours(data: Mapping[str, Any]) -> dict[str, Any]:
    start, end = data.get("hours_from") or "00:00", data.get("hours_to") or "24:00"
    days = sorted(int(day) for day in data.get("days") or EVERY_DAY)
    if (start, end, days) == ("00:00", "24:00", EVERY_DAY):
        return {}
    return {"hours": {"from": start, "to": end} | ({} if days == EVERY_DAY else {"days": days})}


def merge(shown: Mapping[str, Any], rest: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Put both halves together; return also the names that are in both."""
    mine, theirs = shown.get("labels", {}), rest.get("labels", {})
    labels = {**mine, **theirs} if isinstance(theirs, Mapping) else theirs
    twice = [name for name in rest if name in shown and name != "labels"]
    twice += [f"labels.{name}" for name in theirs if name in mine] if isinstance(theirs, Mapping) else []
    return {**shown, **rest, **({"labels": labels} if labels else {})}, twice


def _one_or_many(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else list(values)
