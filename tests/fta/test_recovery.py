"""Steps whose worker vanished: what the journal of the host knows decides, and no script begins twice."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from fta import signals
from fta.engine.claim import NotClaimed
from fta.healing import recovery
from fta.healing.canonical import sha256_of
from fta.healing.claims import take_over
from fta.healing.kind import ExecutionKind, StepKind
from fta.healing.runners import running
from fta.healing.runners.journal import Journal
from fta.healing.runners.targets import Local
from fta.lib import ssh
from fta.models import Execution, StepAttempt, StepRun
from tests import factories
from tests.fta import stage
from tests.fta.stage import FakeGate, node

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """The worker is killed at this point: nothing that it would do any more is done."""


@pytest.fixture(autouse=True)
def _scene(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.VAR_DIR = tmp_path
    settings.FTA_LOCAL_SCRIPTS = True
    settings.FTA_APPROVAL_GATE = stage.GATE
    FakeGate.reset()
    factories.host(connection="local")
    yield
    FakeGate.reset()


@pytest.fixture
def faults() -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(text: str, subject: str, **kwargs: Any) -> None:
        heard.append(subject)

    signals.system_fault.connect(hear)
    yield heard
    signals.system_fault.disconnect(hear)


def before(*args: Any, **kwargs: Any) -> None:
    raise Killed


def behind(real: Callable[..., Any]) -> Callable[..., Any]:
    def act(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Killed

    return act


def lost_at(point: str, monkeypatch: pytest.MonkeyPatch, script: str, **fields: Any) -> tuple[Execution, StepRun]:
    """Run a package of one script until its worker is killed at the point, and let its lease lapse."""
    execution = stage.ready(node(1, "script", params={"script": script}, **fields))
    ExecutionKind().do(execution.pk)
    step = execution.steps.get()
    verb, _, place = point.partition(" ")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, verb, before if place == "before" else behind(getattr(Journal, verb)))
        with pytest.raises(Killed):
            StepKind().do(step.pk)
    StepRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    step.refresh_from_db()
    assert step.state == "running"
    return execution, step


@pytest.mark.parametrize(
    ("point", "policy"),
    [
        ("open before", "once"),
        ("start before", "once"),
        ("start before", "idempotent"),
        ("start behind", "once"),
        ("start behind", "probe"),
        ("start behind", "idempotent"),
        ("close behind", "once"),
    ],
)
def test_a_script_runs_once_wherever_its_worker_was_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, faults: list[str], policy: str, point: str
) -> None:
    execution, step = lost_at(point, monkeypatch, f"echo run >> {tmp_path}/runs; echo said", policy=policy)
    stage.drain()
    step.refresh_from_db()
    assert (stage.state(execution), step.state, step.attempt) == ("succeeded", "succeeded", 1)
    assert step.output.endswith("said\n") == (point != "close behind")
    assert (tmp_path / "runs").read_text() == "run\n"
    assert faults == []


def test_a_worker_that_wakes_behind_the_one_that_asked_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[Any] = []
    real = Journal.start

    def pause(*args: Any) -> None:
        sent.append(args)
        raise Killed

    monkeypatch.setattr("tests.fta.test_recovery.before", pause)
    execution, _ = lost_at("start before", monkeypatch, f"echo run >> {tmp_path}/runs")
    stage.drain()
    assert real(*sent[0]).word == "never"
    assert (stage.state(execution), (tmp_path / "runs").read_text()) == ("succeeded", "run\n")


def test_the_row_is_judged_as_it_was_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The worker writes down its entry while it is being found to have begun nothing: it is not started beside it."""
    _, step = lost_at("open before", monkeypatch, "echo never by the reaper")
    real = recovery._settle

    def settle(*args: Any) -> None:
        StepRun.objects.filter(pk=step.pk, fence=step.fence).update(journal="some-journal/some-entry")
        real(*args)

    monkeypatch.setattr(recovery, "_settle", settle)
    recovery.reap(step.pk, timezone.now())
    step.refresh_from_db()
    assert (step.state, step.attempt) == ("running", 1)


def test_one_of_two_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    execution, step = lost_at("start behind", monkeypatch, "sleep 0.2")
    real, asked = Journal.ask, []

    def ask(self: Journal, *args: Any) -> Any:
        asked.append(1)
        recovery.reap(step.pk, timezone.now())  # the other one
        return real(self, *args)

    monkeypatch.setattr(Journal, "ask", ask)
    recovery.reap(step.pk, timezone.now())
    assert (stage.state(execution), len(asked)) == ("succeeded", 1)
    found = StepAttempt.objects.order_by("fence").values_list("number", "state")
    assert list(found) == [(1, "unknown"), (1, "succeeded")]


def test_nobody_takes_over_by_what_he_read_before_another_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one has vanished too since: both would hold the step by the same fence."""
    _, step = lost_at("start behind", monkeypatch, "echo ran")
    StepRun.objects.update(fence=step.fence + 1)
    with pytest.raises(NotClaimed):
        take_over(step, timezone.now())


@pytest.mark.parametrize("policy", ["once", "probe"])
def test_what_the_journal_does_not_know_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, faults: list[str], policy: str
) -> None:
    execution, step = lost_at("start behind", monkeypatch, f"echo run >> {tmp_path}/runs", policy=policy)
    (tmp_path / "journal").rename(tmp_path / "away")
    stage.drain()
    step.refresh_from_db()
    assert (stage.state(execution), step.state, step.outcome) == ("unknown", "unknown", "lost")
    assert faults == [f"step:{step.pk}:unknown"]
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_host_that_is_away_for_a_while_is_asked_again_and_holds_no_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, faults: list[str]
) -> None:
    execution = stage.ready(node(1, "script", params={"script": f"echo run >> {tmp_path}/runs; sleep 1"}))
    with monkeypatch.context() as patch:
        patch.setattr(running, "_AWAY", 0.1)
        patch.setattr(running, "_PAUSE", 0.05)
        patch.setattr(Local, "call", away_but_for("open", "start"))
        patch.setattr(Journal, "start", lambda *args, real=Journal.start: real(*args) and None)
        for _ in range(3):
            stage.drain()
            assert (stage.state(execution), execution.steps.get().state) == ("running", "running")
            StepRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    stage.drain()
    assert (stage.state(execution), (tmp_path / "runs").read_text(), faults) == ("succeeded", "run\n", [])
    assert execution.history.filter(kind="step.taken_over").count() == 1


def test_a_host_that_stays_away_makes_the_result_unknown(monkeypatch: pytest.MonkeyPatch, faults: list[str]) -> None:
    execution, step = lost_at("start behind", monkeypatch, "echo ran")
    monkeypatch.setattr(running, "_AWAY", 0.1)
    monkeypatch.setattr(running, "_PAUSE", 0.05)
    monkeypatch.setattr(Local, "call", away_but_for())
    StepRun.objects.update(started_at=timezone.now() - timedelta(seconds=600) - recovery.AWAY)
    stage.drain()
    assert (stage.state(execution), faults) == ("unknown", [f"step:{step.pk}:unknown"])
    assert "连不上" in execution.steps.get().error


def away_but_for(*verbs: str) -> Callable[..., bytes]:
    """Return a call of the journal that finds the host away, but for these verbs."""
    real = Local.call

    def call(self: Local, command: Sequence[str], given: bytes, seconds: float) -> bytes:
        if command[6] not in verbs:
            raise ssh.NotReached("away", again=True)
        return real(self, command, given, seconds)

    return call


def test_nobody_is_asked_by_an_altered_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    execution, step = lost_at("start behind", monkeypatch, f"echo run >> {tmp_path}/runs")
    host = execution.plan["hosts"][0] | {"connection": "ssh", "ip": "127.0.0.66"}
    plan = execution.plan | {"hosts": [host]}
    Execution.objects.filter(pk=execution.pk).update(plan=plan, plan_sha256=sha256_of(plan))
    monkeypatch.setattr(Journal, "ask", before)
    stage.drain()
    step.refresh_from_db()
    assert (step.state, "校验值" in step.error) == ("unknown", True)


def test_a_script_of_a_stopped_execution_is_ended_by_the_next_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    execution, step = lost_at("start behind", monkeypatch, f"sleep 60; touch {tmp_path}/ran")
    Execution.objects.update(cancel_requested=True, reason="不要了")
    stage.drain()
    step.refresh_from_db()
    assert (stage.state(execution), step.state, step.outcome) == ("cancelled", "cancelled", "killed")
    assert not (tmp_path / "ran").exists()


def test_a_step_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch, faults: list[str]) -> None:
    execution, step = lost_at("open before", monkeypatch, "echo ran")
    for fence in range(100, 100 + recovery.CRASHES):
        StepAttempt.objects.create(step=step, fence=fence, number=1, started_at=timezone.now())
    stage.drain()
    step.refresh_from_db()
    assert (stage.state(execution), step.state, faults) == ("failed", "failed", [])


def test_output_is_stored_while_the_script_runs_and_only_by_who_holds_the_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wait = f"while [ ! -e {tmp_path}/%s ]; do sleep 0.05; done"
    script = f"echo one; {wait % 'first'}; echo two; {wait % 'second'}; echo three"
    execution = stage.ready(node(1, "script", params={"script": script}))
    ExecutionKind().do(execution.pk)
    step = execution.steps.get()
    seen: list[str] = []
    real = Journal.read

    def read(self: Journal, *args: Any) -> Any:
        seen.append(StepRun.objects.values_list("output", flat=True).get())
        if seen[-1] == "one\n":
            (tmp_path / "first").touch()
        elif seen[-1] == "one\ntwo\n":
            StepRun.objects.update(fence=99)
            (tmp_path / "second").touch()
        return real(self, *args)

    monkeypatch.setattr(Journal, "read", read)
    StepKind().do(step.pk)
    step.refresh_from_db()
    assert set(seen) - {""} == {"one\n", "one\ntwo\n"}
    assert (step.state, step.output) == ("running", "one\ntwo\n")
