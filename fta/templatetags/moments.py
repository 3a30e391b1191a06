"""Times and spans as people read them: pure functions of (value, now), in the portal's zone."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

DAY = 86400
HOUR = 3600
MINUTE = 60
_TWO_UNITS = ((DAY, HOUR), (HOUR, MINUTE), (MINUTE, 1))


def moment_text(value: datetime, now: datetime) -> str:
    """Return ``14:05:12`` for today, ``11-22 14:05`` for this year, else ``2025-11-22``."""
    local, today = timezone.localtime(value), timezone.localtime(now)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"


def full_text(value: datetime) -> str:
    """Return the whole moment in the portal's zone, for a title."""
    return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S %z}"


def span_text(value: timedelta | float) -> str:
    """Return a span in its two largest units, ``5 分 32 秒``, or the largest alone where it fits exactly, ``30 分钟``.

    `value` is seconds or a timedelta; the sign is dropped.
    """
    seconds = abs(value.total_seconds() if isinstance(value, timedelta) else float(value))
    if 0 < seconds < 0.1:
        return _("%(n)d 毫秒") % {"n": round(seconds * 1000)}
    if 0 < seconds < 1:
        return _("%(n).1f 秒") % {"n": seconds}
    whole = int(seconds)
    unit, lesser = next((pair for pair in _TWO_UNITS if whole >= pair[0]), (MINUTE, MINUTE))
    if whole % unit < lesser:
        return rough_text(whole)
    if whole < HOUR:
        return _("%(m)d 分 %(s)02d 秒") % {"m": whole // MINUTE, "s": whole % MINUTE}
    if whole < DAY:
        return _("%(h)d 小时 %(m)02d 分") % {"h": whole // HOUR, "m": whole % HOUR // MINUTE}
    return _("%(d)d 天 %(h)d 小时") % {"d": whole // DAY, "h": whole % DAY // HOUR}


def rough_text(value: timedelta | float) -> str:
    """Return a span in its largest unit only, ``26 分钟``, for what is counted from now."""
    seconds = int(abs(value.total_seconds() if isinstance(value, timedelta) else float(value)))
    if seconds < MINUTE:
        return _("%(n)d 秒") % {"n": seconds}
    if seconds < HOUR:
        return _("%(n)d 分钟") % {"n": seconds // MINUTE}
    return _("%(n)d 小时") % {"n": seconds // HOUR} if seconds < DAY else _("%(n)d 天") % {"n": seconds // DAY}
