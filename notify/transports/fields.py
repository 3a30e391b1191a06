"""What a transport declares of its channels' configuration; the page, the API and the configuration file follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext as _

Kind = Literal[
    "text",
    "lines",  # a list of names, one a line on the page
    "choice",
    "secret",  # a text that is never shown again
    "groups",  # a list of {name, webhook, mentions}; the webhook is never shown again
]
COMMON = frozenset(
    {"name", "kind", "description", "enabled", "fallback"}
)  # what every channel has: no name for a field


@dataclass(frozen=True)
class Field:
    """One key of the configuration. Of a choice the first is the one that goes without saying."""

    name: str
    label: str | Promise
    kind: Kind = "text"
    help: str | Promise = ""
    required: bool = False
    choices: Sequence[tuple[str, str | Promise]] = ()


def public(fields: Sequence[Field], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be shown of a configuration: only what is declared, and no secrets."""
    shown = {field.name: config[field.name] for field in fields if field.kind != "secret" and field.name in config}
    for field in fields:
        if field.kind == "groups" and field.name in shown:
            groups = shown[field.name]
            shown[field.name] = [{key: group[key] for key in ("name", "mentions") if key in group} for group in groups]
    return shown


def with_secrets(fields: Sequence[Field], config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the stored secrets in it where it gives none of its own, as pages and exports do."""
    filled = dict(config)
    for field in fields:
        if field.kind == "secret" and not filled.get(field.name) and stored.get(field.name):
            filled[field.name] = stored[field.name]
        if field.kind == "groups" and isinstance(filled.get(field.name), list):
            known = {group["name"]: group["webhook"] for group in stored.get(field.name) or []}
            filled[field.name] = [_with_webhook(group, known) for group in _split(filled[field.name])]
    return filled


def _split(groups: Sequence[Any]) -> list[Any]:
    """Return groups one by one where several were written as one: names joined by &, and a list of as many webhooks.

    One webhook for several names stays one group: a robot may be in several chats, and sends into all of them.
    """
    found: list[Any] = []
    for group in groups:
        hooks = group.get("webhook") if isinstance(group, dict) else None
        names = [name.strip() for name in str(group.get("name", "")).split("&")] if isinstance(hooks, list) else []
        if isinstance(hooks, list) and len(names) == len(hooks):
            found += [{**group, "name": name, "webhook": hook} for name, hook in zip(names, hooks, strict=True)]
        else:
            found.append(group)
    return found


def _with_webhook(group: Any, known: Mapping[str, str]) -> Any:
    if not isinstance(group, dict) or group.get("webhook"):
        return group
    return group | {"webhook": known.get(str(group.get("name")), "")}


def misfits(fields: Sequence[Field], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (field, Chinese message) for what lacks, for values of the wrong shape, and for keys that nobody declared."""
    known = {field.name: field for field in fields}
    found = [(field.name, _("这一项必填。")) for field in fields if field.required and not config.get(field.name)]
    for name, value in config.items():
        if name not in known:
            found.append((name, _("没有这一项；可用的是 %(names)s。") % {"names": "、".join(known)}))
        elif value not in (None, "", []):
            found += [(name, problem) for problem in [_misfit(known[name], value)] if problem]
    return found


def _misfit(field: Field, value: Any) -> str:
    if field.kind == "groups":
        if not isinstance(value, list) or not all(isinstance(group, dict) and group.get("name") for group in value):
            return _("应为一列群，每个有 name 与 webhook。")
        uneven = next((group["name"] for group in value if isinstance(group.get("webhook"), list)), "")
        names = [group["name"] for group in value]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            return _("群名“%(name)s”出现了两次。") % {"name": twice}
        return _("“%(name)s”里的群名与 Webhook 地址个数不同。") % {"name": uneven} if uneven else ""
    if field.kind == "lines":
        fits = isinstance(value, list) and all(isinstance(item, str | int) for item in value)
        return "" if fits else _("应为一列文字。")
    if not isinstance(value, str | int):
        return _("应为文字。")
    if field.kind == "choice" and value not in dict(field.choices):
        return _("只能是 %(values)s 之一。") % {"values": "、".join(value for value, _label in field.choices)}
    return ""
