"""Convergence rules in memory, in the order in which they are asked."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from fta import signals
from fta.convergence.dimensions import BadDimension, Dimension
from fta.convergence.functions import FUNCTIONS, Function
from fta.models import ConfigVersion, ConvergenceRule

logger = logging.getLogger(__name__)

LONGEST = timedelta(hours=24)  # an incident never lasts longer
# Executions that come so much later still join: a storm with pauses is one storm, and an analysis needs its five minutes.
_STAYS_OPEN = {"defense": timedelta(minutes=30), "common_cause": timedelta(minutes=5)}


@dataclass(frozen=True)
class CompiledRule:
    """A convergence rule ready to be asked."""

    pk: int
    name: str
    alert_types: frozenset[str]
    window: timedelta
    count: int
    dimensions: tuple[Dimension, ...]
    function: Function
    business_id: int | None
    blocked_by: frozenset[int]

    @property
    def quiet(self) -> timedelta:
        """How long nothing may come until the incident is over."""
        return quiet_for(self.function.name, self.window)

    def applies_to(self, business_id: int | None, alert_type: str) -> bool:
        """Tell whether the rule looks at an execution of this business and alert type at all."""
        if self.business_id is not None and self.business_id != business_id:
            return False
        if self.business_id is None and business_id in self.blocked_by:
            return False
        return not self.alert_types or alert_type in self.alert_types


def quiet_for(function: str, window: timedelta) -> timedelta:
    """Return how long nothing may come until an incident of this function and window is over."""
    return min(max(window, _STAYS_OPEN.get(function, timedelta())), LONGEST)


def current_rules() -> tuple[CompiledRule, ...]:
    """Return the enabled rules by (priority, id), compiled; read again when one has changed since."""
    return _compiled(ConfigVersion.current("convergence"))


def compile_rule(row: ConvergenceRule, blocked_by: Iterable[int]) -> CompiledRule:
    """Return a good rule, stored or not, ready to be asked; `blocked_by` are the ids of the businesses that do without it."""
    return CompiledRule(
        pk=row.pk,
        name=row.name,
        alert_types=frozenset(row.alert_types),
        window=timedelta(seconds=row.window),
        count=row.count,
        dimensions=tuple(Dimension.read(item) for item in row.dimensions),
        function=FUNCTIONS[row.function],
        business_id=row.business_id,
        blocked_by=frozenset(blocked_by),
    )


def validate_rule(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with a rule's window, count (integers), dimensions and function as (path, message)."""
    problems = [
        (name, _("必须大于 0"))
        for name in ("window", "count")
        if not isinstance(data.get(name), int) or int(data[name]) < 1
    ]
    if data.get("function") not in FUNCTIONS:
        problems.append(("function", _("未知的收敛方式；可用：%(names)s") % {"names": "、".join(FUNCTIONS)}))
    dimensions = data.get("dimensions")
    if not isinstance(dimensions, list) or not dimensions:
        return [*problems, ("dimensions", _("至少选择一个维度"))]
    for number, item in enumerate(dimensions):
        try:
            Dimension.read(item)
        except BadDimension as error:
            problems.append((f"dimensions[{number}]", str(error)))
    return problems


@lru_cache(maxsize=1)
def _compiled(version: int) -> tuple[CompiledRule, ...]:
    rows = ConvergenceRule.objects.filter(enabled=True, archived=False).order_by("priority", "id")
    return tuple(
        compile_rule(row, (business.pk for business in row.blocked_by.all()))
        for row in rows.prefetch_related("blocked_by")
        if _is_good(row)
    )


def _is_good(row: ConvergenceRule) -> bool:
    fields = {name: getattr(row, name) for name in ("window", "count", "function", "dimensions")}
    problems = validate_rule(fields)
    if problems:
        logger.error("Unable to compile convergence rule %s: %s", row.pk, problems)
        text = _("收敛规则「%(name)s」有误，已略过：%(error)s") % {"name": row.name, "error": problems[0][1]}
        signals.announce(signals.system_fault, text=text, subject=f"convergence:{row.pk}")
    return not problems
