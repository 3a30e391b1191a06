"""Incidents: opened when a window overflows, joined while executions keep coming, closed when none has come for a while.

Whoever calls holds the group's lock (see engine.lock), so that two executions of one group are placed one after the other. The
order of placing, which is the order of Member ids, is the order in which executions are "earlier".
"""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F

from fta import signals
from fta.convergence import common_cause, findings
from fta.convergence.dimensions import within_a_business
from fta.convergence.rules import LONGEST, CompiledRule
from fta.lib.types import JSON
from fta.models import Execution, Incident, Member
from fta.models.engine import NotInState, move


def place(
    rule: CompiledRule,
    group: dict[str, JSON],
    member: Member,
    execution: Execution,
    incident: Incident | None,
    now: datetime,
    acts: bool = True,
) -> Incident | None:
    """Return the incident that the execution belongs to, or None below the threshold; `incident` is the group's open one.

    Where the one that crosses the threshold is run, one that never acts leaves the crossing to the next.
    The caller writes the incident into the execution itself; those that came before and are in none get it here.
    """
    if member.incident is not None:
        return member.incident
    if incident is not None and is_over(incident, rule, execution.received_at):
        close(incident, now)
        incident = None
    if incident is not None:
        return _join(incident, member, execution)
    window = _window(rule, member)
    if len(window) <= rule.count or (rule.function.runs_its_opener and not acts):
        return None
    return _open(rule, group, member, execution, window, now)


def close(incident: Incident, now: datetime) -> bool:
    """Close an open incident; False when somebody else did."""
    try:
        move(Incident, incident.pk, Incident.State.OPEN, Incident.State.CLOSED, closed_at=now)
    except NotInState:
        return False
    incident.state, incident.closed_at = Incident.State.CLOSED, now
    if incident.function == "common_cause" and not common_cause.is_analysed(incident):  # the end came before its time
        analyse(incident)
    signals.announce(signals.incident_closed, incident=incident)
    return True


def analyse(incident: Incident) -> None:
    """Write into an incident what its alerts have in common, and tell."""
    findings.note(incident, common_cause.analyse(incident))
    signals.announce(signals.incident_analysed, incident=incident)


def crossed_by(incident: Incident) -> int | None:
    """Return the id of the execution that opened the incident."""
    found = incident.findings.get("crossed_by")
    return int(found) if found is not None else None


def is_over(incident: Incident, rule: CompiledRule, received_at: datetime) -> bool:
    """Tell whether what is received at this moment comes too late to join."""
    return received_at - incident.last_joined_at > rule.quiet or received_at - incident.opened_at > LONGEST


def _window(rule: CompiledRule, member: Member) -> Sequence[Member]:
    """Return this member and the earlier ones in its window, one more than the threshold at most: nobody counts a storm."""
    at = member.received_at
    inside = Member.objects.filter(
        group_key=member.group_key, received_at__range=(at - rule.window, at + rule.window), pk__lte=member.pk
    )
    return list(inside.order_by("-received_at", "-pk")[: rule.count + 1])


def _join(incident: Incident, member: Member, execution: Execution) -> Incident:
    incident.execution_count += 1
    incident.last_joined_at = max(incident.last_joined_at, execution.received_at)
    Incident.objects.filter(pk=incident.pk).update(
        execution_count=F("execution_count") + 1, last_joined_at=incident.last_joined_at
    )
    member.incident, member.ordinal = incident, incident.execution_count
    Member.objects.filter(pk=member.pk).update(incident=incident, ordinal=member.ordinal)
    signals.announce(signals.incident_joined, incident=incident, execution=execution)
    return incident


def _open(
    rule: CompiledRule,
    group: dict[str, JSON],
    member: Member,
    execution: Execution,
    window: Sequence[Member],
    now: datetime,
) -> Incident:
    """Open the incident with all that the window holds; those of an earlier incident stay where they are."""
    joining = sorted((item for item in window if item.incident_id is None and item.pk != member.pk), key=lambda m: m.pk)
    joining.append(member)
    incident, created = Incident.objects.get_or_create(
        group_key=member.group_key,
        state=Incident.State.OPEN,
        defaults={
            "rule_id": rule.pk,
            "dimensions": group,
            "function": rule.function.name,
            "business": execution.business if within_a_business(rule.dimensions) or rule.business_id else None,
            "title": _title(rule, group),
            "execution_count": len(joining),
            "opened_at": now,
            "last_joined_at": max(item.received_at for item in joining),
            "findings": {"crossed_by": execution.pk},
        },
    )
    if not created:
        return _join(incident, member, execution)
    for ordinal, item in enumerate(joining, start=1):
        item.incident, item.ordinal = incident, ordinal
    Member.objects.bulk_update(joining, ["incident", "ordinal"])
    earlier = [item.execution_id for item in joining if item.pk != member.pk]
    Execution.objects.filter(pk__in=earlier, incident=None).update(incident=incident)
    signals.announce(signals.incident_opened, incident=incident)
    return incident


def _title(rule: CompiledRule, group: dict[str, JSON]) -> str:
    words = [" / ".join(map(str, value)) if isinstance(value, list) else str(value) for value in group.values()]
    return f"{rule.name}：{' · '.join(words)}"[:255]
