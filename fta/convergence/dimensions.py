"""Dimensions: what executions must have in common to be one incident."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.lib.types import JSON
from fta.models import Alert, Business, Execution, Host, Package

LABELS = {
    "host": gettext_lazy("主机"),
    "set": gettext_lazy("集群"),
    "module": gettext_lazy("模块"),
    "business": gettext_lazy("业务"),
    "alert_type": gettext_lazy("告警类型"),
    "package": gettext_lazy("自愈套餐"),
    "source": gettext_lazy("告警源"),
    "severity": gettext_lazy("级别"),
}
SELF = "self"
_LABEL = "label:"
# Dimensions that lie within one business.
_OF_ONE_BUSINESS = frozenset({"host", "business"})


class BadDimension(ValueError):
    """A dimension cannot be understood."""


@dataclass(frozen=True)
class Dimension:
    """One dimension: equal to this execution's own value, or one of the listed values."""

    name: str
    values: tuple[str, ...] = ()

    @classmethod
    def read(cls, item: JSON) -> "Dimension":
        """Read `host` or {"name": "host", "values": [...]}. Raises BadDimension."""
        data: dict[str, Any] = dict(item) if isinstance(item, dict) else {"name": item}
        name, values = data.get("name"), data.get("values", SELF)
        known = isinstance(name, str) and (name in LABELS or (name.startswith(_LABEL) and len(name) > len(_LABEL)))
        if not isinstance(name, str) or not known or set(data) - {"name", "values"}:
            raise BadDimension(_("未知的维度「%(name)s」；可用：%(names)s") % {"name": name, "names": _names()})
        if values == SELF:
            return cls(name)
        if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
            raise BadDimension(_("维度「%(name)s」的值应为 self 或一列文本") % {"name": name})
        return cls(name, tuple(sorted(set(values))))

    def place(self, value: str) -> JSON:
        """Return what stands for this dimension in the group's key, or None when the value puts the execution outside."""
        if not value or (self.values and value not in self.values):
            return None
        return list(self.values) if self.values else value


def values_of(execution: Execution) -> dict[str, str]:
    """Return the execution's value of every dimension, "" for one that it has not."""
    return values_from(execution.alert, execution.host, execution.business, execution.package, execution.alert_type)


def values_from(
    alert: Alert | None, host: Host | None, business: Business | None, package: Package | None, alert_type: str
) -> dict[str, str]:
    """Return the value of every dimension of what these rows make together."""
    values = {
        "host": host.ip if host else (alert.target if alert else ""),
        "set": host.set_name if host else "",
        "module": host.module if host else "",
        "business": business.code if business else "",
        "alert_type": alert_type,
        "package": package.key if package else "",
        "source": alert.source.name if alert else "",
        "severity": alert.severity if alert else "",
    }
    labels = alert.labels if alert else {}
    return values | {f"{_LABEL}{name}": str(value) for name, value in labels.items()}


def group_of(dimensions: Iterable[Dimension], values: dict[str, str]) -> dict[str, JSON] | None:
    """Return the values that name the execution's group, or None when a dimension does not apply to it."""
    group = {dimension.name: dimension.place(values.get(dimension.name, "")) for dimension in dimensions}
    return None if None in group.values() or not group else group


def key_of(rule_id: int, group: dict[str, JSON]) -> str:
    """Return the key under which the executions of one group are counted."""
    text = json.dumps([rule_id, sorted(group.items())], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def within_a_business(dimensions: Sequence[Dimension]) -> bool:
    """Tell whether all executions of a group are of one business."""
    return any(item.name in _OF_ONE_BUSINESS and not item.values for item in dimensions)


def _names() -> str:
    return "、".join([*LABELS, f"{_LABEL}<name>"])
