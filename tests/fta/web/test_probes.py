"""The probes of the platform and the figures for Prometheus."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from fta.healing.history import shift
from fta.models import Heartbeat, Inbox
from notify.models import Delivery
from tests import factories


@pytest.fixture
def beat(db: None) -> Heartbeat:
    return Heartbeat.objects.create(worker="w", role="engine", started_at=timezone.now(), beat_at=timezone.now())


def test_healthz_asks_nobody() -> None:
    assert Client().get("/healthz/").json() == {"status": "ok"}


def test_it_is_ready_with_an_engine_that_keeps_up(beat: Heartbeat) -> None:
    answer = Client().get("/readyz/")
    assert answer.status_code == 200
    assert set(answer.json()["parts"]) == {"database", "engine", "work", "wecom"}


def test_it_is_not_ready_without_an_engine(db: None) -> None:
    answer = Client().get("/readyz/")
    assert answer.status_code == 503
    assert answer.json()["parts"]["engine"]["state"] == "error"


def test_it_is_not_ready_with_a_silent_engine(beat: Heartbeat) -> None:
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(minutes=2))
    assert Client().get("/readyz/").status_code == 503


def test_it_is_not_ready_when_work_lies_about(beat: Heartbeat) -> None:
    old = timezone.now() - timedelta(minutes=10)
    Inbox.objects.create(source=factories.source(), kind="rest", raw=b"{}", received_at=old)
    part = Client().get("/readyz/").json()["parts"]["work"]
    assert part["state"] == "error"
    assert "inbox" in part["text"]


def test_it_tells_strangers_no_errors_of_others(beat: Heartbeat) -> None:
    Delivery.objects.create(
        kind="wecom_app", event="x", state="failed", last_error="not allow to access from your ip: 203.0.113.9",
        remedy="203.0.113.9", dedup_key="x", payload={}, recipients=[], created_at=timezone.now(),
    )  # fmt: skip
    answer = Client().get("/readyz/")
    assert answer.json()["parts"]["wecom"] == {"state": "warning"}
    assert "203.0.113.9" not in answer.content.decode()


def test_a_broker_that_is_away_is_told_and_no_error(beat: Heartbeat, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    answer = Client().get("/readyz/")
    assert answer.status_code == 200
    assert answer.json()["parts"]["broker"]["state"] == "warning"


def test_it_is_not_ready_without_a_database(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        answer = Client().get("/readyz/")
    assert answer.status_code == 503
    assert list(answer.json()["parts"]) == ["database"]


def test_metrics_tell_what_is_due_and_in_which_state(beat: Heartbeat) -> None:
    factories.business()
    alert = factories.alert()
    factories.execution(alert=alert, state="ready")
    text = Client().get("/metrics").content.decode()
    assert 'fta_executions{state="ready"} 1.0' in text
    assert 'fta_due_work{kind="execution"} 1.0' in text
    assert 'fta_due_work_age_seconds{kind="delivery"} 0.0' in text
    assert 'fta_alerts_received{source="rest"} 1.0' in text


def test_metrics_tell_the_moves_of_executions(db: None) -> None:
    factories.business()
    execution = factories.execution(alert=factories.alert(), state="ready")
    shift(execution, "running", timezone.now(), "开始")
    assert 'fta_execution_transitions_total{to="running"} 1.0' in Client().get("/metrics").content.decode()
