"""Replacements in a duty list: guard, change and audit under the row's lock, whatever else of the list would need an editor."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.dateparse import parse_datetime

from fta.config import editing
from fta.models import Duty

KEPT = timedelta(days=30)  # how long a replacement that is over stays on record


class NoSuchReplacement(Exception):
    """It was changed or taken back meanwhile."""


@transaction.atomic
def arrange(duty: Duty, replacement: dict[str, str], actor: str, now: datetime) -> None:
    """Let somebody take the duty for a while; of two that overlap the latest word counts, as `on_duty` takes the first."""
    duty = Duty.objects.select_for_update().get(pk=duty.pk)
    kept = [each for each in duty.overrides if ends(each) > now - KEPT]
    Duty.objects.filter(pk=duty.pk).update(overrides=[replacement, *kept])
    editing.noted(duty, actor, "replace", now, replacement=replacement)


@transaction.atomic
def take_back(duty: Duty, key: str, actor: str, now: datetime) -> None:
    """Take a replacement back. Raises NoSuchReplacement."""
    duty = Duty.objects.select_for_update().get(pk=duty.pk)
    gone = next((each for each in duty.overrides if key_of(each) == key), None)
    if gone is None:
        raise NoSuchReplacement(key)
    Duty.objects.filter(pk=duty.pk).update(overrides=[each for each in duty.overrides if each is not gone])
    editing.noted(duty, actor, "take_back", now, replacement=gone)


def key_of(replacement: dict[str, str]) -> str:
    """Return what names a replacement within its list."""
    return "/".join(replacement[part] for part in ("person", "from", "to"))


def ends(replacement: dict[str, str]) -> datetime:
    """Return when a replacement is over."""
    found = parse_datetime(replacement["to"])
    if found is None:
        raise ValueError(replacement["to"])
    return found
