"""WeCom's markdown as its phone shows it: quotes, bold, three colours, links. Everything else is text. Source: page 90248."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARK = re.compile(
    r"\*\*|<font color=\"(?P<colour>info|comment|warning)\">|</font>|\[(?P<text>[^\]]*)\]\((?P<url>[^)]*)\)"
)


@dataclass(frozen=True)
class Span:
    """A piece of a line in one look."""

    text: str
    bold: bool = False
    colour: str = ""
    url: str = ""


@dataclass(frozen=True)
class Line:
    """One line, quoted or not."""

    quoted: bool
    spans: tuple[Span, ...]


def lines(text: str) -> Iterator[Line]:
    """Return the lines of a message in markdown."""
    for line in text.split("\n"):
        quoted = line.startswith(">")
        yield Line(quoted, tuple(_spans(line.removeprefix(">").strip() if quoted else line)))


def plain(text: str) -> str:
    """Return a message in markdown as the words and links that are in it."""
    return "\n".join(
        "".join(f"{span.text} {span.url}" if span.url else span.text for span in line.spans) for line in lines(text)
    )


def _spans(line: str) -> Iterator[Span]:
    bold, colour, at = False, "", 0
    for mark in _MARK.finditer(line):
        if mark.start() > at:
            yield Span(line[at : mark.start()], bold, colour)
        at = mark.end()
        if mark["url"] is not None:
            yield Span(mark["text"], bold, colour, mark["url"])
        elif mark[0] == "**":
            bold = not bold
        else:
            colour = mark["colour"] or ""
    if at < len(line):
        yield Span(line[at:], bold, colour)
