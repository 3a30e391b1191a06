"""The typed parameters of a package: are they well declared, and what are their values for one execution."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2
from django.utils.translation import gettext as _

from fta.healing.variables import text_of
from fta.lib.plain import MAX_TEXT, UNSTORABLE
from fta.lib.types import JSON

# What an author writes of a parameter, in the order in which it is shown.
KEYS = ("name", "type", "default", "required", "choices", "pattern")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_HOSTNAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAX_PATTERN = 500


class InvalidValue(ValueError):
    """A value does not fit its parameter; the text says why, for people."""


def problems_of(parameters: Sequence[Any]) -> list[tuple[str, str]]:
    """Return what is wrong with the declarations, as (path, words for the author)."""
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for at, parameter in enumerate(parameters):
        place = f"parameters[{at}]"
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            found.append((place, _("参数名只能用小写字母、数字和下划线，以字母或下划线开头，最多 32 个字符")))
            continue
        if name in seen:
            found.append((place, _("参数 %(name)s 重复") % {"name": name}))
        seen.add(name)
        found += [
            (f"{place}.{key}", _("没有这一项，能写的是 %s") % "、".join(KEYS)) for key in parameter if key not in KEYS
        ]
        message = _declaration_problem(parameter)
        if message:
            found.append((place, message))
    return found


def _declaration_problem(parameter: Mapping[str, Any]) -> str:
    kind, choices = parameter.get("type", "string"), parameter.get("choices")
    if not isinstance(kind, str) or kind not in TYPES:
        return _("未知的参数类型：%(kind)s") % {"kind": kind}
    if not isinstance(choices or [], list) or not all(isinstance(each, (str, int, float)) for each in choices or []):
        return _("choices 应为列表，其中是文本、数字或布尔值")
    if kind == "choice" and not choices:
        return _("选项参数要列出 choices")
    if not isinstance(parameter.get("required") or False, bool):
        return _("required 应为 true 或 false")
    if kind == "secret" and parameter.get("default") not in (None, ""):
        return _("密文参数不能有默认值，请填写在密文里")
    try:
        if parameter.get("pattern"):
            _compile(str(parameter["pattern"]))
        if kind != "secret" and parameter.get("default") is not None:
            value_of(parameter, parameter["default"])
    except InvalidValue as error:
        return str(error)
    return ""


def resolve(parameters: Sequence[Mapping[str, Any]], given: Mapping[str, JSON]) -> tuple[dict[str, JSON], list[str]]:
    """Return the typed value of every parameter but the secret ones, and what is wrong with `given`, in words.

    A parameter that is wrong or missing has the value None.
    """
    known = {str(each["name"]) for each in parameters}
    problems = [_("没有参数 %(name)s") % {"name": name} for name in given if name not in known]
    values: dict[str, JSON] = {}
    for parameter in parameters:
        name = str(parameter["name"])
        if parameter.get("type") == "secret":
            if name in given:
                problems.append(_("参数 %(name)s 是密文，只能随套餐保存") % {"name": name})
            continue
        value = given.get(name)
        value = parameter.get("default") if value is None or value == "" else value
        values[name] = None
        if value is None or value == "":
            if parameter.get("required"):
                problems.append(_("参数 %(name)s 必填") % {"name": name})
            continue
        try:
            values[name] = value_of(parameter, value)
        except InvalidValue as error:
            problems.append(_("参数 %(name)s：%(why)s") % {"name": name, "why": error})
    return values, problems


def value_of(parameter: Mapping[str, Any], value: Any) -> JSON:
    """Return the value in the parameter's type. Raises InvalidValue."""
    found = TYPES[parameter.get("type", "string")](value)
    choices = parameter.get("choices")
    if isinstance(choices, list) and choices:
        found = _chosen(found, choices)
    pattern = parameter.get("pattern")
    if pattern and _compile(str(pattern)).fullmatch(str(found)) is None:
        raise InvalidValue(_("不符合格式 %(pattern)s") % {"pattern": pattern})
    return found


def _chosen(value: JSON, choices: Sequence[JSON]) -> JSON:
    """Return the choice that the value is, or whose text it is: pages and variables know texts only."""
    same = [each for each in choices if type(each) is type(value) and each == value]
    alike = [each for each in choices if text_of(each) == text_of(value)]
    if same or alike:
        return (same or alike)[0]
    raise InvalidValue(_("只能是：%(choices)s") % {"choices": "、".join(text_of(each) for each in choices)})


def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    if len(pattern) > _MAX_PATTERN:
        raise InvalidValue(_("格式太长"))
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidValue(_("格式不是合法的 RE2 正则：%(pattern)s") % {"pattern": pattern}) from error


def _text(value: Any) -> JSON:
    if isinstance(value, (dict, list)):
        raise InvalidValue(_("应为文本"))
    text = value if isinstance(value, str) else str(value)
    if len(text) > MAX_TEXT:
        raise InvalidValue(_("最多 %(n)d 个字符") % {"n": MAX_TEXT})
    if UNSTORABLE.search(text):
        raise InvalidValue(_("含有不能保存的字符（空字符或不完整的 Unicode）"))
    return text


def _integer(value: Any) -> JSON:
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        return int(str(value).strip()) if not isinstance(value, float) else int(value)
    except ValueError as error:
        raise InvalidValue(_("应为整数")) from error


def _number(value: Any) -> JSON:
    try:
        found = float(str(value).strip())
    except ValueError as error:
        raise InvalidValue(_("应为数字")) from error
    if isinstance(value, bool) or found != found or found in (float("inf"), float("-inf")):
        raise InvalidValue(_("应为数字"))
    return int(found) if found.is_integer() else found


def _boolean(value: Any) -> JSON:
    found = value if isinstance(value, bool) else _WORDS.get(str(value).strip().lower())
    if found is None:
        raise InvalidValue(_("应为 true 或 false"))
    return found


def _ip(value: Any) -> JSON:
    try:
        return str(ipaddress.ip_address(str(value).strip()))
    except ValueError as error:
        raise InvalidValue(_("应为 IP 地址")) from error


def _hostname(value: Any) -> JSON:
    if not _HOSTNAME.fullmatch(str(value)):
        raise InvalidValue(_("应为主机名"))
    return str(value)


TYPES: dict[str, Callable[[Any], JSON]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "choice": lambda value: value,
    "ip": _ip,
    "hostname": _hostname,
    "secret": _text,
}
