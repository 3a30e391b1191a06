"""What came back from a target, made fit to store and show: no terminal codes, no secrets, not too long, valid JSON."""

import codecs
import math
import re

from django.utils.translation import gettext as _

from fta.lib.secrets import redact, without_part
from fta.lib.types import JSON

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]+[0-~]|[@-Z\\-_])")
_ANSI_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*|[ -/]*)$")
_CONTINUED = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that begin no character
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_DEEPEST = 32
HALF = 127 * 1024  # bytes of the beginning, and of the end, of what a script prints; the same as in journal.sh


def clean(raw: bytes, limit: int) -> str:
    """Return at most `limit` bytes of output as text; a note says when something was cut off, of a secret no part is shown."""
    if len(raw) <= limit:
        return _piece(raw, begins=True, ends=True)
    text = _piece(raw[:limit], begins=True, ends=False)
    return text + "\n" + _("（输出超过 %s KiB，其余已截断）") % (limit // 1024)


def excerpt(head: bytes, tail: bytes, total: int, *, ended: bool) -> str:
    """Return the output of a script as text: its beginning, a line that says how much is left out, its end.

    `head` and `tail` are what there is of `total` bytes. Of a secret that a cut, or the end of what is there so far, runs
    through, no part is shown.
    """
    if total <= len(head) + len(tail):
        head, tail = head[:HALF], head[HALF:] + tail
    head, tail = head[:HALF], tail[max(0, len(tail) - HALF) :]
    cut = total - len(head) - len(tail)
    if cut <= 0:
        return _piece(head + tail, begins=True, ends=ended)
    note = _("…… 中间 %s 字节的输出没有保留 ……") % cut
    return f"{_piece(head, begins=True, ends=False)}\n{note}\n{_piece(tail, begins=False, ends=ended)}"


def _piece(raw: bytes, *, begins: bool, ends: bool) -> str:
    """Return a piece of output as text, without what belongs half to the piece before or behind it."""
    if not begins:  # at most three bytes continue a character that was cut
        raw = raw[:3].lstrip(_CONTINUED) + raw[3:]
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(raw, final=ends)
    text = redact(_plain(text if ends else _ANSI_BEGUN.sub("", text)))
    return without_part(text, begins=begins, ends=ends)


def _plain(text: str) -> str:
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


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
