"""Grouping of a notification rule: like things wait a little for each other, and a group is told no more often than asked."""

from datetime import UTC, datetime, timedelta

from notify.messages import Occasion
from notify.models import Allowance, NotificationRule

_KEY_LENGTH = 160


def group_of(rule: NotificationRule, occasion: Occasion) -> str:
    """Return the name of the group that the occasion falls into; '' when the rule does not group."""
    if not (rule.options.get("group_wait") or rule.options.get("group_interval")):
        return ""
    names = rule.options.get("group_by") or []
    return f"group:{rule.pk}:" + "|".join(_value(occasion, str(name)) for name in names)


def waits_until(rule: NotificationRule, group: str, now: datetime) -> datetime | None:
    """Return when the group may be told: after `group_wait` for its first, at the end of `group_interval` for later ones."""
    if not group:
        return None
    soon = now + timedelta(seconds=rule.options.get("group_wait") or 0)
    every = max(60, rule.options["group_interval"]) if rule.options.get("group_interval") else 0
    if not every:
        return soon
    begin = int(now.timestamp()) // every * every
    _row, first = Allowance.objects.get_or_create(key=group[:_KEY_LENGTH], minute=begin // 60)
    return soon if first else max(soon, datetime.fromtimestamp(begin + every, UTC))


def _value(occasion: Occasion, name: str) -> str:
    alert, run = occasion.alert, occasion.execution
    if name == "event":
        return occasion.event
    if name == "package":
        return str(run.package_id) if run else ""
    if alert is None:
        return ""
    if name in ("alert_type", "severity", "target"):
        return str(getattr(alert, name))
    if name in ("business", "host", "source"):
        return str(getattr(alert, f"{name}_id"))
    return str((alert.labels or {}).get(name.removeprefix("labels."), ""))
