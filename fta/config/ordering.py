"""The order in which rules are asked, changed by place: a rule is put before another one, and its priority follows."""

from collections.abc import Container
from datetime import datetime
from typing import TypeAlias

from django.db import transaction
from django.utils.translation import gettext as _

from fta.config import editing
from fta.models import ConvergenceRule, Rule

Ordered: TypeAlias = Rule | ConvergenceRule

APART = 10  # between the priorities of neighbours that are numbered anew
_FARTHEST = 10**6  # that a priority may be from 0


class NoRoom(Exception):
    """No priority lies between the neighbours, and rules of others would have to be numbered anew."""

    def __init__(self) -> None:
        self.reason = _("前后两条的优先级挨得太紧，放不进去；要重排别人的规则，请管理员来做。")
        super().__init__(self.reason)


def put_before(row: Ordered, before: int | None, mine: Container[int], actor: str, now: datetime) -> None:
    """Have a rule asked right before the one of that id, or after all others for None.

    Only its own priority changes where one lies between its neighbours; else all are numbered anew, which `mine`, the ids that the
    user may change, has to allow. Raises NoRoom.
    """
    with transaction.atomic():
        rows = type(row)._default_manager.select_for_update().filter(archived=False).order_by("priority", "pk")
        others: list[Ordered] = [item for item in rows if item.pk != row.pk]
        place = next((number for number, item in enumerate(others) if item.pk == before), len(others))
        above, below = others[place - 1] if place else None, others[place] if place < len(others) else None
        fitting = next((priority for priority in _between(row, above, below) if abs(priority) <= _FARTHEST), None)
        if fitting is not None:
            editing.save(row, {"priority": fitting}, actor, now)
            return
        others.insert(place, row)
        wanted = {item.pk: number * APART for number, item in enumerate(others, 1)}
        moved = [item for item in others if item.priority != wanted[item.pk]]
        if any(item.pk not in mine for item in moved):
            raise NoRoom
        for item in moved:
            editing.save(item, {"priority": wanted[item.pk]}, actor, now)


def _between(row: Ordered, above: Ordered | None, below: Ordered | None) -> list[int]:
    """Return the priorities that would do, the best first: the one that it has, else one amid its neighbours."""
    if above is None or below is None:
        wanted = [below.priority - APART] if below else [above.priority + APART] if above else []
    else:
        wanted = [(above.priority + below.priority) // 2, above.priority, below.priority]
    return [
        priority
        for priority in (row.priority, *wanted)
        if (above is None or (above.priority, above.pk) < (priority, row.pk))
        and (below is None or (priority, row.pk) < (below.priority, below.pk))
    ]
