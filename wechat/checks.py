"""System checks of this floor."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def simulator_is_for_development(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn when the stand-in for WeCom is switched on in production: whoever reaches it speaks for everybody."""
    if settings.WECOM_SIMULATOR and not settings.DEBUG:
        return [
            Warning(
                "The WeCom simulator is switched on while DEBUG is off.",
                hint="Unset WECOM_SIMULATOR; it lets everybody act as any member.",
                id="wechat.W001",
            )
        ]
    return []
