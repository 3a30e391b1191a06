"""Absolute links for messages: where people reach the portal."""

from collections.abc import Callable

from django.conf import settings

_provider: Callable[[], str] | None = None


def register(provider: Callable[[], str]) -> None:
    """Let a floor above say where the portal is reached (the origin, without the path prefix); '' means unknown."""
    global _provider
    _provider = provider


def absolute(path: str) -> str:
    """Return the link that reaches `path` (as `reverse` gives it) from outside.

    The origin is FTA_PORTAL_URL, else what the WeCom configuration says, else the path stays relative.
    """
    origin = settings.FTA_PORTAL_URL or (_provider() if _provider else "")
    return origin.rstrip("/") + path
