"""Which notification rules cover an occasion, and who would hear of it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.utils.translation import gettext as _

from fta.matching import Condition, InvalidMatch, Subject, compile_match
from fta.models import Business, Host, Person
from notify import selectors
from notify.messages import Occasion, covers
from notify.models import Channel, Delivery, NotificationRule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hearing:
    """What one rule makes of an occasion: why it tells nobody ("" when it tells), else by which channel whom."""

    rule: NotificationRule
    why_not: str
    ways: tuple[tuple[str, str], ...] = ()  # channel, receivers


def applies(rule: NotificationRule, occasion: Occasion, now: datetime) -> bool:
    """Tell whether the rule tells of the occasion at this moment."""
    return not why_not(rule, occasion, now)


def why_not(rule: NotificationRule, occasion: Occasion, now: datetime) -> str:
    """Return in words why the rule does not tell of the occasion at this moment, "" when it does."""
    if not covers(rule.events, occasion.event) and not _told_before(rule, occasion):
        return _("不含这类事件")
    try:
        if rule.hours and not _compiled(json.dumps({"hours": rule.hours})).holds(Subject({}, now)):
            return _("不在通知时段")
        if not rule.match:
            return ""
        if not _compiled(json.dumps(rule.match)).holds(_subject(occasion, now)):
            return _("条件不符")
    except InvalidMatch as error:
        logger.warning("Notification rule %s cannot be used: %s", rule.name, error)
        return _("条件无效：%(error)s") % {"error": error}
    return ""


def hearings(occasion: Occasion, now: datetime) -> Iterator[Hearing]:
    """Say of every enabled rule whether it would tell of the occasion now, and whom."""
    for rule in selectors.live_rules().filter(enabled=True).order_by("id"):
        if reason := why_not(rule, occasion, now):
            yield Hearing(rule, reason)
            continue
        people = receivers(rule, occasion, now)
        found = tuple((channel.name, selectors.reached(channel, people)) for channel in ways(rule))
        yield Hearing(rule, "" if found else _("没有启用的通知服务"), found)


def ways(rule: NotificationRule) -> list[Channel]:
    """Return the rule's channels that are in use."""
    return [channel for channel in rule.channels.all() if channel.enabled and not channel.archived]


def receivers(rule: NotificationRule, occasion: Occasion, now: datetime) -> list[Person] | None:
    """Return the people whom the rule names for the occasion; None when it leaves that to its channels."""
    return selectors.people(rule.to, business_of(occasion), host_of(occasion), now) if rule.to else None


def _subject(occasion: Occasion, now: datetime) -> Subject:
    """Return what conditions look at: the alert, else what is known of the business and the host."""
    if occasion.alert is not None:
        return Subject.of(occasion.alert)
    business, host, run = business_of(occasion), host_of(occasion), occasion.execution
    fields = {
        "alert_type": run.alert_type if run else "",
        "business": business.code if business else "",
        "set": host.set_name if host else "",
        "module": host.module if host else "",
        "ip": host.ip if host else "",
        "host": host.name if host else "",
    }
    return Subject({name: (word,) if word else () for name, word in fields.items()}, now)


def business_of(occasion: Occasion) -> Business | None:
    """Return the business that the occasion belongs to."""
    for thing in (occasion.execution, occasion.alert, occasion.incident):
        if thing is not None and thing.business is not None:
            return thing.business
    return occasion.business


def host_of(occasion: Occasion) -> Host | None:
    """Return the host that the occasion is about."""
    thing = occasion.execution or occasion.alert
    return thing.host if thing is not None else None


def _told_before(rule: NotificationRule, occasion: Occasion) -> bool:
    """Tell whether this is the recovery of an alert that the rule told of, and recoveries are wanted."""
    if occasion.event != "alert.resolved" or not rule.send_resolved:
        return False
    return Delivery.objects.filter(alert=occasion.alert, dedup_key__startswith=f"r{rule.pk}:").exists()


@lru_cache(maxsize=512)
def _compiled(match: str) -> Condition:
    return compile_match(json.loads(match))
