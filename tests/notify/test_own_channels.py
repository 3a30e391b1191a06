"""A 接入自愈 rule that names channels: they tell how its executions end, beside the notification rules."""

import pytest
from django.utils import timezone

from fta import signals
from fta.models import Execution, Person
from notify.models import Channel, Delivery
from tests import factories

pytestmark = pytest.mark.django_db


def ended(state: str, **notify: object) -> Execution:
    rule = factories.rule(notify=notify)
    now = timezone.now()
    run = factories.execution(alert=factories.alert(), rule=rule, state=state, started_at=now, ended_at=now)
    signals.announce(signals.execution_changed, execution=run, frm="running", to=state)
    return run


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("running", 0),
        ("succeeded", 1),
        ("almost_succeeded", 1),
        ("failed", 1),
        ("skipped", 1),
        ("unknown", 1),
        ("cancelled", 0),
    ],
)
def test_it_tells_how_executions_end(app_channel: Channel, robots: Channel, state: str, told: int) -> None:
    run = ended(state, channels=[app_channel.name], mail_maintainers=False)
    assert [row.channel for row in Delivery.objects.filter(execution=run)] == [app_channel] * told


def test_it_tells_nothing_by_channels_out_of_use(app_channel: Channel, operator: Person) -> None:
    Channel.objects.update(enabled=False)
    ended("succeeded", channels=[app_channel.name])
    assert not Delivery.objects.exists()
