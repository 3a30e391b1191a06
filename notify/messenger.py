"""The messenger of notify nodes (FTA_MESSENGER)."""

import re
from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from fta.healing.plan import nodes_of
from fta.models import Person, StepRun
from notify import outbox, selectors
from notify.messages import Occasion, clean_between
from notify.messages.facts import link
from notify.models import Channel, ChannelKind, Delivery
from notify.selectors import Address
from notify.services import build

EVENT = "step.message"
_VARIABLE = re.compile(r"\$\{[^{}]*\}")  # as fta.healing.variables reads them


class Messenger:
    """Sends what a package's author wrote, with the step's values filled in already."""

    def tell(self, step: StepRun, message: str, channels: Sequence[str], to: Sequence[str], now: datetime) -> list[int]:
        """Write a delivery for each channel and group; without channels the people are told through the WeCom application.

        Raises ValueError naming a channel that does not exist or is switched off, or when nobody would be told.
        """
        found = [self._channel(name) for name in channels]
        people = selectors.people_called(to)
        ways: list[tuple[Channel | None, Address]] = [
            (channel, address) for channel in found for address in selectors.addresses(channel, people)
        ]
        if not found:
            userids = tuple(person.wecom_userid for person in people if person.wecom_userid)
            if not userids:
                raise ValueError(_("通知节点没有可用的通知服务或接收人。"))
            ways = [(None, Address(ChannelKind.WECOM_APP, userids))]
        named = people if to else None
        return [self._post(step, message, channel, address, named, now) for channel, address in ways]

    def _channel(self, name: str) -> Channel:
        channel = selectors.live_channels().filter(name=name, enabled=True).first()
        if channel is None:
            raise ValueError(_("没有名为“%(name)s”的可用通知服务。") % {"name": name})
        return channel

    def _post(
        self,
        step: StepRun,
        text: str,
        channel: Channel | None,
        address: Address,
        people: Sequence[Person] | None,
        now: datetime,
    ) -> int:
        run = step.execution
        form = selectors.form_of(channel, address.kind)
        safe = clean_between(_written(step), text, address.kind, form)
        lines = [line for line in safe.splitlines() if line.strip()] or [""]
        url = link(Occasion(EVENT, "", alert=run.alert, execution=run))
        key = f"step:{step.idem_key}:{channel.pk if channel else ''}:{address.part}"
        posted = outbox.post(
            dedup_key=key,
            kind=address.kind,
            event=EVENT,
            message=build(lines[0], lines[1:], url, form),
            recipients=address.recipients,
            channel=channel,
            alert=run.alert,
            execution=run,
            people=people,
            now=now,
        )
        return posted.pk if posted else Delivery.objects.values_list("pk", flat=True).get(dedup_key=outbox.key(key))


def _written(step: StepRun) -> list[str]:
    """Return what the package's author wrote of the message, taken apart at its variables."""
    nodes = nodes_of(step.execution.plan) if step.execution.plan else ()
    node = next((each for each in nodes if each.id == step.node), None)
    return _VARIABLE.split(str((node.params or {}).get("message") or "")) if node else [""]
