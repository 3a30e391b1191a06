"""Shields (屏蔽): windows in which matching alerts are recorded and not healed."""

import logging
from datetime import datetime, timedelta
from functools import lru_cache

from django.utils import timezone
from django.utils.translation import gettext as _

from fta import signals
from fta.matching.condition import Condition, InvalidMatch, compile_match
from fta.matching.subject import Subject
from fta.models import ConfigVersion, Shield

logger = logging.getLogger(__name__)

_PERIODS = {Shield.Repeat.DAILY: timedelta(days=1), Shield.Repeat.WEEKLY: timedelta(days=7)}


def shield_for(subject: Subject, now: datetime) -> int | None:
    """Return the id of the first shield that is in force at `now` and covers the alert, or None."""
    for shield, condition in _compiled(ConfigVersion.current("shields")):
        if in_force(shield, now) and condition.holds(subject):
            return shield.pk
    return None


def outlasts_its_period(starts_at: datetime, ends_at: datetime, repeat: str) -> bool:
    """Tell whether one window reaches beyond the beginning of the next, so that the shield would never end."""
    period = _PERIODS.get(Shield.Repeat(repeat))
    return period is not None and timezone.make_naive(ends_at) - timezone.make_naive(starts_at) > period


def in_force(shield: Shield, now: datetime) -> bool:
    """Tell whether `now` is inside the shield's window; a daily or weekly one comes back at the same wall-clock time."""
    period = _PERIODS.get(Shield.Repeat(shield.repeat))
    if period is None:
        return shield.starts_at <= now < shield.ends_at
    if now < shield.starts_at:
        return False
    wall, first, last = (timezone.make_naive(moment) for moment in (now, shield.starts_at, shield.ends_at))
    return (wall - first) % period < last - first


@lru_cache(maxsize=1)
def _compiled(version: int) -> list[tuple[Shield, Condition]]:
    compiled = []
    for shield in Shield.objects.filter(enabled=True, archived=False).order_by("id"):
        try:
            compiled.append((shield, compile_match(shield.match)))
        except InvalidMatch as error:
            logger.exception("Unable to compile shield %s", shield.pk)
            text = _("屏蔽「%(name)s」的条件有误，已略过：%(error)s") % {"name": shield.name, "error": error}
            signals.announce(signals.system_fault, text=text, subject=f"shield:{shield.pk}")
    return compiled
