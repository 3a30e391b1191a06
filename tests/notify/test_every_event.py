"""Every event that a rule may name: it happens, the rule that names it tells of it once, and no other rule does."""

import re
from typing import Any

import pytest

from notify.messages import EVENTS
from notify.models import Channel, ChannelKind, Delivery, NotificationRule
from tests.notify import happening
from tests.notify.happening import Happening

pytestmark = pytest.mark.django_db
CONFIGS: dict[str, dict[str, Any]] = {
    "wecom_app": {"to_user": ["lisi"]},
    "wecom_robot": {"groups": [{"name": "oncall", "webhook": "https://h/1"}]},
    "wecom_chat": {"chat_id": "FTAALERTS"},
    "email": {"to": ["lisi@example.com"]},
    "webhook": {"url": "https://h/2"},
}
IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
RECORDED = "system.fault"  # what the portal has on record is told in the words in which it was written down


def test_each_event_and_each_kind_of_channel_has_a_row() -> None:
    assert list(happening.EVENTS) == list(EVENTS)
    assert set(CONFIGS) == set(ChannelKind)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("event", EVENTS)
def test_it_is_told_once_by_the_rule_that_names_it(
    monkeypatch: pytest.MonkeyPatch, settings: Any, event: str, language: str
) -> None:
    settings.LANGUAGE_CODE = language
    happen, outcome, chinese, english = happening.EVENTS[event]
    channels = [Channel.objects.create(name=kind, kind=kind, config=config) for kind, config in CONFIGS.items()]
    rules = {name: NotificationRule.objects.create(name=name, events=[name]) for name in EVENTS}
    for rule in rules.values():
        rule.channels.set(channels)

    happen(Happening(monkeypatch, outcome or "succeeded"))

    told = Delivery.objects.filter(dedup_key__startswith=f"r{rules[event].pk}:")
    assert sorted(told.values_list("kind", "event")) == sorted((kind, event) for kind in CONFIGS)
    messages = {row.kind: row.payload["message"] for row in told}
    assert all(message["title"] and message["text"] for message in messages.values())
    title = messages["wecom_app"]["title"]
    assert (english if language == "en" else chinese) in title
    assert language != "en" or event == RECORDED or not IDEOGRAPH.search(title)
    for name, rule in rules.items():
        others = Delivery.objects.filter(dedup_key__startswith=f"r{rule.pk}:").exclude(event=name)
        assert not others.exists(), name
