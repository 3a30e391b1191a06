"""Pages of a list, newest first, cut by id: no page is counted, and new rows do not shift the one being read."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

SIZE = 50


@dataclass(frozen=True)
class Page:
    """Rows of one page and the addresses of its neighbours ('' at an end)."""

    rows: list[Any]
    prev_url: str
    next_url: str

    @property
    def shown(self) -> int:
        """Return how many rows the page has."""
        return len(self.rows)


def page_of(rows: QuerySet[Any], request: HttpRequest, size: int = SIZE) -> Page:
    """Return the page that the request asks for: ?before=<id> for older rows, ?after=<id> for newer ones."""
    before, after = _number(request, "before"), _number(request, "after")
    if after is not None:
        newer = list(rows.filter(pk__gt=after).order_by("pk")[: size + 1])
        found, more_newer, more_older = newer[:size][::-1], len(newer) > size, True
    else:
        older = list((rows.filter(pk__lt=before) if before else rows).order_by("-pk")[: size + 1])
        found, more_newer, more_older = older[:size], before is not None, len(older) > size
    return Page(
        found,
        _url(request, "after", found[0].pk) if found and more_newer else "",
        _url(request, "before", found[-1].pk) if found and more_older else "",
    )


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _url(request: HttpRequest, name: str, pk: int) -> str:
    query = request.GET.copy()
    for other in ("before", "after"):
        query.pop(other, None)
    query[name] = str(pk)
    return f"?{query.urlencode()}"
