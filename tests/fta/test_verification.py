"""Healed or not: judged by the alert that went away, or did not, or came back."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import signals
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.models import Alert, Execution, StepAttempt
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def actor(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actor]:
    settings.FTA_APPROVAL_GATE = stage.GATE
    FakeGate.reset()
    made = Actor()
    monkeypatch.setitem(RUNNERS, "act", made)
    factories.host()
    yield made
    FakeGate.reset()


@pytest.fixture
def judged() -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(execution: Execution, **kwargs: Any) -> None:
        heard.append(execution.healed)

    signals.healing_judged.connect(hear)
    yield heard
    signals.healing_judged.disconnect(hear)


def _healing(**fields: Any) -> Execution:
    rule = factories.rule(verify_within=600, verify_stay=1800, **fields)
    execution = stage.ready(rule=rule)
    stage.drain()
    assert (stage.state(execution), execution.healed) == ("succeeded", "pending")
    assert execution.verify_at is not None
    return execution


def _ago(execution: Execution, minutes: int) -> None:
    """Move the whole story of an execution into the past."""
    past = timezone.now() - timedelta(minutes=minutes)
    Execution.objects.filter(pk=execution.pk).update(
        ended_at=past, received_at=past, verify_at=past + timedelta(minutes=10)
    )
    Alert.objects.update(received_at=past)
    StepAttempt.objects.update(started_at=past)


def _resolve(execution: Execution, minutes_ago: int = 0) -> Alert:
    alert = execution.alert
    assert alert is not None
    alert.status, alert.resolved_at = "resolved", timezone.now() - timedelta(minutes=minutes_ago)
    alert.save()
    signals.announce(signals.alert_resolved, alert=alert)
    return alert


def test_it_says_healed_when_the_alert_goes_and_stays_away(judged: list[str]) -> None:
    execution = _healing()
    alert = _resolve(execution)
    stage.drain()
    execution.refresh_from_db()
    assert (execution.healed, judged) == ("resolved", [])
    assert execution.verify_at is not None
    assert alert.resolved_at is not None
    assert execution.verify_at >= alert.resolved_at + timedelta(minutes=30)
    past = timezone.now() - timedelta(minutes=31)
    Alert.objects.update(resolved_at=past)
    Execution.objects.update(ended_at=past, verify_at=timezone.now() - timedelta(seconds=1))
    stage.drain()
    execution.refresh_from_db()
    assert (execution.healed, execution.verify_at, judged) == ("healed", None, ["healed"])
    assert [line.kind for line in execution.history.all()][-2:] == ["healed.resolved", "healed.healed"]


def test_it_says_not_healed_when_the_alert_stays(judged: list[str]) -> None:
    execution = _healing()
    stage.drain()
    execution.refresh_from_db()
    assert execution.healed == "pending"
    _ago(execution, 11)
    stage.drain()
    execution.refresh_from_db()
    assert (execution.healed, judged) == ("not_healed", ["not_healed"])


def test_it_says_not_healed_when_the_alert_goes_too_late(judged: list[str]) -> None:
    execution = _healing()
    _ago(execution, 20)
    _resolve(execution, minutes_ago=5)
    stage.drain()
    execution.refresh_from_db()
    assert (execution.healed, judged) == ("not_healed", ["not_healed"])


def test_it_claims_no_healing_of_an_alert_that_went_before_anything_was_done(judged: list[str]) -> None:
    execution = _healing()
    _resolve(execution, minutes_ago=1)
    stage.drain()
    execution.refresh_from_db()
    assert (execution.healed, execution.verify_at, judged) == ("", None, [""])
    last = execution.history.last()
    assert last is not None
    assert (last.kind, "告警在执行前已恢复" in last.text) == ("healed.none", True)


def test_it_says_relapsed_as_soon_as_the_alert_comes_back(judged: list[str]) -> None:
    execution = _healing()
    alert = _resolve(execution)
    stage.drain()
    again = factories.alert(fingerprint=alert.fingerprint, source=alert.source)
    signals.announce(signals.alerts_fired, alerts=[again])
    stage.drain()
    execution.refresh_from_db()
    assert (execution.healed, judged) == ("relapsed", ["relapsed"])


def test_it_does_not_judge_what_failed_or_did_not_act(actor: Actor, judged: list[str]) -> None:
    actor.outcomes = [Outcome("failed")]
    failed = stage.ready(rule=factories.rule())
    stage.drain()
    idle = stage.ready(node(1, "mark_almost_success"), key="idle")
    stage.drain()
    assert (stage.state(failed), failed.healed, failed.verify_at) == ("failed", "", None)
    assert (stage.state(idle), idle.healed, idle.verify_at) == ("almost_succeeded", "", None)
    assert judged == []
