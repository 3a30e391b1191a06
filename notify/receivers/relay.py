"""Hand on what Grafana says to the channels that its source names, as the relay did that people had before."""

from typing import Any

from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.models import Source
from notify import outbox, selectors
from notify.message import Message
from notify.messages import clean, clean_lines

EVENT = "source.relayed"


@receiver(signals.relayed)
def on_relayed(source: Source, key: str, said: Any, **kwargs: Any) -> None:
    """Post a news card with title, message, link and picture by each channel; without a link it is a text with both."""
    now = timezone.now()
    found = list(selectors.live_channels().filter(name__in=source.relay_to, enabled=True))
    if lacking := set(source.relay_to) - {channel.name for channel in found}:
        names = "、".join(sorted(lacking))
        why = _("告警源「%(source)s」要转发到的通知服务不存在或已停用：%(names)s") % {
            "source": source.name,
            "names": names,
        }
        signals.announce(signals.system_fault, text=why, subject=f"relay:{source.pk}")
    for channel in found:
        for address in selectors.addresses(channel, ()):
            # The link is what people want of it; the words are an alert's, and no place for one more.
            title = clean(said.title, address.kind, "news")
            text = clean_lines(said.text, address.kind, "news")
            outbox.post(
                dedup_key=f"relay:{channel.pk}:{address.part}:{key}",
                kind=address.kind,
                event=EVENT,
                message=Message("news", title, text, said.url, said.picture),
                recipients=address.recipients,
                channel=channel,
                now=now,
            )
