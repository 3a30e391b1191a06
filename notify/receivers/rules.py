"""Apply the notification rules to an occasion."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from notify import outbox, selectors
from notify.messages import Occasion
from notify.models import Channel, NotificationRule
from notify.receivers.grouping import group_of, waits_until
from notify.services import compose, judging


def enabled_rules() -> list[NotificationRule]:
    """Return the rules in use with their channels, for many occasions at once."""
    return list(selectors.live_rules().filter(enabled=True).select_related("template").order_by("id"))


def tell(occasion: Occasion, now: datetime, enabled: Sequence[NotificationRule] | None = None) -> int:
    """Post the occasion as every rule that covers it wants; return how many rules did."""
    rules = [rule for rule in (enabled_rules() if enabled is None else enabled) if judging.applies(rule, occasion, now)]
    for rule in rules:
        for channel in rule.channels.all():
            if channel.enabled and not channel.archived:
                _post(rule, channel, occasion, now)
    return len(rules)


def _post(rule: NotificationRule, channel: Channel, occasion: Occasion, now: datetime) -> None:
    people = selectors.people(rule.to, judging.business_of(occasion), judging.host_of(occasion), now)
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
    span = rule.throttle
    if not span:
        return occasion.key
    alert = occasion.alert
    topic = f"{alert.alert_type}:{alert.target}" if alert else occasion.key
    return f"{topic}:{int(now.timestamp()) // span}"
