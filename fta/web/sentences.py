"""Rules, shields and convergence rules as sentences that an operator reads."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.convergence.dimensions import LABELS
from fta.convergence.functions import FUNCTIONS
from fta.models import Alert, Mode, Package
from fta.web.conditions import EVERY_DAY

DAYS = (
    gettext_lazy("一"), gettext_lazy("二"), gettext_lazy("三"), gettext_lazy("四"),
    gettext_lazy("五"), gettext_lazy("六"), gettext_lazy("日"),
)  # fmt: skip
_MODES = {
    Mode.OFF: gettext_lazy("只记录，不处理"),
    Mode.SHADOW: gettext_lazy("演练「%(package)s」，不动手"),
    Mode.APPROVAL: gettext_lazy("先审批，同意后执行「%(package)s」"),
    Mode.AUTO: gettext_lazy("自动执行「%(package)s」"),
}
SHOWN = 3  # values of one condition


def conditions_text(match: Mapping[str, Any]) -> str:
    """Return conditions in words: 业务为 game，告警类型形如 disk*; 任何告警 when there are none."""
    parts = [_part(str(name), condition) for name, condition in match.items() if name not in ("labels", "hours")]
    labels = match.get("labels")
    if isinstance(labels, Mapping):
        parts += [_("标签 %(name)s %(test)s") % {"name": name, "test": _test(value)} for name, value in labels.items()]
    if "hours" in match:
        parts.append(_hours(match["hours"]))
    return "，".join(parts) or _("任何告警")


def rule_text(match: Mapping[str, Any], package: Package | None, mode: str, timeout: int) -> str:
    """Return a rule as one sentence."""
    when = _("当告警满足：%(conditions)s") % {"conditions": conditions_text(match)}
    if package is None or mode == Mode.OFF:
        return _("%(when)s，就只记录，不处理。") % {"when": when}
    what = _MODES[Mode(mode)] % {"package": package.name}
    span = duration_text(timeout)
    return _("%(when)s，就%(what)s；收到后 %(span)s内没做完即算失败。") % {"when": when, "what": what, "span": span}


def convergence_text(values: Mapping[str, Any]) -> str:
    """Return a convergence rule as one sentence: 5 分钟内，同主机同告警类型超过 1 条 → 成功后跳过."""
    types = "、".join(values.get("alert_types") or [])
    same = "".join(dimension_text(item) for item in values.get("dimensions") or [])
    function = FUNCTIONS.get(str(values.get("function")))
    text = _("%(window)s内，%(same)s超过 %(count)s 条 → %(function)s") % {
        "window": duration_text(int(values["window"])),
        "same": same,
        "count": values["count"],
        "function": function.label if function else values.get("function"),
    }
    return f"{types}：{text}" if types else text


def duration_text(seconds: int) -> str:
    """Return a set length of time: 5 分钟, 1 小时 30 分钟, 90 秒."""
    hours, rest = divmod(seconds, 3600)
    if rest % 60:
        return _("%(n)d 秒") % {"n": seconds}
    parts = [_("%(n)d 小时") % {"n": hours}] if hours else []
    return " ".join(parts + ([_("%(n)d 分钟") % {"n": rest // 60}] if rest or not hours else []))


def dimension_text(item: Any) -> str:
    """Return a dimension in words: 同主机, or 主机属于 a、b."""
    name, values = (item.get("name"), item.get("values")) if isinstance(item, Mapping) else (item, None)
    word = (
        _("标签 %s") % str(name).removeprefix("label:")
        if str(name).startswith("label:")
        else LABELS.get(str(name), name)
    )
    if isinstance(values, list):
        return _("%(name)s属于 %(values)s，") % {"name": word, "values": "、".join(str(value) for value in values)}
    return _("同%(name)s") % {"name": word}


def _part(name: str, condition: Any) -> str:
    words = {
        "source": _("告警源"),
        "alert_type": _("告警类型"),
        "severity": _("级别"),
        "business": _("业务"),
        "set": _("集群"),
        "module": _("模块"),
        "ip": "IP",
        "host": _("主机"),
        "content": _("内容"),
    }
    if name == "severity":
        condition = _severities(condition)
    return f"{words.get(name, name)}{_test(condition)}"


def _severities(condition: Any) -> Any:
    if isinstance(condition, list):
        return [_severities(item) for item in condition]
    labels = {str(value): str(label) for value, label in Alert.Severity.choices}
    return labels.get(condition, condition) if isinstance(condition, str) else condition


def _test(condition: Any) -> str:
    if not isinstance(condition, Mapping):
        return _("为 %(values)s") % {"values": _values(condition)}
    return _("且").join(_operator(str(name), operand) for name, operand in condition.items())


def _operator(name: str, operand: Any) -> str:
    if name == "exists":
        return _("存在") if operand is True else _("不存在")
    if name == "not":
        return _("不%(test)s") % {"test": _test(operand)}
    words = {"exact": _("为"), "glob": _("形如"), "regex": _("匹配"), "prefix": _("开头是"), "cidr": _("属于网段")}
    return f"{words.get(name, name)} {_values(operand)}"


def _values(value: Any) -> str:
    values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    text = _(" 或 ").join(values[:SHOWN])
    return _("%(text)s 等 %(count)s 个") % {"text": text, "count": len(values)} if len(values) > SHOWN else text


def _hours(hours: Any) -> str:
    windows = hours if isinstance(hours, list) else [hours]
    return _("时间在 %(windows)s") % {"windows": _(" 或 ").join(_window(item) for item in windows)}


def _window(window: Any) -> str:
    if not isinstance(window, Mapping):
        return str(window)
    clock = f"{window.get('from', '00:00')}–{window.get('to', '24:00')}"
    days = window.get("days", EVERY_DAY)
    if not isinstance(days, list) or days == EVERY_DAY:
        return clock
    names = [str(DAYS[day - 1]) for day in days if isinstance(day, int) and 1 <= day <= len(DAYS)]
    return _("周%(days)s %(clock)s") % {"days": "、".join(names), "clock": clock}
