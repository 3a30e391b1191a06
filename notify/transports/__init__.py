"""The registry of transports: NOTIFY_TRANSPORTS names a class for each kind of channel."""

from functools import lru_cache
from typing import cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from notify.transports.base import Transport


@lru_cache(maxsize=32)
def get(kind: str) -> Transport:
    """Return the transport of this kind, loaded at its first use; KeyError for a kind that the settings do not name."""
    return cast(Transport, import_string(settings.NOTIFY_TRANSPORTS[kind])())


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "NOTIFY_TRANSPORTS":
        get.cache_clear()


setting_changed.connect(_forget)
