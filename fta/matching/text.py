"""Conditions on text: equals, one of, exact, glob, regex, prefix, cidr, not, exists.

Regular expressions are RE2, so that no pattern can stall matching; `regex` finds its pattern anywhere in the text unless it is
anchored. A test gets every word of a field at once, none for a field that is missing: `not` holds then, the others do not.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import re2
from django.utils.translation import gettext as _

Words: TypeAlias = tuple[str, ...]
Test: TypeAlias = Callable[[Words], bool]
Networks: TypeAlias = Callable[[str], bool]  # tells which plain values, such as 10.0.0.0/8, mean the network

MAX_PATTERN = 1000  # characters
MAX_VALUES = 1000
_RE2_MEMORY = 1 << 20  # bytes of one compiled pattern
_GLOB_PARTS = re.compile(r"\*|\?|\[!?[^]/]+]|.", re.DOTALL)


class BadText(Exception):
    """A condition on text cannot be understood; `path` is where, below the condition itself."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def no_network(value: str) -> bool:
    """Take every plain value for text."""
    return False


def is_network(value: str) -> bool:
    """Tell whether a text is a network: a host may have a name with a slash."""
    try:
        return "/" in value and bool(ipaddress.ip_network(value, strict=False))
    except ValueError:
        return False


def compile_text(value: Any, networks_of: Networks = no_network) -> Test:
    """Compile one condition. Raises BadText."""
    if isinstance(value, Mapping):
        if not value:
            raise BadText("", _("条件为空：请写一个值、一个列表或 exact、glob、regex、prefix、cidr、not、exists 之一"))
        tests = [_operator(str(name), operand, networks_of) for name, operand in value.items()]
        return tests[0] if len(tests) == 1 else lambda words: all(test(words) for test in tests)
    values = _strings(value)
    networks = [item for item in values if networks_of(item)]
    plain = frozenset(item for item in values if item not in networks)
    equals: Test = lambda words: not plain.isdisjoint(words)  # noqa: E731
    if not networks:
        return equals
    inside = _cidr(networks)
    return lambda words: equals(words) or inside(words)


def exact_values(value: Any) -> list[str] | None:
    """Return the values of a condition that holds for these only, or None for any other kind of condition."""
    if isinstance(value, Mapping):
        value = value.get("exact")
    if value is None:
        return None
    return _strings(value)


def literal_prefixes(value: Any) -> list[str] | None:
    """Return texts of which one must start every match of a glob or prefix condition, or None where there are none."""
    if not isinstance(value, Mapping):
        return None
    if "prefix" in value:
        prefixes = _strings(value["prefix"])
    elif "glob" in value:
        prefixes = [re.split(r"[*?\[]", item, maxsplit=1)[0] for item in _strings(value["glob"])]
    else:
        return None
    return prefixes if all(prefixes) else None


def _operator(name: str, operand: Any, networks_of: Networks) -> Test:
    try:
        if name == "not":
            inner = compile_text(operand, networks_of)
            return lambda words: not inner(words)
        if name == "exists":
            return _exists(operand)
        if name not in _COMPILERS:
            raise BadText("", _("未知的条件写法；可用：exact、glob、regex、prefix、cidr、not、exists"))
        return _COMPILERS[name](_strings(operand))
    except BadText as error:
        raise BadText(f"{name}.{error.path}".rstrip("."), error.message) from error


def _exists(operand: Any) -> Test:
    if not isinstance(operand, bool):
        raise BadText("", _("应为 true 或 false"))
    return lambda words: bool(words) is operand


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or len(values) > MAX_VALUES:
        raise BadText("", _("请写 1 到 %(most)s 个值") % {"most": MAX_VALUES})
    for item in values:
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise BadText("", _("值必须是文本"))
        if len(str(item)) > MAX_PATTERN:
            raise BadText("", _("超过 %(most)s 个字符") % {"most": MAX_PATTERN})
    return [str(item) for item in values]


def _exact(values: list[str]) -> Test:
    wanted = frozenset(values)
    return lambda words: not wanted.isdisjoint(words)


def _prefix(values: list[str]) -> Test:
    prefixes = tuple(values)
    return lambda words: any(word.startswith(prefixes) for word in words)


def _regex(values: list[str]) -> Test:
    patterns = [_re2(value) for value in values]
    return lambda words: any(pattern.search(word) for pattern in patterns for word in map(_encodable, words))


def _glob(values: list[str]) -> Test:
    patterns = [_re2("(?s)^" + "".join(map(_glob_part, _GLOB_PARTS.findall(value))) + r"\z") for value in values]
    return lambda words: any(pattern.search(word) for pattern in patterns for word in map(_encodable, words))


def _cidr(values: list[str]) -> Test:
    networks = []
    for value in values:
        try:
            networks.append(ipaddress.ip_network(value, strict=False))
        except ValueError as error:
            raise BadText("", _("「%(value)s」不是网段，例如 10.0.0.0/8") % {"value": value}) from error
    return lambda words: any(address in network for address in _addresses(words) for network in networks)


def _addresses(words: Words) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = []
    for word in words:
        try:
            found.append(ipaddress.ip_address(word))
        except ValueError:
            continue  # a name
    return found


def _glob_part(part: str) -> str:
    if part == "*":
        return ".*"
    if part == "?":
        return "."
    if len(part) > 1:
        negated, inside = part[1] == "!", part[1:-1].lstrip("!") or "!"
        for special in "\\[^":
            inside = inside.replace(special, "\\" + special)
        return f"[^{inside}]" if negated else f"[{inside}]"
    return re.escape(part)


def _re2(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _RE2_MEMORY
    try:
        return re2.compile(_encodable(pattern), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise BadText(
            "", _("正则无法编译（RE2 语法，不支持反向引用与环视）：%(reason)s") % {"reason": reason}
        ) from error


def _encodable(text: str) -> str:
    """RE2 works on UTF-8, which has no lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


_COMPILERS: Mapping[str, Callable[[list[str]], Test]] = {
    "exact": _exact,
    "glob": _glob,
    "regex": _regex,
    "prefix": _prefix,
    "cidr": _cidr,
}
