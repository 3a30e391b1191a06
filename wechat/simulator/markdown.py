"""The little Markdown that WeCom shows: headings, quotes, bold, code, links and three colours (91770).

A text becomes lines of spans and a template writes them, so that nothing of it is ever taken for HTML.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = re.compile(r'(\*\*|<font color="(?:info|comment|warning)">|</font>|`[^`]+`|\[[^\]]*\]\([^)\s]*\))')
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
_LINE = re.compile(r"(#{1,6} |> ?)?(.*)")


@dataclass(frozen=True)
class Span:
    """Text of one look; `style` is made of bold, code, info, comment and warning."""

    text: str
    style: str = ""
    url: str = ""


@dataclass(frozen=True)
class Line:
    """One line; `kind` is heading, quote or nothing."""

    kind: str
    spans: Sequence[Span]


def lines(text: str) -> list[Line]:
    """Return the lines of a Markdown message."""
    found = []
    for line in text.splitlines():
        mark, rest = _LINE.fullmatch(line).groups(default="")  # type: ignore[union-attr]  # it matches every line
        kind = "quote" if mark.startswith(">") else "heading" if mark else ""
        found.append(Line(kind, _spans(rest)))
    return found


def _spans(line: str) -> list[Span]:
    found, bold, colour = [], "", ""
    for piece in _MARKS.split(line):
        if piece == "**":
            bold = "" if bold else "bold"
        elif piece.startswith("<font ") and _MARKS.fullmatch(piece):
            colour = piece.split('"')[1]
        elif piece == "</font>":
            colour = ""
        elif link := _LINK.fullmatch(piece):
            found.append(Span(link[1], bold, link[2]))
        elif code := re.fullmatch("`([^`]+)`", piece):
            found.append(Span(code[1], "code"))
        elif piece:
            found.append(Span(piece, f"{bold} {colour}".strip()))
    return found
