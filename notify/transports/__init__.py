"""The registry of transports: NOTIFY_TRANSPORTS names a class for each kind of channel."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from notify.message import Message
from notify.models import Delivery
from notify.transports.base import Acted, Acting, Action, Splitting, Transport, TransportError
from notify.transports.fields import Field, misfits


@lru_cache(maxsize=32)
def get(kind: str) -> Transport:
    """Return the transport of this kind, loaded at its first use; KeyError for a kind that the settings do not name."""
    return cast(Transport, import_string(settings.NOTIFY_TRANSPORTS[kind])())


def kinds() -> list[str]:
    """Return the kinds of channels that there are."""
    return list(settings.NOTIFY_TRANSPORTS)


def choices() -> list[tuple[str, str | Promise]]:
    """Return the kinds with their names for people."""
    return [(kind, get(kind).label) for kind in kinds()]


def label(kind: str) -> str:
    """Return a kind's name for people: the kind itself where the settings do not name it any more."""
    return str(get(kind).label) if kind in kinds() else kind


def fields(kind: str) -> Sequence[Field]:
    """Return what a channel of this kind is configured with: nothing where the settings do not name it any more."""
    return get(kind).fields if kind in kinds() else ()


def actions(kind: str) -> Sequence[Action]:
    """Return what a channel of this kind can do besides sending."""
    return cast(Acting, get(kind)).actions if kind in kinds() and hasattr(get(kind), "actions") else ()


def act(kind: str, name: str, action: str, config: Mapping[str, Any]) -> Acted:
    """Do one of the `actions` for a channel. Raises KeyError for one that there is not, and what sending raises."""
    if action not in {each.name for each in actions(kind)}:
        raise KeyError(action)
    return cast(Acting, get(kind)).act(name, action, config)


def parts(delivery: Delivery) -> int:
    """Return as how many messages a delivery is sent; 1 also for one that cannot be sent at all."""
    try:
        transport = get(delivery.kind)
        message = Message.from_json(delivery.payload["message"])
        return cast(Splitting, transport).parts(delivery, message) if hasattr(transport, "parts") else 1
    except (KeyError, ValueError, TransportError):
        return 1


def check(kind: str, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (field, Chinese message) for all that is wrong with a channel's configuration.

    The transport itself is asked only about a configuration that has all that it requires, in the shapes that it declared.
    """
    if kind not in kinds():
        return [("kind", _("没有“%(kind)s”这种通知方式。") % {"kind": kind})]
    return misfits(fields(kind), config) or list(get(kind).validate(config))


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "NOTIFY_TRANSPORTS":
        get.cache_clear()


setting_changed.connect(_forget)
