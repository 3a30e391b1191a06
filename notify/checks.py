"""System checks of this floor: every transport that the settings name can be loaded and has what the engine needs."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from notify import transports
from notify.models import ChannelKind
from notify.transports.fields import COMMON


@register()
def transports_load(**kwargs: Any) -> list[CheckMessage]:
    """Report channel kinds without a transport, and transports that do not load."""
    found: list[CheckMessage] = []
    for kind in {*map(str, ChannelKind), *settings.NOTIFY_TRANSPORTS}:
        try:
            transport = transports.get(kind)
        except KeyError:
            hint = "Name a class for it in NOTIFY_TRANSPORTS."
            found.append(Error(f"No transport for the channel kind {kind!r}.", hint=hint, id="notify.E001"))
        except ImportError as error:
            hint = "Correct the dotted path in NOTIFY_TRANSPORTS."
            found.append(Error(f"The transport {kind!r} does not load: {error}", hint=hint, id="notify.E002"))
        else:
            missing = [
                name for name in ("label", "fields", "idempotent", "send", "validate") if not hasattr(transport, name)
            ]
            if missing:
                hint = "See notify.transports.base.Transport."
                found.append(Error(f"The transport {kind!r} lacks {', '.join(missing)}.", hint=hint, id="notify.E003"))
            elif taken := COMMON & {field.name for field in transport.fields}:
                hint = "Every channel has these already; declare other names."
                text = f"The transport {kind!r} declares {', '.join(sorted(taken))}."
                found.append(Error(text, hint=hint, id="notify.E004"))
    return found
