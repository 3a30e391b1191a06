"""What the page of 停止自愈 lets a user see and do; `fta.operations.reach` is the rule."""

from typing import Any

from fta.models import Switch
from fta.models.engine import SwitchQuerySet
from fta.models.scope import is_admin
from fta.operations import reach
from fta.operations.reach import may_halt_anything, shown_to

__all__ = ["may_halt_anything", "resumable_by", "shown_to"]


def resumable_by(user: Any) -> SwitchQuerySet:
    """Return the switches in force that the page offers to end: it leaves all healing to admins, as it does halting it."""
    rows = reach.resumable_by(user)
    return rows if is_admin(user) else rows.exclude(scope=Switch.Scope.ALL)
