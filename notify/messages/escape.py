"""Make a value from an alert safe for the channel that shows it: alert text is not ours, and may want to be a link or a mention."""

import re
import unicodedata
from typing import Any

_LIMIT = 500  # characters of one value
# WeCom turns these into mentions, links and colours; their full-width twins read the same and do nothing.
_WECOM = str.maketrans({"<": "＜", ">": "＞"})
_MARKDOWN = str.maketrans({"[": "［", "]": "］", "`": "＇", "*": "＊", "#": "＃", "\\": "＼"})
_TABLE = str.maketrans({"|": "｜", "~": "～", "!": "！"})  # what only markdown_v2 reads
_SCHEME = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://")


def clean(value: Any, kind: str, form: str) -> Any:
    """Return plain data with every text in it made harmless for a channel kind and a form of message.

    Line ends, control, bidirectional and zero-width characters go everywhere; for WeCom also mentions, tags and links.
    """
    if isinstance(value, dict):
        return {_text(str(key), kind, form): clean(item, kind, form) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item, kind, form) for item in value]
    return _text(value, kind, form) if isinstance(value, str) else value


def _text(text: str, kind: str, form: str) -> str:
    text = text[: _LIMIT * 2]
    text = "".join(_visible(char) for char in text)
    text = " ".join(text.split())
    if len(text) > _LIMIT:
        text = text[:_LIMIT] + "…"
    if kind.startswith("wecom"):
        text = _SCHEME.sub(r"\1：//", text.translate(_WECOM))
    text = text.translate(_TABLE) if form == "markdown_v2" else text
    return text.translate(_MARKDOWN) if form in ("markdown", "markdown_v2", "image") else text


def _visible(char: str) -> str:
    """Return a blank for what ends a line, nothing for what is not seen but changes what is."""
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else char
