"""Ask every convergence rule about an execution, and combine what they say."""

import logging
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from fta import signals
from fta.convergence import visibility
from fta.convergence.dimensions import group_of, key_of, values_of
from fta.convergence.functions import APPROVE, JUST_FINISHED, PRECEDENCE, PROCEED, Answer, Other, Standing
from fta.convergence.incidents import crossed_by, is_over, place
from fta.convergence.rules import CompiledRule, compile_rule, current_rules
from fta.lib.types import JSON
from fta.models import ConvergenceRule, Execution, Incident, Member, Mode

logger = logging.getLogger(__name__)

# States of executions that never were to act: nobody waits for them, nothing follows from them.
_NEVER_TO_ACT = (
    Execution.State.SHIELDED,
    Execution.State.SHADOWED,
    Execution.State.RECORDED,
    Execution.State.BELOW_THRESHOLD,
)
# Of more than these only one that is unfinished and the last to end are looked at: whatever else they are, each of them was itself
# decided by those before it.
MOST_OTHERS = 100


@dataclass(frozen=True)
class Verdict:
    """What convergence says: proceed, wait, approve, below (the threshold) or skip; by which rule, and why in words."""

    kind: str = PROCEED
    rule_id: int | None = None
    incident_id: int | None = None
    reason: str = ""
    together: bool = False  # a person is asked about the incident as a whole

    @property
    def weight(self) -> tuple[int, bool]:
        """Return what is compared when rules disagree: of equal words the one by which fewer questions are asked holds."""
        return PRECEDENCE.index(self.kind), self.together


@dataclass(frozen=True)
class _Group:
    """A rule that looks at the execution, and the group into which it puts it."""

    rule: CompiledRule
    values: dict[str, JSON]
    key: str


def converge(execution: Execution, now: datetime, acts: bool = True) -> Verdict:
    """Place the execution in the windows and incidents of every rule and return the strictest of their verdicts.

    One that never acts, whatever the verdict, is counted all the same, but it does not open what its opener is to run for.
    May be asked again later, as for an execution that sleeps: it keeps its place. Of equal verdicts a storm's is named, then the
    first rule's by (priority, id).
    """
    with transaction.atomic(savepoint=False):
        groups = _groups(execution)
        keys = [group.key for group in groups]
        lock(keys)
        members = _members(execution, groups)
        found = Incident.objects.filter(group_key__in=keys, state=Incident.State.OPEN)
        opened = {incident.group_key: incident for incident in found}
        before = {member.pk for member in members.values() if member.incident is not None}
        verdicts = [_ask(item, members[item.rule.pk], execution, opened.get(item.key), now, acts) for item in groups]
        _show_or_hide(execution, members.values(), before)
        return strictest(verdicts)


def gather(row: ConvergenceRule, execution: Execution, now: datetime) -> Incident | None:
    """Place the execution in the open incident of a rule that is not asked otherwise, whose threshold is 0.

    None when the execution lacks one of the rule's dimensions.
    """
    rule = compile_rule(row, ())
    values = group_of(rule.dimensions, values_of(execution))
    if values is None:
        return None
    group = _Group(rule, values, key_of(rule.pk, values))
    lock([group.key])
    opened = Incident.objects.filter(group_key=group.key, state=Incident.State.OPEN).first()
    return place(rule, values, _members(execution, [group])[rule.pk], execution, opened, now)


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """Return what holds when rules disagree: the strictest, of equals the first; with an incident, whichever rule has one."""
    if not verdicts:
        return Verdict()
    found = max(verdicts, key=lambda verdict: verdict.weight)
    incident = found.incident_id or next((item.incident_id for item in verdicts if item.incident_id), None)
    return replace(found, incident_id=incident)


def lock(keys: Sequence[str]) -> None:
    """Let nobody else place executions in these groups until the transaction ends; always taken in one order.

    SQLite needs none: there a transaction is the only writer from its start.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for number in sorted(int(key[:16], 16) - (1 << 63) for key in keys):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def _groups(execution: Execution) -> list[_Group]:
    values = values_of(execution)
    groups = []
    for rule in current_rules():
        group = (
            group_of(rule.dimensions, values) if rule.applies_to(execution.business_id, execution.alert_type) else None
        )
        if group is not None:
            groups.append(_Group(rule, group, key_of(rule.pk, group)))
    return groups


def _members(execution: Execution, groups: Sequence[_Group]) -> dict[int, Member]:
    """Return the execution's members by rule; those that are missing are written."""
    known = {}
    if execution.state != Execution.State.CONVERGING:  # it was asked about before
        known = {item.rule_id: item for item in Member.objects.filter(execution=execution).select_related("incident")}
    missing = [
        Member(rule_id=item.rule.pk, group_key=item.key, execution=execution, received_at=execution.received_at)
        for item in groups
        if item.rule.pk not in known
    ]
    return known | {member.rule_id: member for member in Member.objects.bulk_create(missing)}


def _show_or_hide(execution: Execution, members: Iterable[Member], before: Container[int]) -> None:
    """Settle which of the execution's incidents are shown, when it has joined one just now."""
    now_in = [member for member in members if member.incident is not None]
    if any(member.pk not in before for member in now_in):
        joined = [member.incident for member in now_in if member.incident is not None]
        visibility.settle(joined, {item.pk for item in joined if crossed_by(item) == execution.pk})


def _ask(
    group: _Group, member: Member, execution: Execution, opened: Incident | None, now: datetime, acts: bool
) -> Verdict:
    rule, was = group.rule, (member.incident, member.ordinal)
    try:
        with transaction.atomic():
            incident = place(rule, group.values, member, execution, opened, now, acts)
            answer = _judge(rule, member, incident, now)
    except Exception as error:  # a rule must not stop the others, nor let through what it was to hold
        logger.exception("Unable to judge execution %s by convergence rule %s", execution.pk, rule.pk)
        member.incident, member.ordinal = was  # its place was rolled back
        text = _("收敛规则「%(name)s」出错：%(error)s") % {"name": rule.name, "error": type(error).__name__}
        signals.announce(signals.system_fault, text=text, subject=f"convergence:{rule.pk}")
        return _unjudged(rule, execution, member.incident or opened, text)
    reason = _("收敛规则「%(name)s」：%(text)s") % {"name": rule.name, "text": answer.text} if answer.text else ""
    together = rule.function.asks_together and incident is not None
    return Verdict(
        answer.kind, rule.pk if incident or reason else None, incident.pk if incident else None, reason, together
    )


def _unjudged(rule: CompiledRule, execution: Execution, incident: Incident | None, text: str) -> Verdict:
    """Return the verdict of a rule that raised; what a storm holds is asked about with the storm all the same."""
    together = (
        rule.function.asks_together and incident is not None and not is_over(incident, rule, execution.received_at)
    )
    storm = incident.pk if incident is not None and together else None
    return Verdict(APPROVE if rule.function.holds_on_error else PROCEED, rule.pk, storm, text, together)


def _judge(rule: CompiledRule, member: Member, incident: Incident | None, now: datetime) -> Answer:
    if incident is None:
        return rule.function.below
    standing = Standing(
        ordinal=member.ordinal,
        count=rule.count,
        crossed=crossed_by(incident) == member.execution_id,
        others=_others(rule, member, incident, now) if rule.function.looks_at_others else (),
    )
    return rule.function.verdict(standing, now)


def _others(rule: CompiledRule, member: Member, incident: Incident, now: datetime) -> list[Other]:
    """Return earlier executions of the incident and of the window that reaches back before its opening, the newest first."""
    earlier = Member.objects.filter(
        Q(incident=incident) | Q(received_at__gte=member.received_at - rule.window),
        group_key=member.group_key,
        pk__lt=member.pk,
    )
    acting = earlier.exclude(execution__state__in=_NEVER_TO_ACT).exclude(execution__mode=Mode.SHADOW)
    newest = _read(acting.order_by("-pk"), MOST_OTHERS)
    if len(newest) < MOST_OTHERS:
        return newest
    unfinished = acting.filter(ended_at=None).exclude(execution__state__in=Execution.ENDED)
    just_ended = acting.filter(ended_at__gte=now - JUST_FINISHED).order_by("-ended_at")
    return newest + _read(unfinished, 1) + _read(just_ended, 1)


def _read(members: QuerySet[Member], most: int) -> list[Other]:
    rows = members.values_list("execution_id", "execution__state", "execution__ended_at")
    return [Other(*row) for row in rows[:most]]
