"""From signals to occasions. A listener runs inside the sender's transaction: it writes rows and sends nothing."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from fta import signals
from fta.models import Alert, Business, Execution, Incident
from notify.delivery import delivery_failed, people_missed
from notify.messages import Occasion
from notify.models import Delivery
from notify.receivers.fallback import (
    mail_admins,
    mail_maintainers,
    mail_those_who_maintain,
    second_way,
    tell_the_missed,
)
from notify.receivers.rules import enabled_rules, tell, tell_as_ruled

State = Execution.State

EXECUTION_EVENTS: dict[str, str] = {
    State.RUNNING: "execution.started",
    State.SUCCEEDED: "execution.succeeded",
    State.ALMOST: "execution.almost",
    State.FAILED: "execution.failed",
    State.SKIPPED: "execution.skipped",
    State.UNKNOWN: "execution.unknown",
}
# Only these convergence functions tell people something; the others are seen in the records.
OPENING_EVENTS = {"notify": "convergence.notice", "defense": "convergence.defence"}
ANALYSED_EVENT = "convergence.notice"
CLOSING_EVENTS = {"collect": "convergence.summary"}
APPROVAL_EVENTS = ("asked", "reminded", "decided", "expired")


@receiver(signals.alerts_fired)
def on_alerts_fired(alerts: Sequence[Alert], **kwargs: Any) -> None:
    now, rules = timezone.now(), enabled_rules()
    for alert in alerts:
        tell(Occasion("alert.firing", f"alert:{alert.pk}", alert=alert), now, rules)


@receiver(signals.alert_resolved)
def on_alert_resolved(alert: Alert, **kwargs: Any) -> None:
    tell(Occasion("alert.resolved", f"alert:{alert.pk}", alert=alert), timezone.now())


@receiver(signals.execution_changed)
def on_execution_changed(execution: Execution, to: str, **kwargs: Any) -> None:
    event = EXECUTION_EVENTS.get(to)
    if event is None:
        return
    now = timezone.now()
    run = Execution.objects.select_related("alert", "package", "rule", "host", "business").get(pk=execution.pk)
    at = (run.started_at if event == "execution.started" else run.ended_at) or run.received_at
    occasion = Occasion(event, f"execution:{run.pk}:{at:%m%d%H%M%S}", alert=run.alert, execution=run)
    tell(occasion, now)
    if event != "execution.started":
        tell_as_ruled(occasion, now)
    if event in ("execution.failed", "execution.unknown"):
        mail_maintainers(occasion, now)


@receiver(signals.incident_opened)
def on_incident_opened(incident: Incident, **kwargs: Any) -> None:
    _tell_incident(incident, OPENING_EVENTS.get(incident.function), timezone.now())


@receiver(signals.incident_closed)
def on_incident_closed(incident: Incident, **kwargs: Any) -> None:
    _tell_incident(incident, CLOSING_EVENTS.get(incident.function), timezone.now())


@receiver(signals.incident_analysed)
def on_incident_analysed(incident: Incident, **kwargs: Any) -> None:
    _tell_incident(incident, ANALYSED_EVENT, timezone.now())


def _tell_incident(incident: Incident, event: str | None, now: datetime) -> None:
    if event is None:
        return
    first = incident.members.select_related("execution__alert").order_by("id").first()
    tell(
        Occasion(event, f"incident:{incident.pk}", alert=first.execution.alert if first else None, incident=incident),
        now,
    )


@receiver(signals.approval_changed)
def on_approval_changed(approval: Any, event: str, **kwargs: Any) -> None:
    if event not in APPROVAL_EVENTS:
        return
    now = timezone.now()
    turn = f":{now:%m%d%H%M}" if event == "reminded" else f":{approval.stage}"
    run = approval.execution
    key = f"approval:{approval.pk}{turn}"
    tell(Occasion(f"approval.{event}", key, run.alert if run else None, run, approval.incident, approval), now)


@receiver(signals.shadow_summarised)
def on_shadow_summarised(business: Business | None, day: date, text: str, lines: Sequence[str], **kwargs: Any) -> None:
    now = timezone.now()
    key = f"shadow:{business.code if business else ''}:{day:%Y%m%d}"
    occasion = Occasion("shadow.summary", key, text=text, lines=tuple(lines), business=business)
    if not tell(occasion, now):
        mail_those_who_maintain(occasion, now)


@receiver(signals.system_fault)
def on_system_fault(text: str, subject: str, **kwargs: Any) -> None:
    now = timezone.now()
    occasion = Occasion("system.fault", f"fault:{subject}:{now:%Y%m%d%H}", text=str(text))  # once an hour each
    if not tell(occasion, now):
        mail_admins(occasion, now)


@receiver(delivery_failed)
def on_delivery_failed(delivery: Delivery, **kwargs: Any) -> None:
    second_way(delivery, timezone.now())


@receiver(people_missed)
def on_people_missed(delivery: Delivery, userids: Sequence[str], **kwargs: Any) -> None:
    tell_the_missed(delivery, userids, timezone.now())
