"""Grouping of a notification rule: like things wait a little for each other, and are told no more often than asked."""

from datetime import datetime, timedelta
from hashlib import sha256

from django.db import transaction

from notify.messages import Occasion
from notify.models import GroupClock, NotificationRule

_KEY_LENGTH = 160
_KEPT = timedelta(days=30)


def group_of(rule: NotificationRule, occasion: Occasion) -> str:
    """Return the name of the group that the occasion falls into; '' when the rule does not group."""
    if not (rule.options.get("group_wait") or rule.options.get("group_interval")):
        return ""
    names = rule.options.get("group_by") or []
    return f"group:{rule.pk}:" + "|".join(_value(occasion, str(name)) for name in names)


@transaction.atomic
def throttled(rule: NotificationRule, occasion: Occasion, now: datetime) -> bool:
    """Tell whether the rule told of a like thing less than its `throttle` ago; if not, it does now.

    What is about no alert and no execution is like nothing else.
    """
    alert, run = occasion.alert, occasion.execution
    if not rule.throttle or (alert is None and run is None):
        return False
    topic = f"{alert.alert_type}:{alert.target}" if alert else f"{run.package_id}@{run.host_id}" if run else ""
    clocks = GroupClock.objects.select_for_update()
    name = _named(f"throttle:{rule.pk}:{occasion.event}:{topic}")
    clock, first = clocks.get_or_create(group=name, defaults={"told_at": now})
    if first:
        _forget_old(now)
    elif now < clock.told_at + timedelta(seconds=rule.throttle):
        return True
    else:
        clock.told_at = now
        clock.save(update_fields=["told_at"])
    return False


@transaction.atomic
def waits_until(rule: NotificationRule, group: str, now: datetime) -> datetime | None:
    """Return when the group is told, as Alertmanager counts it; None when the rule does not group.

    The first of a group waits `group_wait`, and what comes meanwhile goes with it. What comes later waits until
    `group_interval` after the group was told; a group that was silent for longer begins anew.
    """
    if not group:
        return None
    soon = now + timedelta(seconds=rule.options.get("group_wait") or 0)
    clocks = GroupClock.objects.select_for_update()
    clock, first = clocks.get_or_create(group=_named(group), defaults={"told_at": soon})
    if first:
        _forget_old(now)
    if first or clock.told_at > now:
        return clock.told_at
    next_at = clock.told_at + timedelta(seconds=rule.options.get("group_interval") or 0)
    clock.told_at = next_at if next_at > now else soon
    clock.save(update_fields=["told_at"])
    return clock.told_at


def _forget_old(now: datetime) -> None:
    GroupClock.objects.filter(told_at__lt=now - _KEPT).delete()


def _named(group: str) -> str:
    """Return a group's name as the column holds it: a long one is cut, and its hash keeps it unique."""
    return group if len(group) <= _KEY_LENGTH else f"{group[:127]}#{sha256(group.encode()).hexdigest()[:32]}"


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
    if name in ("set", "module"):
        return str(getattr(alert.host, "set_name" if name == "set" else "module")) if alert.host else ""
    return str((alert.labels or {}).get(name.removeprefix("labels."), ""))
