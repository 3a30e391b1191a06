"""Executions that wait for others: woken by their end, and never asleep for good."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from fta import pipeline
from fta.healing.ending import end_execution
from fta.healing.history import lock
from fta.models import Alert, Execution, Package
from tests import factories
from tests.conftest import only_on_postgres
from tests.fta.deciding import approved, asked, become, begin, converge_by, drain, heal, make_rule

State = Execution.State


@pytest.fixture(autouse=True)
def _stage(settings: Any) -> None:
    begin(settings)


@pytest.fixture
def now(game: Any) -> datetime:
    factories.host()
    return timezone.now()


@pytest.fixture
def package(now: datetime) -> Package:
    return factories.package()


def two_of_a_kind(package: Package, now: datetime, function: str = "skip_when_success", **rule: Any) -> list[Execution]:
    make_rule(package=package, **rule)
    converge_by(function)
    first = heal(now)
    become(first, State.RUNNING)
    second = heal(now)
    assert (second.state, second.verdict) == ("sleeping", "wait")
    assert second.wake_at == now + timedelta(seconds=60)
    return [first, second]


@pytest.mark.parametrize(("end", "then"), [("succeeded", "skipped"), ("failed", "ready"), ("unknown", "held")])
def test_it_wakes_a_sleeper_when_the_other_ends(package: Package, now: datetime, end: str, then: str) -> None:
    first, second = two_of_a_kind(package, now)
    become(first, end)
    drain()
    second.refresh_from_db()
    assert second.state == "sleeping"  # not due yet
    become(second, State.SLEEPING, wake_at=now)
    drain()
    second.refresh_from_db()
    assert second.state == then


@pytest.mark.parametrize(("end", "then"), [("succeeded", "skipped"), ("failed", "ready")])
def test_an_end_wakes_the_sleeper_and_it_goes_on_at_once(package: Package, now: datetime, end: str, then: str) -> None:
    first, second = two_of_a_kind(package, now)
    first.refresh_from_db()
    end_execution(first, end, "", timezone.now())
    drain()
    second.refresh_from_db()
    assert second.state == then


def test_it_lets_a_sleeper_sleep_on(package: Package, now: datetime) -> None:
    _, second = two_of_a_kind(package, now)
    become(second, State.SLEEPING, wake_at=now)
    drain()
    second.refresh_from_db()
    assert second.state == "sleeping"
    assert second.wake_at is not None
    assert second.wake_at > timezone.now()


def test_it_skips_a_sleeper_past_half_of_its_time(package: Package, now: datetime) -> None:
    _, second = two_of_a_kind(package, now - timedelta(minutes=5), timeout=601)
    become(second, State.SLEEPING, wake_at=now)
    drain()
    second.refresh_from_db()
    assert second.state == "sleeping"
    become(second, State.SLEEPING, wake_at=now, deadline_at=second.received_at + timedelta(minutes=10))
    drain()
    second.refresh_from_db()
    assert (second.state, second.reason) == ("skipped", "收敛等待超时")


def test_it_skips_a_sleeper_whose_alert_has_resolved(package: Package, now: datetime) -> None:
    _, second = two_of_a_kind(package, now)
    alert = second.alert
    assert alert is not None
    Alert.objects.filter(pk=alert.pk).update(status="resolved", resolved_at=now)
    pipeline.resolved(alert)
    drain()
    second.refresh_from_db()
    assert (second.state, second.reason) == ("skipped", "等待期间告警已恢复")


def test_it_does_not_ask_again_for_what_was_approved(package: Package, now: datetime) -> None:
    _, second = two_of_a_kind(package, now - timedelta(minutes=30), "wait_when_running")
    become(second, State.SLEEPING, wake_at=now, needs_approval=True)
    approved.add(second.pk)
    drain()
    second.refresh_from_db()
    assert second.state == "ready"
    assert asked == []


def test_it_ends_an_approved_sleeper_at_its_deadline(package: Package, now: datetime) -> None:
    _, second = two_of_a_kind(package, now - timedelta(minutes=41))
    become(second, State.SLEEPING, wake_at=now, needs_approval=True)
    approved.add(second.pk)
    drain()
    second.refresh_from_db()
    assert (second.state, second.reason) == ("skipped", "收敛等待超时")


def test_it_hands_on_a_sleeper_that_a_person_started(package: Package, now: datetime) -> None:
    host = factories.host("127.0.0.11", "web-11")
    run = factories.execution(package=package, host=host, state=State.SLEEPING, wake_at=now)
    drain()
    run.refresh_from_db()
    assert run.state == "ready"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", [State.SLEEPING, State.HELD])
def test_a_recovery_waits_for_nobody_who_decides_about_its_execution(game: Any, state: str) -> None:
    only_on_postgres("SQLite lets one at a time begin")
    factories.host()
    make_rule(package=factories.package(), void_when_resolved=True)
    run = heal(timezone.now())
    become(run, state, wake_at=timezone.now() + timedelta(minutes=1))
    Alert.objects.update(status="resolved")
    locked, kept = threading.Event(), threading.Event()

    def decide() -> None:
        try:
            with transaction.atomic():
                lock(run.pk)
                locked.set()
                kept.wait(10)
        finally:
            connection.close()

    person = threading.Thread(target=decide)
    person.start()
    locked.wait(10)
    try:
        with transaction.atomic():
            pipeline.resolved(Alert.objects.get())
    finally:
        kept.set()
        person.join(10)
    drain()
    run.refresh_from_db()
    assert (run.state, run.reason) == ("skipped", "告警已恢复，规则要求不再执行")


def test_it_ends_nothing_that_was_let_go_a_moment_ago(package: Package, now: datetime) -> None:
    make_rule(package=package, void_when_resolved=True)
    run = heal(now)
    become(run, State.HELD)
    Alert.objects.update(status="resolved")
    assert pipeline.SleeperKind().due(5, now) == [run.pk]
    become(run, State.RUNNING, started_at=now)
    pipeline.SleeperKind().do(run.pk)
    run.refresh_from_db()
    assert run.state == "running"
