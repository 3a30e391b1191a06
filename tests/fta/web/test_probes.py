"""The probes of the platform and the figures for Prometheus."""

import contextlib
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from fta.healing.halts import HaltKind
from fta.healing.history import shift
from fta.models import Heartbeat, Inbox, StepRun, Switch
from notify.models import Delivery
from tests import factories


@pytest.fixture
def beat(db: None) -> Heartbeat:
    return Heartbeat.objects.create(worker="w", role="engine", started_at=timezone.now(), beat_at=timezone.now())


def test_healthz_asks_nobody() -> None:
    assert Client().get("/healthz/").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz/", 200), ("/readyz/", 200), ("/metrics", 200), ("/login/", 400)]
)
def test_a_platform_asks_by_the_address_of_a_container(beat: Heartbeat, settings: Any, path: str, status: int) -> None:
    settings.ALLOWED_HOSTS = ["mycompany.com"]
    assert Client(headers={"host": "172.17.0.5:8000"}).get(path).status_code == status


def test_it_is_ready_with_an_engine_that_keeps_up(beat: Heartbeat) -> None:
    answer = Client().get("/readyz/")
    assert answer.status_code == 200
    assert set(answer.json()["parts"]) == {"database", "broker", "engine", "work", "wecom"}
    assert answer.json()["parts"]["broker"] == {"state": "ok", "text": "没有设置，由引擎轮询处理", "remedy": ""}


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


def test_what_was_called_off_is_no_message_that_was_sent(beat: Heartbeat) -> None:
    for state in ("failed", "sent"):
        Delivery.objects.create(
            kind="wecom_app", event="x", state=state, dedup_key=state, payload={}, created_at=timezone.now()
        )
    assert Client().get("/readyz/").json()["parts"]["wecom"]["state"] == "warning"
    figures = Client().get("/metrics").content.decode()
    assert 'fta_deliveries{state="failed"} 1.0' in figures
    assert 'fta_deliveries{state="sent"}' not in figures
    said = StringIO()
    with contextlib.suppress(SystemExit):
        call_command("doctor", stdout=said, no_color=True)
    assert "warn  wecom" in said.getvalue()


@pytest.mark.parametrize(
    ("ended_ago", "status", "due"),
    [(None, 200, "0.0"), (10, 200, "1.0"), (600, 503, "1.0")],
    ids=["in force", "just over", "over"],
)
def test_what_a_switch_holds_back_is_not_due(beat: Heartbeat, ended_ago: int | None, status: int, due: str) -> None:
    now = timezone.now()
    long_ago = now - timedelta(minutes=20)
    ready, running = factories.execution(state="ready", received_at=long_ago), factories.execution(state="running")
    step = factories.step(running, state="ready")
    StepRun.objects.update(created_at=long_ago)
    switch = Switch.objects.create(scope="all", reason="机房断电", created_by="boss")
    HaltKind().do(switch.pk)
    ready.history.update(at=long_ago)
    if ended_ago is not None:
        Switch.objects.update(ended_at=now - timedelta(seconds=ended_ago))
        StepRun.objects.filter(pk=step.pk).update(not_before=now)  # a claim that a switch refused is put off
    assert Client().get("/readyz/").status_code == status
    figures = Client().get("/metrics").content.decode()
    assert f'fta_due_work{{kind="execution"}} {due}' in figures
    assert f'fta_due_work{{kind="step"}} {due}' in figures
    said = StringIO()
    with contextlib.suppress(SystemExit):
        call_command("doctor", stdout=said, no_color=True)
    assert ("fail  due work" in said.getvalue()) == (status == 503)


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
    assert list(answer.json()["parts"]) == ["database", "broker"]


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
