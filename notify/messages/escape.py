"""Make a value from an alert safe for the channel that shows it: alert text is not ours, and may want to be a link or a mention."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from notify.message import cut, size

_LIMIT = 500  # characters of one value
_LONG = 8 * 1024  # bytes of one that may have lines: as much as four parts of a text hold
# WeCom turns these into mentions, links and colours; their full-width twins read the same and do nothing.
_WECOM = str.maketrans({"<": "＜", ">": "＞"})
_MARKDOWN = str.maketrans({"[": "［", "]": "］", "`": "＇", "*": "＊", "#": "＃", "\\": "＼"})
_TABLE = str.maketrans({"|": "｜", "~": "～", "!": "！"})  # what only markdown_v2 reads
_SCHEME = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://")


def clean(value: Any, kind: str, form: str, limit: int = _LIMIT) -> Any:
    """Return plain data with every text in it made harmless for a channel kind and a form of message, and at most so long.

    Line ends, control, bidirectional and zero-width characters go everywhere; for WeCom also mentions, tags and links.
    """
    if isinstance(value, dict):
        return {_text(str(key), kind, form, limit): clean(item, kind, form, limit) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item, kind, form, limit) for item in value]
    return _text(value, kind, form, limit) if isinstance(value, str) else value


def clean_lines(text: str, kind: str, form: str) -> str:
    """Return a long text made harmless with its line ends and indents, and with its length where it had to be cut."""
    lines = (_seen(line).rstrip() for line in text[: _LONG * 2].splitlines())
    kept = _harmless("\n".join(line for line in lines if line), kind, form)
    if size(kept) <= _LONG:
        return kept
    note = _("…（共 %(count)d 字）") % {"count": len(text)}
    return cut(kept, _LONG - size(note)) + note


def clean_between(written: Sequence[str], filled: str, kind: str, form: str) -> str:
    """Return a text into which values were filled with the values made harmless, and what its author wrote as it is.

    `written` is what stands before, between and after the values. A text that it does not fit is taken for a value whole.
    """
    first, *middle, last = written if len(written) > 1 else (*written, "")
    rest, parts = filled[len(first) : len(filled) - len(last)], [first]
    if f"{first}{rest}{last}" != filled:
        return clean_lines(filled, kind, form)
    for own in middle:
        value, found, rest = rest.partition(own) if own else ("", "", rest)  # two values side by side are one
        if own and not found:
            return clean_lines(filled, kind, form)
        parts += [clean_lines(value, kind, form), own]
    return "".join([*parts, clean_lines(rest, kind, form), last])


def _text(text: str, kind: str, form: str, limit: int) -> str:
    text = text[: limit * 2]
    text = " ".join(_seen(text).split())
    if len(text) > limit:
        text = text[:limit] + "…"
    return _harmless(text, kind, form)


def _harmless(text: str, kind: str, form: str) -> str:
    if kind.startswith("wecom"):
        text = _SCHEME.sub(r"\1：//", text.translate(_WECOM))
    text = text.translate(_TABLE) if form == "markdown_v2" else text
    is_markdown = form in ("markdown", "markdown_v2", "image") or (kind == "wecom_robot" and form == "textcard")
    return text.translate(_MARKDOWN) if is_markdown else text  # a robot has no text cards: markdown stands in


def _seen(text: str) -> str:
    return text if text.isprintable() else "".join(map(_visible, text))  # most texts are, and it is told at once


def _visible(char: str) -> str:
    """Return a blank for what ends a line, nothing for what is not seen but changes what is."""
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else char
