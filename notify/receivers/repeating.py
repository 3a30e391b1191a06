"""Tell again of alerts that go on firing, as a rule's `repeat_interval` asks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from fta.models import Alert
from fta.models.engine import ConfigVersion
from notify.messages import Occasion
from notify.models import Delivery, NotificationRule
from notify.receivers.rules import enabled_rules, tell

EVENT = "alert.firing"
EVERY = timedelta(seconds=30)  # how often is looked: an interval is kept to this
AT_ONCE = 500  # alerts of one rule at one look; the others come at the next
_MARK = "repeats"


class RepeatKind:
    """Due every half minute, in one process."""

    name = "repeat"
    lane = "notify"

    def due(self, limit: int, now: datetime) -> list[int]:
        turn = int(now.timestamp() // EVERY.total_seconds())
        return [turn] if ConfigVersion.current(_MARK) < turn else []

    def do(self, pk: int) -> None:
        ConfigVersion.objects.get_or_create(kind=_MARK)
        if ConfigVersion.objects.filter(kind=_MARK, number__lt=pk).update(number=pk) != 1:
            return
        now = timezone.now()
        for rule in enabled_rules():
            if interval := rule.options.get("repeat_interval"):
                for alert in _unsaid(rule, now - timedelta(seconds=interval)):
                    turn = int(now.timestamp()) // interval
                    tell(Occasion(EVENT, f"alert:{alert.pk}:again:{turn}", alert=alert), now, [rule])


def _unsaid(rule: NotificationRule, since: datetime) -> Iterator[Alert]:
    """Return the alerts that fire and that the rule told of, but not since then."""
    told = Delivery.objects.filter(event=EVENT, dedup_key__startswith=f"r{rule.pk}:", alert__status=Alert.Status.FIRING)
    last = told.values("alert").annotate(last=Max("created_at")).filter(last__lte=since).order_by("alert")
    pks = list(last.values_list("alert", flat=True)[:AT_ONCE])
    yield from Alert.objects.filter(pk__in=pks).select_related("source", "host__business", "business").order_by("pk")
