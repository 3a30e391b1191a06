"""Small texts that pages put together from rows."""

import json
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

DIMENSIONS: dict[str, Promise] = {
    "host": _("主机"),
    "set": _("集群"),
    "module": _("模块"),
    "business": _("业务"),
    "alert_type": _("告警类型"),
    "package": _("套餐"),
    "source": _("告警源"),
    "severity": _("级别"),
}


def dimensions_text(dimensions: Any) -> list[tuple[str, str]]:
    """Return the dimension values of an incident as (word, value)."""
    if not isinstance(dimensions, Mapping):
        return []
    return [(str(DIMENSIONS.get(str(name), name)), _plain(value)) for name, value in dimensions.items()]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def pretty(value: Any) -> str:
    """Return a JSON value as indented text."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
