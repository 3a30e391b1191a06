"""Time windows of the week: {"from": "09:00", "to": "18:00", "days": [1, 2, 3, 4, 5]}, in the portal's time zone."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from django.utils import timezone
from django.utils.translation import gettext as _

from fta.matching.text import BadText

Clock: TypeAlias = Callable[[datetime], bool]
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]


def compile_hours(value: Any) -> Clock:
    """Compile one window or a list of windows; one that ends before it starts runs over midnight and belongs to the day it began.

    Raises BadText.
    """
    windows = [_window(item) for item in (value if isinstance(value, list) else [value])]
    return lambda at: any(window(timezone.localtime(at)) for window in windows)


def _window(value: Any) -> Clock:
    if not isinstance(value, Mapping) or set(value) - {"from", "to", "days"}:
        raise BadText("", _("请写 from、to（如 09:00）和 days（1 到 7，1 为周一）"))
    start, end = _clock(value.get("from", "00:00"), "from"), _clock(value.get("to", "24:00"), "to")
    days = _days(value.get("days", _EVERY_DAY))

    def holds(at: datetime) -> bool:
        moment = timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
        today, yesterday = at.isoweekday() in days, (at - timedelta(days=1)).isoweekday() in days
        if start < end:
            return today and start <= moment < end
        return (today and moment >= start) or (yesterday and moment < end)

    return holds


def _clock(value: Any, path: str) -> timedelta:
    text = str(value)
    if _CLOCK.fullmatch(text) is None:
        raise BadText(path, _("「%(value)s」不是时刻，例如 09:00") % {"value": text})
    if text == "24:00":
        return timedelta(days=1)
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def _days(value: Any) -> frozenset[int]:
    good = isinstance(value, list) and bool(value) and all(type(day) is int and 1 <= day <= 7 for day in value)
    if not good:
        raise BadText("days", _("请列出 1 到 7，1 为周一"))
    return frozenset(value)
