"""Variables in a node's parameters: a fixed list of names, replaced by data in a single pass.

A value is never looked at again: `${ip}` inside of a label stays these five characters. Nothing is evaluated.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fta.lib.links import absolute
from fta.lib.types import JSON, JSONDict
from fta.models import Alert, Execution, Host

# What an author may write between the braces, with what the editor shows beside it. <…> stands for a name of one's own.
VARIABLES = {
    "ip": _("故障主机 IP"),
    "host.name": _("故障主机名"),
    "ip_bak": _("备机 IP"),
    "alert_type": _("告警类型"),
    "severity": _("告警级别"),
    "content": _("告警内容"),
    "labels.<name>": _("告警标签"),
    "alert_context|<key>": _("告警上下文里的一项"),
    "source_time": _("告警发生时间"),
    "business": _("业务代码"),
    "set": _("集群"),
    "module": _("模块"),
    "operator": _("第一负责人"),
    "operators": _("全部负责人，以逗号分隔"),
    "params.<name>": _("套餐参数"),
    "node.<id>.<field>": _("前面节点的结果"),
    "execution.id": _("自愈记录编号"),
    "execution.url": _("自愈记录链接"),
}
_PLAIN = frozenset(name for name in VARIABLES if "<" not in name)
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_NODE = re.compile(r"node\.([0-9]{1,9})\.([A-Za-z0-9_.-]{1,100})")
_MAX_FIELDS = 200  # of one node's result


def names_in(value: JSON) -> set[str]:
    """Return the names of all variables in a JSON value, known or not; keys of objects are not rendered."""
    if isinstance(value, str):
        return {name.strip() for name in _REFERENCE.findall(value)}
    if isinstance(value, list):
        return set().union(*(names_in(item) for item in value))
    if isinstance(value, dict):
        return set().union(*(names_in(item) for item in value.values()))
    return set()


def check(value: JSON, parameters: Sequence[JSON], nodes: Iterable[JSON]) -> list[str]:
    """Return the names in `value` that do not exist for a package with these parameters and nodes, sorted.

    A secret parameter has no variable: it would be shown in the plan. Runners take secrets by name.
    """
    params = {str(p["name"]) for p in parameters if isinstance(p, dict) and p.get("type") != "secret" and "name" in p}
    ids = {str(node["id"]) for node in nodes if isinstance(node, dict) and "id" in node}
    return sorted(name for name in names_in(value) if not _known(name, params, ids))


def _known(name: str, params: set[str], node_ids: set[str]) -> bool:
    if name in _PLAIN:
        return True
    if name.startswith("params."):
        return name.removeprefix("params.") in params
    if node := _NODE.fullmatch(name):
        return node[1] in node_ids
    return any(name.startswith(prefix) and len(name) > len(prefix) for prefix in ("labels.", "alert_context|"))


def render(value: JSON, values: Mapping[str, str]) -> JSON:
    """Return `value` with every variable in its strings replaced; one that has no value becomes ''.

    A string that is itself a JSON object or array is rendered inside, so that a quote in a value cannot reshape it.
    """
    if isinstance(value, str):
        return _render_text(value, values)
    if isinstance(value, list):
        return [render(item, values) for item in value]
    if isinstance(value, dict):
        return {key: render(item, values) for key, item in value.items()}
    return value


def _render_text(text: str, values: Mapping[str, str]) -> str:
    if "${" not in text:
        return text
    inner = as_json(text)
    if inner is not None:
        return json.dumps(render(inner, values), ensure_ascii=False)
    return _REFERENCE.sub(lambda found: values.get(found[1].strip(), ""), text)


def as_json(text: str) -> JSON:
    """Return the JSON object or array that the text is, or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        return None


def values_of(
    alert: Alert | None,
    host: Host | None,
    execution: Execution,
    params: Mapping[str, JSON],
    operators: Sequence[str],
) -> dict[str, str]:
    """Return every variable's value for an execution; `operators` are userids, the first in charge first."""
    values = {
        "execution.id": str(execution.pk),
        "execution.url": _url_of(execution),
        "alert_type": execution.alert_type,
        "business": execution.business.code if execution.business else "",
        "operator": operators[0] if operators else "",
        "operators": ",".join(operators),
        **{f"params.{name}": text_of(value) for name, value in params.items()},
    }
    if host is not None:
        values |= {"ip": host.ip, "host.name": host.name, "set": host.set_name, "module": host.module}
    if alert is not None:
        values |= _alert_values(alert)
        values.setdefault("ip", alert.target if alert.target_kind == "host" else "")
    return values


def _alert_values(alert: Alert) -> dict[str, str]:
    context = alert.context if isinstance(alert.context, dict) else {}
    return {
        "alert_type": alert.alert_type,
        "severity": alert.severity,
        "content": alert.content,
        "source_time": _moment(alert.starts_at or alert.received_at),
        **{f"labels.{name}": text_of(value) for name, value in alert.labels.items()},
        **{f"alert_context|{key}": text_of(value) for key, value in context.items()},
    }


def node_values(node: int, result: JSONDict, output: str = "", state: str = "") -> dict[str, str]:
    """Return the variables that an ended node offers: output, state, and its result with dots between nested fields."""
    fields = islice(_flatten("", result), _MAX_FIELDS)
    values = {f"node.{node}.{name}": text for name, text in fields}
    return {f"node.{node}.output": output, f"node.{node}.state": state, **values}


def _flatten(prefix: str, value: JSON) -> Iterable[tuple[str, str]]:
    items: Iterable[tuple[object, JSON]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield f"{prefix}{key}", text_of(item)
        yield from _flatten(f"{prefix}{key}.", item)


def text_of(value: JSON) -> str:
    """Return a JSON value as the text that stands for it in a message or an argument."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def _url_of(execution: Execution) -> str:
    try:
        return absolute(reverse("web:execution", args=[execution.pk]))
    except NoReverseMatch:  # an engine that serves no pages
        return ""
