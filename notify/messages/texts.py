"""The shipped texts, one file an event: what the operator reads when nobody wrote a template. And those to start one from."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import get_language, gettext_lazy

_MESSAGES = Path("templates") / "notify" / "messages"
_LIBRARY = Path("templates") / "notify" / "library"
LIBRARY = {"alertmanager": gettext_lazy("Alertmanager 常用样式")}


def default_text(event: str) -> str:
    """Return the source of the shipped template of an event, in the language of the moment.

    LookupError for an event that nobody knows.
    """
    return _read(_MESSAGES / "en" if (get_language() or "").startswith("en") else _MESSAGES, event)


def library_text(name: str) -> str:
    """Return the source of a template to start from; LookupError for one that there is not."""
    if name not in LIBRARY:
        raise LookupError(name)
    return _read(_LIBRARY, name)


@lru_cache(maxsize=64)
def _read(folder: Path, name: str) -> str:
    path = settings.BASE_DIR / folder / f"{name}.txt"
    if not path.is_file():
        raise LookupError(name)
    return str(path.read_text(encoding="utf-8"))
