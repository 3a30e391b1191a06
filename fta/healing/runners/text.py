"""What came back from a target, made fit to store and show: no terminal codes, no secrets, not too long, valid JSON."""

import math
import re

from django.utils.translation import gettext as _

from fta.lib.secrets import redact
from fta.lib.types import JSON

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]+[0-~]|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_DEEPEST = 32


def clean(raw: bytes, limit: int) -> str:
    """Return at most `limit` bytes of output as text; a note says when something was cut off."""
    text = raw[:limit].decode(errors="replace")
    text = _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    text = redact(text)
    return text + "\n" + _("（输出超过 %s KiB，其余已截断）") % (limit // 1024) if len(raw) > limit else text


def storable(value: JSON, depth: int = _DEEPEST) -> JSON:
    """Return a JSON value that the database takes: PostgreSQL refuses NUL, lone surrogates, infinities; secrets cut out."""
    if isinstance(value, str):
        return redact(_CONTROL.sub("", value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, dict)) and depth == 0:
        return None
    if isinstance(value, list):
        return [storable(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_CONTROL.sub("", key): storable(item, depth - 1) for key, item in value.items()}
    return value
