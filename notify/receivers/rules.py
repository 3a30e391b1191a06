"""Apply the notification rules to an occasion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fta.models import Person
from notify import outbox, selectors
from notify.messages import Occasion
from notify.models import Channel, NotificationRule, Template
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
        group, people = group_of(rule, occasion), judging.receivers(rule, occasion, now)
        waits = waits_until(rule, group, now)  # once: the channels of a rule are told together
        for channel in channels:
            _post(channel, Told(f"r{rule.pk}", occasion, people, rule.template, group, waits), now)
    return told


def tell_as_ruled(occasion: Occasion, now: datetime) -> None:
    """Post the end of an execution by the channels that its own 接入自愈 rule names, whatever the notification rules say."""
    rule = occasion.execution.rule if occasion.execution else None
    if rule is None or not rule.told_by:
        return
    for channel in selectors.live_channels().filter(name__in=rule.told_by, enabled=True):
        _post(channel, Told(f"own{rule.pk}", occasion), now)


@dataclass(frozen=True)
class Told:
    """What a rule tells, before it is put into the form of a channel; `by` tells the rule from all others."""

    by: str
    occasion: Occasion
    people: list[Person] | None = None
    template: Template | None = None
    group: str = ""
    not_before: datetime | None = None


def _post(channel: Channel, told: Told, now: datetime) -> None:
    occasion = told.occasion
    for address in selectors.addresses(channel, told.people or ()):
        form = selectors.form_of(channel, address.kind)
        template = selectors.template_for(occasion.event, address.kind, told.template)
        message = compose(occasion, address.kind, form, now, template)
        outbox.post(
            dedup_key=f"{told.by}:c{channel.pk}:{address.part}:{occasion.event}:{occasion.key}",
            kind=address.kind,
            event=occasion.event,
            message=replace(message, mentions=address.mentions),
            recipients=address.recipients,
            channel=channel,
            alert=occasion.alert,
            execution=occasion.execution,
            approval_ref=occasion.approval.pk if occasion.approval else None,
            now=now,
            not_before=told.not_before,
            group=told.group,
            people=told.people,
        )
