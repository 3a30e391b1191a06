"""What the pages read: rows that the user may see, with what their page shows beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet, Subquery

from fta.models import Alert, Business, Duty, Execution, Host, Inbox, Incident, Person, Source
from fta.models.scope import in_scope, is_admin, roles_of
from fta.web import upstairs
from fta.web.filters import READERS

FOLD_FROM = 5  # an open incident with so many executions is one row of the alert list
VIEWS = {
    "firing": ~Q(status=Alert.Status.RESOLVED),
    "resolved": Q(status=Alert.Status.RESOLVED),
    "unmatched": Q(outcome=Alert.Outcome.UNMATCHED),
    "unregistered": Q(registered=False),
}
LAST_RESULTS = 5
ASKED_READ = 1000


@dataclass
class Question:
    """What one decision answers: an approval, or all those of an incident that were asked of the user."""

    approval: Any
    number: int = 1

    @property
    def incident(self) -> Incident | None:
        """Return the incident when it stands for several approvals."""
        found: Incident | None = self.approval.incident
        return found if self.number > 1 else None


def alerts(user: Any) -> QuerySet[Alert]:
    """Return the user's alerts with the newest execution of each first."""
    runs = Execution.objects.select_related("package", "verdict_rule").order_by("-pk")
    rows = Alert.objects.visible_to(user).select_related("source", "host", "business")
    return rows.prefetch_related(Prefetch("executions", queryset=runs))


def storms(user: Any) -> QuerySet[Incident]:
    """Return the open incidents that the alert list shows as one row each."""
    rows = Incident.objects.visible_to(user).filter(state=Incident.State.OPEN, execution_count__gte=FOLD_FROM)
    return rows.select_related("rule", "business").annotate(held=_held()).order_by("-last_joined_at")[:20]


def without_storms(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """Leave out the alerts that a storm's row stands for."""
    inside = Execution.objects.filter(
        alert=OuterRef("pk"), incident__state=Incident.State.OPEN, incident__execution_count__gte=FOLD_FROM
    )
    return rows.exclude(Exists(inside))


def incidents(user: Any) -> QuerySet[Incident]:
    """Return the user's incidents with the number of executions that each holds back."""
    return Incident.objects.visible_to(user).select_related("rule", "business").annotate(held=_held())


def _held() -> Count:
    return Count("members", filter=Q(members__execution__state=Execution.State.HELD))


def members(incident: Incident) -> QuerySet[Execution]:
    """Return the executions of an incident in the order in which they joined."""
    rows = Execution.objects.filter(memberships__incident=incident).select_related("host", "package", "alert")
    return rows.order_by("-pk")


def incident_figures(incident: Incident) -> dict[str, int]:
    """Return the counts of an incident: alerts, hosts, and executions by what became of them."""
    state, ended = Execution.State, [str(value) for value in Execution.ENDED]
    return members(incident).aggregate(
        alerts=Count("pk"),
        hosts=Count("host", distinct=True),
        held=Count("pk", filter=Q(state=state.HELD)),
        active=Count("pk", filter=~Q(state__in=[*ended, state.HELD])),
        well=Count("pk", filter=Q(state__in=[state.SUCCEEDED, state.ALMOST])),
        failed=Count("pk", filter=Q(state__in=[state.FAILED, state.UNKNOWN])),
        skipped=Count("pk", filter=Q(state=state.SKIPPED)),
    )


def executions(user: Any) -> QuerySet[Execution]:
    """Return the user's executions."""
    return Execution.objects.visible_to(user).select_related("package", "version", "host", "business", "alert")


def execution_detail(user: Any) -> QuerySet[Execution]:
    """Return the user's executions with everything that one's page names."""
    more = ("alert__source", "rule", "incident__rule", "verdict_rule", "shield", "requested_by")
    return executions(user).select_related(*more)


def last_results(execution: Execution) -> list[Execution]:
    """Return the latest ended runs of the same package on the same host, before this one."""
    if not execution.package_id or not execution.host_id:
        return []
    rows = Execution.objects.filter(package=execution.package, host=execution.host, pk__lt=execution.pk)
    return list(rows.filter(state__in=Execution.ENDED).order_by("-pk")[:LAST_RESULTS])


def hosts(user: Any) -> QuerySet[Host]:
    """Return the hosts of the user's businesses."""
    rows = Host.objects.filter(in_scope(user, "business", *READERS), archived=False)
    return rows.select_related("business").prefetch_related("operators__user")


def businesses(user: Any) -> QuerySet[Business]:
    """Return the user's businesses with the number of hosts of each."""
    rows = Business.objects.filter(in_scope(user, "pk", *READERS), archived=False)
    number = Count("host", filter=Q(host__archived=False))
    return rows.prefetch_related("maintainers__user").annotate(hosts=number)


def people(user: Any) -> QuerySet[Person]:
    """Return the people who share a business with the user."""
    rows = Person.objects.filter(in_scope(user, "businesses", *READERS)).distinct()
    return rows.select_related("user").prefetch_related("user__groups", "businesses")


def duties(user: Any) -> QuerySet[Duty]:
    """Return the duty lists, for whoever has any role: everybody may know whom to call. Admins find the empty ones too."""
    if is_admin(user):
        return Duty.objects.order_by("name")
    return Duty.objects.staffed() if roles_of(user) else Duty.objects.none()


def names(usernames: Iterable[str]) -> dict[str, str]:
    """Return the names to show of people, by username."""
    rows = Person.objects.filter(user__username__in=set(usernames)).select_related("user")
    return {row.user.get_username(): row.name for row in rows}


def sources(user: Any) -> QuerySet[Source]:
    """Return the alert sources of the user's businesses, each with `heard_at`: when its last request came, None for never."""
    rows = Source.objects.filter(in_scope(user, "business", *READERS), archived=False)
    newest = Inbox.objects.filter(source=OuterRef("pk")).order_by("-pk").values("received_at")[:1]
    return rows.select_related("business").annotate(heard_at=Subquery(newest))


def refused_letters(user: Any, *roles: str) -> QuerySet[Inbox]:
    """Return the requests that could not be taken, of sources in businesses where the user holds one of the roles."""
    rows = Inbox.objects.filter(in_scope(user, "source__business", *(roles or READERS)))
    return rows.filter(state__in=[Inbox.State.REJECTED, Inbox.State.POISON]).select_related("source").defer("raw")


def waiting_for(user: Any, limit: int = 8) -> dict[str, list[Any]]:
    """Return what waits for the user: questions to decide, unknown results and failures of the user's businesses."""
    mine = Execution.objects.operable_by(user).select_related("package", "host", "business")
    failed = mine.filter(state=Execution.State.FAILED, alert__status=Alert.Status.FIRING)
    return {
        "questions": _questions(user)[:limit],
        "unknown": list(mine.filter(state=Execution.State.UNKNOWN).order_by("-pk")[:limit]),
        "failed": list(failed.order_by("-pk")[:limit]),
    }


def _questions(user: Any) -> list[Question]:
    """Return the user's questions, the first to expire first; a storm is one question."""
    asked = upstairs.approvals().decidable_by(user).select_related("execution__package", "incident")
    found: dict[tuple[str, int], Question] = {}
    for approval in asked.order_by("expires_at")[:ASKED_READ]:
        key = ("incident", approval.incident_id) if approval.incident_id else ("approval", approval.pk)
        if key in found:
            found[key].number += 1
        else:
            found[key] = Question(approval)
    return list(found.values())
