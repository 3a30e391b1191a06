"""Apply the notification rules to an occasion."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from fta.matching import Condition, InvalidMatch, Subject, compile_match
from fta.models import Business
from notify import outbox, selectors
from notify.messages import Occasion, covers
from notify.models import Channel, Delivery, NotificationRule
from notify.receivers.grouping import group_of, waits_until
from notify.services import compose

logger = logging.getLogger(__name__)


def enabled_rules() -> list[NotificationRule]:
    """Return the rules in use with their channels, for many occasions at once."""
    return list(selectors.live_rules().filter(enabled=True).select_related("template").order_by("id"))


def tell(occasion: Occasion, now: datetime, enabled: Sequence[NotificationRule] | None = None) -> int:
    """Post the occasion as every rule that covers it wants; return how many rules did."""
    rules = [rule for rule in (enabled_rules() if enabled is None else enabled) if _applies(rule, occasion, now)]
    for rule in rules:
        for channel in rule.channels.all():
            if channel.enabled and not channel.archived:
                _post(rule, channel, occasion, now)
    return len(rules)


def business_of(occasion: Occasion) -> Business | None:
    """Return the business that the occasion belongs to."""
    for thing in (occasion.execution, occasion.alert, occasion.incident):
        if thing is not None and thing.business is not None:
            return thing.business
    return occasion.business


def _applies(rule: NotificationRule, occasion: Occasion, now: datetime) -> bool:
    if not covers(rule.events, occasion.event) and not _told_before(rule, occasion):
        return False
    try:
        if rule.hours and not _compiled(json.dumps({"hours": rule.hours})).holds(Subject({}, now)):
            return False
        if not rule.match:
            return True
        return occasion.alert is not None and _compiled(json.dumps(rule.match)).holds(Subject.of(occasion.alert))
    except InvalidMatch as error:
        logger.warning("Notification rule %s cannot be used: %s", rule.name, error)
        return False


def _told_before(rule: NotificationRule, occasion: Occasion) -> bool:
    """Tell whether this is the recovery of an alert that the rule told of, and recoveries are wanted."""
    if occasion.event != "alert.resolved" or not rule.send_resolved:
        return False
    return Delivery.objects.filter(alert=occasion.alert, dedup_key__startswith=f"r{rule.pk}:").exists()


@lru_cache(maxsize=512)
def _compiled(match: str) -> Condition:
    return compile_match(json.loads(match))


def _post(rule: NotificationRule, channel: Channel, occasion: Occasion, now: datetime) -> None:
    people = selectors.people(rule.to, business_of(occasion))
    group = group_of(rule, occasion)
    not_before = waits_until(rule, group, now)
    for address in selectors.addresses(channel, people):
        form = selectors.form_of(channel, address.kind)
        template = selectors.template_for(occasion.event, address.kind, rule.template)
        message = compose(occasion, address.kind, form, now, template)
        outbox.post(
            dedup_key=f"r{rule.pk}:c{channel.pk}:{address.part}:{occasion.event}:{_key(rule, occasion, now)}",
            kind=address.kind,
            event=occasion.event,
            message=replace(message, mentions=address.mentions),
            recipients=address.recipients,
            channel=channel,
            alert=occasion.alert,
            execution=occasion.execution,
            approval_ref=occasion.approval.pk if occasion.approval else None,
            now=now,
            not_before=not_before,
            group=group,
        )


def _key(rule: NotificationRule, occasion: Occasion, now: datetime) -> str:
    """Return what tells one telling from another; a throttled rule tells of like things once in each span of time."""
    span = rule.throttle or rule.options.get("repeat_interval")
    if not span:
        return occasion.key
    alert = occasion.alert
    topic = f"{alert.alert_type}:{alert.target}" if alert else occasion.key
    return f"{topic}:{int(now.timestamp()) // span}"
