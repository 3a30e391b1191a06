"""Common cause (共性分析): what the alerts of an incident have in common, beyond the dimensions that made it one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from fta.convergence.dimensions import values_of
from fta.lib.types import JSON, JSONDict
from fta.models import Execution, Incident

AFTER = timedelta(minutes=5)  # of the opening
SHARE = 0.34  # of the alerts must have a value for it to count as shared
_MOST_ALERTS = 1000
_SHARED = "shared"


def shared_values(rows: Sequence[Mapping[str, str]], known: Iterable[str] = ()) -> list[JSONDict]:
    """Return the (name, value) pairs that at least two and 34 % of the rows share, the most common first.

    The names in `known` are left out.
    """
    left_out = set(known)
    counts = Counter((name, value) for row in rows for name, value in row.items() if value and name not in left_out)
    found: list[JSONDict] = []
    for (name, value), count in counts.most_common():
        if count >= 2 and count >= SHARE * len(rows):
            found.append({"name": name, "value": value, "count": count, "share": round(count / len(rows), 2)})
    return found


def is_analysed(incident: Incident) -> bool:
    """Tell whether the incident has its analysis."""
    return _SHARED in incident.findings


def analyse(incident: Incident) -> dict[str, JSON]:
    """Return what an analysis adds to the findings of an incident; nothing is written."""
    executions = Execution.objects.filter(memberships__incident=incident).order_by("id")
    rows = [
        values_of(execution)
        for execution in executions.select_related("alert__source", "host", "business", "package")[:_MOST_ALERTS]
    ]
    shared: list[JSON] = list(shared_values(rows, incident.dimensions))
    return {_SHARED: shared, "looked_at": len(rows)}
