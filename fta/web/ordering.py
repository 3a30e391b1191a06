"""Rules in the order in which they are asked, each with the places to which it may be moved."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from fta.config.ordering import NoRoom, Ordered, put_before


@dataclass(frozen=True)
class Listed:
    """A rule of the list. `up` and `down` are the ids before which it would then stand, 0 for the end, None for no move."""

    rule: Ordered
    sentence: str
    mine: bool
    up: int | None
    down: int | None


def listed(rows: Sequence[tuple[Ordered, str]], mine: Container[int]) -> list[Listed]:
    """Return the list's rows, given the rules in their order with what they say, and the ids that the user may change."""
    pks = [row.pk for row, _sentence in rows]
    found = []
    for number, (row, sentence) in enumerate(rows):
        up = pks[number - 1] if number else None
        down = (*pks[number + 2 :], 0)[0] if number + 1 < len(pks) else None
        found.append(Listed(row, sentence, row.pk in mine, up, down))
    return found


def move(request: HttpRequest, row: Ordered, mine: Container[int], page: str) -> HttpResponse:
    """Put a rule before the one that `before` names, or last, and show it in the list."""
    before = request.POST.get("before", "")
    try:
        pk = int(before) if before.isdecimal() else 0
        put_before(row, pk or None, mine, request.user.get_username(), timezone.now())
    except NoRoom as error:
        messages.error(request, error.reason)
    return redirect(f"{reverse(page)}#rule-{row.pk}")
