"""Sections of the configuration file that belong to notification."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fta.config.document import Run, Use
from fta.config.healing import read_match
from fta.config.reader import Reader
from fta.matching import validate_match
from fta.models import Duty, Person
from notify import selectors, transports
from notify.messages import is_pattern
from notify.models import Channel, NotificationRule, Template
from notify.templates import BadTemplate, check
from notify.transports.fields import COMMON, public, with_secrets


class Channels:
    name = "channels"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            kind = reader.choice("kind", transports.kinds(), required=True)
            values = {
                "kind": kind,
                "description": reader.text("description"),
                "enabled": reader.flag("enabled", True),
                "archived": False,
            }
            fallback = reader.text("fallback", limit=64)
            # What remains is the transport's own: it knows its keys.
            config = {key: value for key, value in reader.rest(COMMON).items() if value is not None}
            if not name or not kind:
                continue
            named.add(name)
            stored = Channel.objects.filter(name=name, kind=kind).first()
            config, complete = _filled_in(kind, config, stored.config if stored else {})
            values["enabled"] = values["enabled"] and complete  # where nobody knows the secrets it loads, switched off
            for field, message in transports.check(kind, config) if complete else ():
                reader.fault(field, message)
            run.upsert(Channel, {"name": name}, {**values, "config": config})
            run.later(partial(_fall_back, name, fallback, f"{reader.path}.fallback", run))
        run.leave_out(self.name, selectors.live_channels().exclude(name__in=named), archived=True, enabled=False)

    def export(self) -> Any:
        rows = Channel.objects.filter(archived=False).select_related("fallback")
        return [
            {
                "name": row.name,
                "kind": row.kind,
                **({"description": row.description} if row.description else {}),
                **({} if row.enabled else {"enabled": False}),
                **({"fallback": row.fallback.name} if row.fallback else {}),
                **public(transports.fields(row.kind), row.config),
            }
            for row in rows
        ]

    def uses(self) -> Iterator[Use]:
        for row in selectors.live_channels().select_related("fallback"):
            if row.fallback:
                yield Use("channels", row.fallback.name, "channel", row.name)
            if row.config.get("app"):
                yield Use("wecom", str(row.config["app"]), "channel", row.name)


def _fall_back(name: str, wanted: str, path: str, run: Run) -> None:
    """Set the channel that stands in for another, when all of them are there."""
    other = selectors.live_channels().filter(name=wanted).exclude(name=name).first() if wanted else None
    if wanted and other is None:
        run.errors.add(path, f'no other channel "{wanted}"')
        return
    run.upsert(Channel, {"name": name}, {"fallback": other})


def _filled_in(kind: str, config: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Put in the stored secrets that the file leaves out, as an export does; tell whether the channel can send.

    A list of names may be written as one text with commas.
    Groups whose address neither the file nor the database gives are left out.
    """
    filled, complete = with_secrets(transports.fields(kind), config, stored), True
    for field in transports.fields(kind):
        value = filled.get(field.name)
        if field.kind == "lines" and isinstance(value, str | int):
            filled[field.name] = selectors.listed(str(value))
        if field.kind == "secret" and field.required and not value:
            complete = False
        if field.kind == "groups" and isinstance(value, list):
            filled[field.name] = [group for group in value if not isinstance(group, dict) or group["webhook"]]
            complete &= bool(filled[field.name])
    return filled, complete


class Templates:
    name = "templates"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            values = {
                "event": reader.text("event", limit=64),
                "channel_kind": reader.choice("channel_kind", transports.kinds()),
                "body": reader.text("body", required=True, limit=8192),
                "archived": False,
            }
            reader.end()
            try:
                check(str(values["body"]))
            except BadTemplate as error:
                reader.fault("body", str(error))
            if name:
                named.add(name)
                run.upsert(Template, {"name": name}, values)
        run.leave_out(self.name, selectors.live_templates().exclude(name__in=named))

    def export(self) -> Any:
        fields = ("name", "event", "channel_kind", "body")
        rows = Template.objects.filter(archived=False)
        return [{field: getattr(row, field) for field in fields if getattr(row, field)} for row in rows]


class NotificationRules:
    name = "notification_rules"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            if name:
                named.add(name)
                self._apply_one(name, reader, run)
        gone = NotificationRule.objects.filter(archived=False).exclude(name__in=named)
        run.archive(gone, archived=True, enabled=False)

    def _apply_one(self, name: str, reader: Reader, run: Run) -> None:
        template = reader.text("template", limit=64)
        values: dict[str, Any] = {
            "events": reader.texts("events"),
            "match": read_match(reader),
            "hours": reader.mapping("hours"),
            "to": reader.items("to"),
            "template": Template.objects.filter(name=template, archived=False).first() if template else None,
            "throttle": reader.seconds("throttle", 0),
            "options": _options(reader),
            "send_resolved": reader.flag("send_resolved"),
            "enabled": reader.flag("enabled", True),
            "archived": False,
        }
        if template and values["template"] is None:
            reader.fault("template", f'no template "{template}"')
        for index, event in enumerate(values["events"]):
            if not is_pattern(event):
                run.errors.add(f"{reader.path}.events[{index}]", f'no event "{event}"')
        for problem in validate_match({"hours": values["hours"]}) if values["hours"] else ():
            run.errors.add(f"{reader.path}.{problem[0]}", problem[1])
        for index, item in enumerate(values["to"]):
            if fault := _unknown(item):
                run.errors.add(f"{reader.path}.to[{index}]", fault)
        row = run.upsert(NotificationRule, {"name": name}, values)
        run.set_many(row, "channels", _channels(reader, run))
        reader.end()

    def export(self) -> Any:
        return [
            {
                "name": row.name,
                "events": row.events,
                "channels": [channel.name for channel in row.channels.all()],
                "send_resolved": row.send_resolved,
                **({"match": row.match} if row.match else {}),
                **({"hours": row.hours} if row.hours else {}),
                **({"to": row.to} if row.to else {}),
                **({"template": row.template.name} if row.template else {}),
                **({"throttle": f"{row.throttle}s"} if row.throttle else {}),
                **row.options,
                **({} if row.enabled else {"enabled": False}),
            }
            for row in NotificationRule.objects.filter(archived=False).prefetch_related("channels")
        ]

    def uses(self) -> Iterator[Use]:
        for row in selectors.live_rules().select_related("template"):
            named = [("channels", channel.name) for channel in row.channels.all()]
            named += [("templates", row.template.name)] if row.template else []
            named += [("duties", each["duty"]) for each in row.to if isinstance(each, dict) and "duty" in each]
            yield from (Use(section, name, "notification rule", row.name) for section, name in named)


def _unknown(item: Any) -> str:
    """Return what is wrong with one of the receivers, or ''."""
    if isinstance(item, str):
        return "" if Person.objects.filter(user__username=item).exists() else f'no person "{item}"'
    if not isinstance(item, dict) or len(item) != 1 or not set(item) <= {"role", "duty"}:
        return "must be a username, {role: …} or {duty: …}"
    ((kind, name),) = item.items()
    if kind == "role":
        return (
            "" if name in selectors.RECEIVING_ROLES else f"role must be one of {', '.join(selectors.RECEIVING_ROLES)}"
        )
    return "" if Duty.objects.staffed().filter(name=name).exists() else f'no duty list "{name}" with people'


def _options(reader: Reader) -> dict[str, Any]:
    """Take how the rule groups and repeats; spans become seconds."""
    found: dict[str, Any] = {key: seconds for key in selectors.SPANS if (seconds := reader.seconds(key, None))}
    names = reader.texts("group_by")
    for index, name in enumerate(names):
        if not selectors.is_group(name):
            known = ", ".join(selectors.GROUPS)
            reader.fault(f"group_by[{index}]", f'cannot group by "{name}"; use {known} or the name of a label')
    return found | ({"group_by": names} if names else {})


def _channels(reader: Reader, run: Run) -> list[Channel]:
    names = reader.texts("channels")
    known = {channel.name: channel for channel in Channel.objects.filter(archived=False)}
    for index, name in enumerate(names):
        if name not in known:
            run.errors.add(f"{reader.path}.channels[{index}]", f'no channel "{name}"')
    return [known[name] for name in names if name in known]
