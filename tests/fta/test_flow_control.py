"""Flow control: what comes too fast, or waits in a line that stands still, is recorded and told in one message."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations, pipeline, signals
from fta.engine.loop import Engine
from fta.models import AuditEntry, ConfigVersion, Execution, ExecutionEvent, Heartbeat, Overflow, Package, Switch
from fta.pipeline import flow_control
from notify.models import Delivery
from tests import factories
from tests.fta.stage import FakeGate

State = Execution.State


@pytest.fixture(autouse=True)
def _stage(settings: Any) -> None:
    settings.FTA_APPROVAL_GATE = "tests.fta.stage.FakeGate"
    settings.FTA_WORK_KINDS = ["fta.pipeline.FlowControlKind"]
    FakeGate.reset()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The faults that were announced."""
    texts: list[str] = []

    def listen(text: str, **_: Any) -> None:
        texts.append(str(text))

    signals.system_fault.connect(listen)
    yield texts
    signals.system_fault.disconnect(listen)


@pytest.fixture
def now(game: Any) -> datetime:
    factories.host()
    return timezone.now()


@pytest.fixture
def package(now: datetime) -> Package:
    made = factories.package()
    factories.rule(package=made)
    factories.rule("看看", match={"alert_type": "cpu"}, package=None)
    ConfigVersion.bump("rules")
    return made


def fire(at: datetime, **fields: Any) -> Execution:
    found = pipeline.process(factories.alert(received_at=at, starts_at=at, **fields), at)
    assert found is not None
    found.refresh_from_db()
    return found


def run_due() -> None:
    Engine(work=["flow_control"]).drain()


def pass_time(**shift: float) -> None:
    """Let a spell be so much older."""
    for row in Overflow.objects.filter(told_at=None):
        row.began_at, row.last_at = row.began_at - timedelta(**shift), row.last_at - timedelta(**shift)
        row.save()


def test_it_records_what_comes_too_fast_and_tells_once(
    package: Package, now: datetime, told: list[str], settings: Any, admin: Any
) -> None:
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = 3
    runs = [fire(now + timedelta(seconds=number)) for number in range(6)]
    assert [run.state for run in runs] == ["ready"] * 3 + ["recorded"] * 3
    assert [run.verdict for run in runs[3:]] == ["flow_rate"] * 3
    assert "1 分钟内超过 3 条" in runs[3].reason
    assert runs[3].history.filter(kind="execution.recorded").exists()
    run_due()
    assert told == []  # it may go on

    pass_time(seconds=70)
    run_due()
    run_due()

    [text] = told
    assert "3 条仅记录、未自愈" in text
    assert "disk_full 3" in text
    assert "127.0.0.10 3" in text
    assert f"#{runs[3].pk} 至 #{runs[5].pk}" in text
    assert AuditEntry.objects.get(verb="flow_control.tell").data["count"] == 3
    mail = Delivery.objects.get(event="system.fault")  # no rule covers it: the admins are mailed
    assert mail.recipients == ["boss@example.com"]
    assert "3 条仅记录" in str(mail.payload)


def test_it_heals_again_when_the_storm_is_over(package: Package, now: datetime, settings: Any) -> None:
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = 2
    assert [fire(now).state for _ in range(3)] == ["ready", "ready", "recorded"]
    assert fire(now + timedelta(seconds=61)).state == "ready"


def test_it_leaves_alone_what_would_not_act_anyway(package: Package, now: datetime, settings: Any) -> None:
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = 1
    factories.rule("演练", match={"alert_type": "mem"}, package=factories.package("dry", mode="shadow"))
    ConfigVersion.bump("rules")
    runs = [fire(now), fire(now, alert_type="cpu"), fire(now, alert_type="mem")]
    assert [(run.state, run.verdict) for run in runs] == [
        ("ready", "proceed"),
        ("recorded", "proceed"),
        ("shadowed", "proceed"),
    ]
    assert not Overflow.objects.exists()


def test_it_can_be_switched_off(package: Package, now: datetime, settings: Any) -> None:
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = settings.FTA_STUCK_MINUTES = 0
    assert {fire(now).state for _ in range(5)} == {"ready"}
    ExecutionEvent.objects.update(at=now - timedelta(hours=1))
    beat(now - timedelta(hours=2))
    assert flow_control.FlowControlKind().due(10, now) == []


def test_it_begins_a_new_spell_after_one_was_told(
    package: Package, now: datetime, told: list[str], settings: Any
) -> None:
    settings.FTA_MAX_EXECUTIONS_PER_MINUTE = 1
    [fire(now) for _ in range(2)]
    pass_time(minutes=6)
    run_due()
    fire(now)
    pass_time(minutes=6)
    run_due()
    assert ["1 条仅记录" in text for text in told] == [True, True]
    assert Overflow.objects.exclude(told_at=None).count() == 2


def beat(since: datetime) -> None:
    Heartbeat.objects.update_or_create(
        worker="e1", defaults={"role": "engine", "started_at": since, "beat_at": timezone.now()}
    )


@pytest.fixture
def line(package: Package, now: datetime, monkeypatch: pytest.MonkeyPatch) -> list[Execution]:
    """Seven that are ready, for a quarter of an hour, beside an engine that is up; three may stay."""
    monkeypatch.setattr(flow_control, "KEPT", 3)
    beat(now - timedelta(hours=1))
    runs = [fire(now) for _ in range(7)]
    ExecutionEvent.objects.update(at=now - timedelta(minutes=15))
    return runs


def states(runs: list[Execution]) -> list[str]:
    return [Execution.objects.get(pk=run.pk).state for run in runs]


def test_it_shortens_a_line_that_stands_still(line: list[Execution], told: list[str]) -> None:
    run_due()
    assert states(line) == ["ready"] * 3 + ["recorded"] * 4
    last = Execution.objects.get(pk=line[-1].pk)
    assert (last.verdict, last.ended_at is not None) == ("flow_ready", True)
    assert len(FakeGate.told("withdraw")) == 4
    pass_time(seconds=70)
    run_due()
    [text] = told
    assert "4 条仅记录、未自愈" in text
    assert f"#{line[3].pk} 至 #{line[6].pk}" in text


def test_it_tells_of_a_line_that_is_stuck_but_short(
    line: list[Execution], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_control, "KEPT", 100)
    run_due()
    pass_time(seconds=70)
    run_due()
    assert states(line) == ["ready"] * 7
    [text] = told
    assert "暂无因此未自愈的" in text


def test_it_keeps_what_a_person_approved_and_what_has_begun(line: list[Execution], now: datetime) -> None:
    Execution.objects.filter(pk=line[5].pk).update(needs_approval=True)
    Execution.objects.filter(pk=line[6].pk).update(started_at=now)
    run_due()
    assert states(line) == ["ready"] * 3 + ["recorded"] * 2 + ["ready"] * 2


@pytest.mark.parametrize("why", ["halted", "resumed", "engine started", "no engine", "just became ready"])
def test_it_waits_for_a_line_that_had_no_chance(line: list[Execution], now: datetime, admin: Any, why: str) -> None:
    if why in ("halted", "resumed"):
        switch = operations.halt(Switch.Scope.ALL, "", "割接", None, admin.user, now)
        if why == "resumed":
            operations.resume(switch, admin.user, now)
    elif why == "engine started":
        beat(now - timedelta(minutes=1))
    elif why == "no engine":
        Heartbeat.objects.update(beat_at=now - timedelta(minutes=5))
    else:
        ExecutionEvent.objects.update(at=now)
    run_due()
    assert states(line) == ["ready"] * 7
    assert not Overflow.objects.exists()
