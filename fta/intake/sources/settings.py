"""How a source may be set up for its alerts to be read, whoever wrote the row: a file, the admin, or an older version."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

from fta.models import Source

SEVERITIES = ("critical", "error", "warning", "info")
SCALE = "severity"  # the option that every kind has: a word of the sender -> one of ours


def option_faults(options: Any) -> list[tuple[str, str]]:
    """Return (path, words) of what is wrong with the options of a source: alerts are read by them, at the door."""
    if not isinstance(options, Mapping):
        return [("options", _("应为一组键值"))]
    found = [(f"options.{name}", _("没有这一项；可用的是 %s") % SCALE) for name in options if name != SCALE]
    return found + _scale_faults(options.get(SCALE, {}))


def _scale_faults(scale: Any) -> list[tuple[str, str]]:
    if not isinstance(scale, Mapping):
        return [(f"options.{SCALE}", _("应为一组键值，如 {Sev1: critical}"))]
    wrong = _("级别只能是 %s 之一") % "、".join(SEVERITIES)
    return [(f"options.{SCALE}.{word}", wrong) for word, ours in scale.items() if ours not in SEVERITIES]


def is_zone(name: Any) -> bool:
    """Tell whether there is a time zone of this name; "" is the portal's."""
    try:
        return bool(not name or ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):  # OSError: the name of a folder
        return False


def are_networks(cidrs: Any) -> bool:
    """Tell whether these are networks, in a list."""
    try:
        return isinstance(cidrs or [], list) and all(ipaddress.ip_network(each, strict=False) for each in cidrs or ())
    except (TypeError, ValueError):
        return False


def reading_faults(source: Source) -> list[tuple[str, str]]:
    """Return (path, words) of what keeps the alerts of a stored source from being read."""
    zone = [] if is_zone(source.time_zone) else [("time_zone", _("没有这个时区，应如 Asia/Shanghai"))]
    options = source.options or {}
    if not isinstance(options, Mapping):
        return zone + option_faults(options)
    return zone + _scale_faults(options.get(SCALE) or {})


def stored_faults(source: Source) -> list[tuple[str, str]]:
    """Return (path, words) of all that is wrong with how a stored source is set up."""
    networks = [] if are_networks(source.cidrs) else [("cidrs", _('应为网段的列表，如 ["192.0.2.0/24"]'))]
    return list(dict.fromkeys([*networks, *reading_faults(source), *option_faults(source.options or {})]))
