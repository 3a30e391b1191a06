"""Apply the notification rules to an occasion."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from notify import outbox, selectors
from notify.messages import Occasion
from notify.models import Channel, NotificationRule
from notify.receivers.grouping import group_of, throttled, waits_until
from notify.services import compose, judging


def enabled_rules() -> list[NotificationRule]:
    """Return the rules in use with their channels, for many occasions at once."""
    return list(selectors.live_rules().filter(enabled=True).select_related("template").order_by("id"))


def tell(occasion: Occasion, now: datetime, enabled: Sequence[NotificationRule] | None = None) -> int:
    """Post the occasion as every rule that covers it wants; return by how many channels they tell of it.

    A rule all of whose channels are out of use tells nobody. One that is throttled has told already.
    """
    told = 0
    for rule in enabled_rules() if enabled is None else enabled:
        channels = judging.ways(rule)
        if not channels or not judging.applies(rule, occasion, now):
            continue
        told += len(channels)
        if throttled(rule, occasion, now):
            continue
        group = group_of(rule, occasion)
        not_before = waits_until(rule, group, now)  # once: the channels of a rule are told together
        for channel in channels:
            _post(rule, channel, occasion, now, group, not_before)
    return told


def _post(
    rule: NotificationRule, channel: Channel, occasion: Occasion, now: datetime, group: str, not_before: datetime | None
) -> None:
    people = judging.receivers(rule, occasion, now)
    for address in selectors.addresses(channel, people or ()):
        form = selectors.form_of(channel, address.kind)
        template = selectors.template_for(occasion.event, address.kind, rule.template)
        message = compose(occasion, address.kind, form, now, template)
        outbox.post(
            dedup_key=f"r{rule.pk}:c{channel.pk}:{address.part}:{occasion.event}:{occasion.key}",
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
            people=people,
        )
