"""Figures for Prometheus, read from the rows at the moment of the scrape: every process answers the same."""

from collections.abc import Iterable

from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fta.models import Alert, Execution, ExecutionEvent, Heartbeat, Inbox, StepRun, Switch
from fta.operations.due import due_work
from fta.web import upstairs

MOVE = "execution."  # what the kind of a line of history begins with when it tells a move


class Rows(Collector):
    """Collects the figures from the tables."""

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        now = timezone.now()
        number = GaugeMetricFamily("fta_due_work", "Work items that are due and not done", labels=["kind"])
        age = GaugeMetricFamily("fta_due_work_age_seconds", "Age of the oldest due work item", labels=["kind"])
        for due in due_work(now):
            number.add_metric([due.kind], due.count)
            age.add_metric([due.kind], due.age(now))
        yield number
        yield age
        yield _by("fta_executions", "Executions by state", "state", Execution.objects.values_list("state"))
        yield _moves()
        yield _by("fta_steps", "Step runs by state", "state", StepRun.objects.values_list("state"))
        yield _by("fta_inbox", "Requests of alert sources by state", "state", Inbox.objects.values_list("state"))
        yield _by("fta_approvals", "Approvals by state", "state", upstairs.approvals().values_list("state"))
        yield _by("fta_deliveries", "Deliveries by state", "state", upstairs.deliveries_tried().values_list("state"))
        yield _by(
            "fta_alerts_received", "Alert episodes by source", "source", Alert.objects.values_list("source__name")
        )
        yield _by("fta_alerts_outcome", "Alert episodes by outcome", "outcome", Alert.objects.values_list("outcome"))
        yield GaugeMetricFamily("fta_halts", "Switches that halt healing now", value=Switch.objects.in_force().count())
        beat = Heartbeat.objects.filter(role="engine").aggregate(at=Max("beat_at"))["at"]
        if beat is not None:
            silent = (now - beat).total_seconds()
            yield GaugeMetricFamily("fta_engine_silent_seconds", "Seconds since an engine's heartbeat", value=silent)
        for path in settings.FTA_METRICS:
            yield from import_string(path)()


def _moves() -> CounterMetricFamily:
    family = CounterMetricFamily("fta_execution_transitions", "Moves of executions by the state reached", labels=["to"])
    moves = ExecutionEvent.objects.filter(kind__in=[f"{MOVE}{state}" for state in Execution.State.values])
    for kind, count in moves.values_list("kind").annotate(Count("pk")).order_by():
        family.add_metric([kind.removeprefix(MOVE)], count)
    return family


def _by(name: str, text: str, label: str, rows: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in rows.annotate(n=Count("pk")).order_by():  # type: ignore[attr-defined]
        family.add_metric([value or "none"], count)
    return family


def text() -> bytes:
    """Return the exposition text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Rows())
    return generate_latest(registry)
