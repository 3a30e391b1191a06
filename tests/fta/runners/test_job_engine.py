"""作业平台 / 标准运维 through the engine: parked without a worker, stopped, followed up, and reached by a credential."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations
from fta.healing import inner
from fta.healing.validation import Problem
from fta.models import Credential, Execution, StepRun
from tests import factories
from tests.fta import stage
from tests.fta.runners import platforms
from tests.fta.runners.platforms import Platform
from tests.fta.runners.sink import Sink


@pytest.fixture
def awx(sink: Sink, settings: Any, db: None) -> Iterator[Platform]:
    settings.FTA_APPROVAL_GATE = stage.GATE
    stage.FakeGate.reset()
    platform = platforms.platforms()["awx"]
    sink.answer = platform
    Credential.objects.create(name="awx", kind="token", url=sink.url, secret=platform.token)
    factories.host()
    yield platform
    stage.FakeGate.reset()


def _ready(**fields: Any) -> Execution:
    params = {"preset": "awx", "credential": "awx", "inputs": {"template": 12}}
    execution = stage.ready(
        stage.node(1, "job", params=params, success=2), stage.node(2, "mark_almost_success"), **fields
    )
    stage.drain()
    return execution


def _wake() -> None:
    StepRun.objects.filter(state="waiting").update(not_before=timezone.now() - timedelta(seconds=1))
    stage.drain()


def test_it_holds_no_worker_while_the_job_runs(awx: Platform) -> None:
    execution = _ready()
    step = execution.steps.get()
    assert (step.state, step.lease_until, step.attempt) == ("waiting", None, 0)
    _wake()
    awx.end("succeeded")
    _wake()
    assert stage.state(execution) == "almost_succeeded"
    assert [line.kind for line in execution.history.all()].count("step.waiting") == 1, "a question is no event"


@pytest.mark.parametrize("late", [False, True])
def test_who_stops_an_execution_stops_its_job(awx: Platform, late: bool) -> None:
    execution = _ready()
    if late:
        Execution.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    else:
        operations.abort(execution, factories.person("lisi", "operator").user, "误报", timezone.now())
        assert (awx.stopped, stage.state(execution)) == (0, "running")
    stage.drain()
    assert awx.stopped == 1
    assert stage.state(execution) == ("failed" if late else "cancelled")
    assert execution.steps.get().state == "cancelled"


def test_a_worker_that_vanished_while_asking_is_followed_by_another(awx: Platform) -> None:
    execution = _ready()
    StepRun.objects.update(
        state="running", attempt=1, lease_until=timezone.now() - timedelta(seconds=1), not_before=None
    )
    awx.end("succeeded")
    stage.drain()
    assert (stage.state(execution), len(awx.submitted)) == ("almost_succeeded", 1)


def test_a_worker_that_vanished_while_submitting_leaves_it_unknown(awx: Platform) -> None:
    execution = _ready()
    lost = {"state": "running", "result": {}, "lease_until": timezone.now() - timedelta(seconds=1), "not_before": None}
    StepRun.objects.update(**lost)
    stage.drain()
    assert (stage.state(execution), len(awx.submitted)) == ("unknown", 1)


def test_the_address_of_the_credential_is_part_of_the_plan(awx: Platform, sink: Sink) -> None:
    execution = stage.ready(
        stage.node(1, "job", params={"preset": "awx", "credential": "awx", "inputs": {"template": 12}})
    )
    assert execution.plan["foreseen"] == {"1": {"url": sink.url}}
    assert awx.token not in json.dumps(execution.plan)
    Credential.objects.update(url=f"{sink.url}/elsewhere")
    stage.drain()
    assert (stage.state(execution), sink.seen) == ("failed", [])
    Credential.objects.update(kind="password")
    again = stage.ready(package=execution.package)
    assert "awx" in again.plan["problems"][0]


@pytest.mark.parametrize(
    ("owner", "package", "run", "serves"),
    [
        ("", "game", "game", True),
        ("pay", "game", "game", False),
        ("pay", "", "game", False),
        ("pay", "", "pay", True),
        ("pay", "pay", "pay", True),
        ("pay", "game", "pay", False),
        ("pay", "", "", False),
    ],
)
def test_a_credential_of_a_business_serves_no_other(
    awx: Platform, owner: str, package: str, run: str, serves: bool
) -> None:
    firms = {"": None, **{code: factories.business(code) for code in ("game", "pay")}}
    call = stage.node(1, "job", params={"preset": "awx", "credential": "awx", "inputs": {"template": 12}})
    made = factories.package("call", nodes=[call], business=firms[package])
    execution = stage.ready(package=made, business=firms[run])
    assert execution.plan["problems"] == []
    Credential.objects.update(business=firms[owner])
    again = stage.ready(package=made, business=firms[run])
    assert [("awx" in problem, "另一个业务" in problem) for problem in again.plan["problems"]] == [(True, True)] * (
        not serves
    )
    stage.drain()  # the plan of the first was frozen before
    assert (stage.state(execution), len(awx.submitted) > 0) == (("running", True) if serves else ("failed", False))
    known = [Problem("nodes[0].params.credential", 1, "凭据 awx 属于另一个业务")]
    assert inner.problems_of(made.current.nodes, "call", firms[package]) == known * (
        package not in ("", owner or package)
    )
