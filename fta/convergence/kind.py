"""The work of incidents: analyse those that ask for it, close those to which nothing came any more."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from fta.convergence import common_cause
from fta.convergence.engine import lock
from fta.convergence.incidents import analyse, close
from fta.convergence.rules import LONGEST, quiet_for
from fta.models import ConvergenceRule, Inbox, Incident


class IncidentKind:
    """Due when an incident's quiet time, or the time until its analysis, is over."""

    name = "incident"
    lane = "ingest"

    def due(self, limit: int, now: datetime) -> list[int]:
        rows = (_to_analyse(now) | _to_close(now)).order_by("last_joined_at")
        return list(rows.values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        now = timezone.now()
        with transaction.atomic():
            lock(list(Incident.objects.filter(pk=pk).values_list("group_key", flat=True)))
            incident = Incident.objects.filter(pk=pk).first()  # as it is now that nobody can join it
            if incident is None:
                return
            if _to_analyse(now).filter(pk=pk).exists():
                analyse(incident)
            if _to_close(now).filter(pk=pk).exists():
                close(incident, now)


def _to_analyse(now: datetime) -> QuerySet[Incident]:
    waiting = Incident.objects.filter(state=Incident.State.OPEN, function="common_cause")
    return waiting.filter(opened_at__lte=now - common_cause.AFTER).exclude(findings__has_key="shared")


def _to_close(now: datetime) -> QuerySet[Incident]:
    """Judge by the time up to which all alerts were read: after a pause of the engine a storm goes on where it stood."""
    unread = Inbox.objects.filter(state=Inbox.State.NEW).order_by("id").values_list("received_at", flat=True).first()
    read_until = min(now, unread) if unread else now
    over = Q(opened_at__lt=read_until - LONGEST)
    for quiet, rules in _quiet_times().items():
        over |= Q(rule__in=rules, last_joined_at__lt=read_until - quiet)
    return Incident.objects.filter(over, state=Incident.State.OPEN)


def _quiet_times() -> dict[timedelta, list[int]]:
    """Return the rules by quiet time, archived ones too: their incidents have to end as well."""
    rules: dict[timedelta, list[int]] = {}
    for pk, function, window in ConvergenceRule.objects.values_list("pk", "function", "window"):
        rules.setdefault(quiet_for(function, timedelta(seconds=window)), []).append(pk)
    return rules
