"""What an alert source must be, for the admin and the configuration file alike."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from fta.config import references
from fta.config.people import business_named
from fta.config.reader import Reader
from fta.intake.sources import PARSERS
from fta.intake.sources.settings import SCALE, are_networks, is_zone, option_faults
from fta.models import Source

SHORTEST_SECRET = 16


def source_values(reader: Reader) -> dict[str, Any]:
    """Take everything of a source but its name and its secret; channels that it relays to are looked up later."""
    options = reader.mapping("options")
    values = {
        "kind": reader.choice("kind", sorted(PARSERS), required=True),
        "app_id": reader.text("app_id", limit=64),
        "business": business_named(reader),
        "time_zone": reader.zone("time_zone"),
        "cidrs": _cidrs(reader),
        "relay_to": reader.texts("relay_to"),
        "options": folded(options),
        "enabled": reader.flag("enabled", True),
        "archived": False,
    }
    for path, message in option_faults(options):
        reader.fault(path, message)
    return values


def check_relay(names: Sequence[str], reader: Reader) -> None:
    """Complain about channels to relay to that are not there."""
    for index, message in references.channel_faults(names):
        reader.fault(f"relay_to[{index}]", message)


def source_out(row: Source) -> dict[str, Any]:
    """Return a source as `source_values` takes it, with its name."""
    item = {name: getattr(row, name) for name in ("name", "kind", "app_id")}
    item["business"] = row.business.code if row.business else ""
    item.update({name: getattr(row, name) for name in ("time_zone", "cidrs", "relay_to", "options")})
    item.update({} if row.enabled else {"enabled": False})
    return {key: value for key, value in item.items() if value not in ("", [], {})}


def _cidrs(reader: Reader) -> list[str]:
    found = []
    for index, text in enumerate(reader.texts("cidrs")):
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            reader.errors.add(f"{reader.path}.cidrs[{index}]", f'"{text}" is no network; 192.0.2.0/24 is one')
    return found


def folded(options: Any) -> Any:
    """Return options with the sender's words as they are looked up, without regard to case."""
    scale = options.get(SCALE) if isinstance(options, Mapping) else None
    if not isinstance(scale, Mapping):
        return options
    return {**options, SCALE: {str(word).strip().casefold(): ours for word, ours in scale.items()}}


def source_faults(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with a source that a form has read, by its field."""
    found = {}
    if values.get("kind") not in PARSERS:
        found["kind"] = _("类型只能是 %s 之一") % "、".join(sorted(PARSERS))
    if not is_zone(values.get("time_zone")):
        found["time_zone"] = _("没有这个时区，应如 Asia/Shanghai")
    if not are_networks(values.get("cidrs")):
        found["cidrs"] = _('应为网段的列表，如 ["192.0.2.0/24"]')
    found.update(("options", f"{path}: {message}") for path, message in option_faults(values.get("options") or {}))
    names = values.get("relay_to") or []
    if not isinstance(names, list) or any(message for _at, message in references.channel_faults(names)):
        found["relay_to"] = _("应为通知服务名称的列表，现有：%s") % "、".join(references.channels())
    return found
