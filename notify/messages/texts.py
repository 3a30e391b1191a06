"""The shipped texts, one file an event: what the operator reads when nobody wrote a template."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

_FOLDER = Path("templates") / "notify" / "messages"


@lru_cache(maxsize=64)
def default_text(event: str) -> str:
    """Return the source of the shipped template of an event; LookupError for an event that nobody knows."""
    path = settings.BASE_DIR / _FOLDER / f"{event}.txt"
    if not path.is_file():
        raise LookupError(event)
    return str(path.read_text(encoding="utf-8"))
