"""What really happened to an alert, and what is compared: one word for each decision."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from fta.matching import Subject
from fta.models import Alert, Execution

State = Execution.State

RUN, HELD, SKIPPED, BELOW, WAITING = "run", "held", "skipped", "below", "waiting"
SHADOW, RECORDED, SHIELDED, UNMATCHED, FAILED = "shadow", "recorded", "shielded", "unmatched", "failed"
DECISIONS: dict[str, Promise] = {
    RUN: _("直接执行"),
    HELD: _("拦下审批"),
    SKIPPED: _("跳过"),
    BELOW: _("未达阈值"),
    WAITING: _("还在等待"),
    SHADOW: _("演练"),
    RECORDED: _("只记录"),
    SHIELDED: _("被屏蔽"),
    UNMATCHED: _("未接入"),
    FAILED: _("无法执行"),
}
_BY_STATE = {
    State.SHIELDED: SHIELDED,
    State.RECORDED: RECORDED,
    State.SHADOWED: SHADOW,
    State.BELOW_THRESHOLD: BELOW,
    State.SLEEPING: WAITING,
}
_WAITED = (
    State.SLEEPING,
    State.SKIPPED,
)  # states of what was to run and waits, or waited in vain, for its turn on the host
TYPICAL = timedelta(seconds=60)  # how long a package takes of which no run is known


@dataclass(frozen=True)
class Real:
    """What the portal really did with an alert."""

    decision: str
    state: str
    ended_at: datetime | None
    rule_id: int | None
    package_id: int | None
    asked_besides: bool  # a person was asked for a reason that convergence did not give
    limited: bool  # recorded by flow control

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Real":
        """Read the columns of an execution, see `COLUMNS`."""
        decision = _decision(row)
        besides = decision == HELD and row["verdict"] != "approve"
        limited = str(row["verdict"]).startswith("flow_")
        return cls(
            RUN if row["verdict"] == "flow_ready" else decision,
            row["state"],
            row["ended_at"],
            row["rule_id"],
            row["package_id"],
            besides,
            limited and row["verdict"] != "flow_ready",
        )


COLUMNS = ("alert_id", "state", "verdict", "started_at", "ended_at", "rule_id", "package_id", "needs_approval")


def _decision(row: dict[str, Any]) -> str:
    if row["needs_approval"]:
        return HELD
    if row["verdict"] == "proceed" and row["started_at"] is None and row["state"] in _WAITED:
        return RUN
    if row["state"] in _BY_STATE:
        return _BY_STATE[row["state"]]
    if row["started_at"] is None and row["state"] == State.SKIPPED:
        return SKIPPED
    if row["started_at"] is None and row["state"] == State.FAILED and not row["verdict"]:
        return FAILED
    return RUN


@dataclass(frozen=True)
class Case:
    """One alert to be judged, and what really became of it (None: there is no execution)."""

    alert: Alert
    subject: Subject
    real: Real | None

    @property
    def resolved_at(self) -> datetime | None:
        """Return when the portal heard that the alert was over."""
        return self.alert.last_seen_at if self.alert.status == Alert.Status.RESOLVED else None


def cases_of(alerts: Iterable[Alert]) -> list[Case]:
    """Return the cases of loaded alerts; one query for all that was really done."""
    alerts = list(alerts)
    rows = Execution.objects.filter(alert__in=alerts).order_by("-id").values(*COLUMNS)
    found = {row["alert_id"]: Real.of(row) for row in rows}  # the first execution of an alert is the one that it caused
    return [Case(alert, Subject.of(alert), found.get(alert.pk)) for alert in alerts]


def typical_spans(since: datetime, until: datetime) -> dict[int, timedelta]:
    """Return how long each package took, the median of its runs of that time."""
    rows = Execution.objects.filter(package__isnull=False, received_at__range=(since, until), started_at__isnull=False)
    spans: dict[int, list[float]] = {}
    for package, begun, ended in rows.values_list("package", "started_at", "ended_at")[:20_000]:
        if begun is not None and ended is not None:
            spans.setdefault(int(package or 0), []).append((ended - begun).total_seconds())
    return {package: timedelta(seconds=median(values)) for package, values in spans.items()}
