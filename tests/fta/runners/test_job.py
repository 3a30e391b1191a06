"""作业平台 / 标准运维 against a stand-in of every preset, on loopback."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.healing.runners.job_system import InvalidSystem, presets, read
from fta.models import Execution, StepRun
from tests.fta.runners import platforms
from tests.fta.runners.conftest import STEP_KEY, context
from tests.fta.runners.platforms import ARGUMENTS, Platform
from tests.fta.runners.sink import Sink

NAMES = sorted(presets())
VALUES = {"ip": "10.0.0.1", "labels.a": "A"}


class Job:
    """A job node and its step, run again and again as the engine does."""

    def __init__(self, sink: Sink, platform: Platform, **params: Any) -> None:
        self.params = {
            "preset": platform.name,
            "url": sink.url,
            "secret": "token",
            "arguments": ARGUMENTS,
            **platform.params,
            **params,
        }
        self.secrets = {"token": platform.token}
        self.step = StepRun(execution=Execution(pk=7), node=1, type="job", policy="once", idem_key=STEP_KEY, fence=3)
        sink.answer = platform

    def run(self, values: Any = None, verb: str = "run", **given: Any) -> Outcome:
        assert RUNNERS["job"].validate(self.params) == []
        made = context("job", self.params, values or VALUES, step=self.step, raw_secrets=self.secrets, **given)
        outcome: Outcome = getattr(RUNNERS["job"], verb)(made)
        self.step.result = outcome.result
        return outcome


@pytest.mark.parametrize("name", NAMES)
def test_it_submits_a_job_and_asks_until_it_has_ended(sink: Sink, name: str) -> None:
    platform = platforms.platforms()[name]
    job = Job(sink, platform, read={"word": "@ && 'read'"})
    first = job.run()
    assert first.state == "waiting"
    assert first.until is not None
    assert (platform.submitted, job.step.result["asking"]["asked"]) == ([platform.given], 1)
    assert job.run().state == "waiting"
    platform.end("running")
    assert job.run().state == "waiting"
    assert RUNNERS["job"].leaves_running(job.step)
    platform.end("succeeded")
    done = job.run()
    assert (done.state, done.result["word"], len(platform.submitted)) == ("succeeded", "read", 1)
    assert not RUNNERS["job"].leaves_running(job.step)
    outputs = {
        "awx": "PLAY RECAP ok=3",
        "rundeck": "one\ntwo",
        "jenkins": "Finished: SUCCESS",
        "bk_job": "10.0.0.1 exit 0 ok",
    }
    assert done.output == outputs.get(name, "")
    assert platform.started == (1 if name == "bk_sops" else 0)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_that_a_job_failed_and_retries_it_as_a_new_one(sink: Sink, name: str) -> None:
    platform = platforms.platforms()[name]
    job = Job(sink, platform)
    job.run()
    platform.end("failed")
    failed = job.run()
    assert (failed.state, failed.retryable) == ("failed", False)
    assert str(platform.words["failed"]) in failed.error
    assert job.run().state == "waiting"
    assert (len(platform.submitted), job.step.result["asking"]["tries"]) == (2, 2)


@pytest.mark.parametrize("name", NAMES)
def test_it_stops_a_job(sink: Sink, name: str) -> None:
    platform = platforms.platforms()[name]
    job = Job(sink, platform)
    job.run()
    platform.end("running")
    stopped = job.run(verb="stop")
    assert (stopped.state, platform.stopped) == ("cancelled", 1)
    assert not RUNNERS["job"].leaves_running(job.step)


def test_it_does_not_stop_a_job_that_has_ended_and_says_when_stopping_failed(sink: Sink) -> None:
    platform = platforms.platforms()["awx"]
    job = Job(sink, platform)
    job.run()
    sink.behaviour = "drop"
    assert job.run(verb="stop").state == "unknown"
    sink.behaviour = "answer"
    platform.end("succeeded")
    assert (job.run(verb="stop").state, platform.stopped) == ("cancelled", 0)


def test_it_takes_a_queued_build_out_of_the_queue(sink: Sink) -> None:
    platform = platforms.platforms()["jenkins"]
    job = Job(sink, platform)
    job.run()
    assert job.run(verb="stop").state == "cancelled"
    assert sink.seen[-1].path == "/queue/cancelItem?id=41"


@pytest.mark.parametrize(
    ("name", "behaviour", "state"),
    [("awx", "drop", "unknown"), ("jenkins", "drop", "unknown"), ("bk_sops", "drop", "waiting")],
)
def test_a_lost_answer_to_a_submit_is_unknown_unless_submitting_alone_does_nothing(
    sink: Sink, name: str, behaviour: str, state: str
) -> None:
    platform = platforms.platforms()[name]
    job = Job(sink, platform)
    sink.behaviour = behaviour
    outcome = job.run()
    assert (outcome.state, outcome.retryable) == (state, False)
    assert outcome.error


def test_a_lost_start_is_sent_again_only_when_the_task_was_not_started(sink: Sink) -> None:
    platform = platforms.platforms()["bk_sops"]
    job = Job(sink, platform)
    job.run()
    platform.word, platform.started = "CREATED", 0  # as if the start had never come
    job.run()
    assert (platform.started, platform.word, len(platform.submitted)) == (1, "RUNNING", 1)


SYSTEM: dict[str, Any] = {
    "auth": {"header": "X-Token"},
    "inputs": {"flow": {"label": "流程", "required": True}},
    "submit": {"path": "/run/{flow}", "json": {"args": "{arguments}"}, "id": "run.id", "key_header": "Idempotency-Key"},
    "poll": {"path": "/run/{id}", "state": "state"},
    "states": {"running": ["busy"], "succeeded": ["done"], "failed": ["bad"]},
    "stop": [{"path": "/run/{id}/stop"}],
}


def _own(sink: Sink, **changes: Any) -> tuple[Job, Platform]:
    def serve(job: Platform, call: str, seen: Any) -> Any:
        if call == "POST /run/a/b":
            job.take(seen.headers.get("Idempotency-Key"))
            return platforms.reply({"run": {"id": "r-1"}})
        return platforms.reply({"state": job.word}) if call == "GET /run/r-1" else None

    words = {"running": "busy", "succeeded": "done", "failed": "bad"}
    platform = Platform("own", "own-canary-0123", ("X-Token", "own-canary-0123"), words, {}, serve)
    job = Job(sink, platform, system=SYSTEM | changes, inputs={"flow": "a/b"})
    del job.params["preset"]
    return job, platform


def test_an_author_may_describe_a_system_and_a_key_makes_a_lost_submit_repeatable(sink: Sink) -> None:
    job, platform = _own(sink)
    sink.behaviour = "drop"
    assert job.run().state == "waiting"
    sink.behaviour = "answer"
    assert job.run().state == "waiting"
    platform.end("failed")
    assert job.run().state == "failed"
    job.run()
    assert platform.submitted == [str(STEP_KEY), f"{STEP_KEY}-2"]
    assert [seen.headers["Idempotency-Key"] for seen in sink.seen[:2]] == [str(STEP_KEY)] * 2
    platform.end("succeeded")
    assert job.run().state == "succeeded"


def test_it_tries_a_lost_submit_again_only_while_it_has_time(sink: Sink) -> None:
    job, _platform = _own(sink)
    sink.behaviour = "drop"
    job.run()
    assert job.run(now=timezone.now() + timedelta(seconds=60)).state == "unknown"


def test_it_asks_again_after_a_question_without_an_answer_and_stops_a_job_that_is_late(sink: Sink) -> None:
    platform = platforms.platforms()["rundeck"]
    job = Job(sink, platform)
    job.run(timeout=30.0)
    sink.behaviour = "drop"
    waiting = job.run()
    assert (waiting.state, bool(waiting.error)) == ("waiting", True)
    sink.behaviour = "answer"
    platform.word = "incomplete"
    assert "incomplete" in job.run().error
    late = job.run(now=timezone.now() + timedelta(seconds=31))
    assert (late.state, late.outcome, platform.stopped) == ("failed", "timeout", 1)


def test_it_stops_a_job_for_which_the_system_ignored_a_part(sink: Sink) -> None:
    platform = platforms.platforms()["awx"]
    serve = platform.serve

    def ignoring(job: Platform, call: str, seen: Any) -> Any:
        answer = serve(job, call, seen)
        launched = {"job": 77, "ignored_fields": {"limit": "10.0.0.1"}}
        return platforms.reply(launched, 201) if answer and call.endswith("launch/") else answer

    platform.serve = ignoring
    outcome = Job(sink, platform).run()
    assert (outcome.state, outcome.outcome, platform.stopped) == ("failed", "refused", 1)
    assert "limit" in outcome.error


@pytest.mark.parametrize(
    ("status", "body", "state", "outcome"),
    [
        (400, b'{"detail": "bad"}', "failed", "refused"),
        (401, b"", "failed", "refused"),
        (502, b"Bad Gateway", "unknown", "no_answer"),
        (200, b'{"result": false, "message": "no permission"}', "failed", "refused"),
        (200, b"<html>", "unknown", "no_answer"),
        (200, b'{"result": true, "data": {}}', "unknown", "no_answer"),
        (200, b'{"result": true, "data": {"job_instance_id": "../1"}}', "unknown", "no_answer"),
    ],
)
def test_it_tells_a_refusal_from_an_answer_that_says_nothing(
    sink: Sink, status: int, body: bytes, state: str, outcome: str
) -> None:
    platform = platforms.platforms()["bk_job"]
    job = Job(sink, platform)
    sink.answer, sink.status, sink.body = None, status, body
    found = job.run()
    assert (found.state, found.outcome) == (state, outcome)
    assert "canary" not in found.error + found.output


def test_it_does_not_send_what_cannot_be_sent(sink: Sink, settings: Any) -> None:
    platform = platforms.platforms()["awx"]
    for value in ("a\nb", "-rf", "{{ lookup('pipe','id') }}", "x" * 2000):
        found = Job(sink, platform).run(VALUES | {"labels.a": value})
        assert (found.state, found.outcome) == ("failed", "not_sent")
    literal = "$(id); `id` \"quoted\" 'too' ${ip}"
    assert Job(sink, platform).run(VALUES | {"labels.a": literal}).state == "waiting"
    assert platform.submitted[0]["extra_vars"]["path"] == literal
    settings.FTA_HTTP_ALLOW = []
    found = Job(sink, platform).run()
    assert (found.state, found.outcome, found.retryable) == ("failed", "not_sent", False)
    assert len(platform.submitted) == 1


@pytest.mark.parametrize("value", ["", " ", "all", "ALL", "*", "-i", "a\nb", "{{ x }}"])
def test_it_runs_no_job_on_every_host_because_of_a_label(sink: Sink, value: str) -> None:
    platform = platforms.platforms()["awx"]
    inputs = {"template": 12, "limit": "${labels.a}"}
    found = Job(sink, platform, inputs=inputs).run(VALUES | {"labels.a": value})
    assert (found.state, found.outcome, platform.submitted) == ("failed", "not_sent", [])
    assert "limit" in found.error
    assert Job(sink, platform, inputs=inputs).run(VALUES | {"labels.a": "web-1"}).state == "waiting"
    assert platform.submitted[0]["limit"] == "web-1"


AWX = {"preset": "awx", "url": "http://awx", "inputs": {"template": 1}}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (AWX | {"preset": "tower"}, "preset"),
        (AWX | {"system": SYSTEM}, "system"),
        (AWX | {"url": ""}, "credential"),
        (AWX | {"credential": "awx"}, "credential"),
        (AWX | {"url": "${params.url}"}, "url"),
        (AWX | {"inputs": {}}, "inputs"),
        (AWX | {"inputs": {"template": "${labels.a}"}}, "inputs"),
        (AWX | {"inputs": {"template": 1, "nonsense": 2}}, "inputs"),
        (AWX | {"inputs": {"template": 1, "limit": ""}}, "inputs"),
        (AWX | {"inputs": {"template": 1, "limit": "all"}}, "inputs"),
        (AWX | {"arguments": ["a"]}, "arguments"),
        (AWX | {"interval": 0}, "interval"),
        (AWX | {"read": {"a": "b["}}, "read"),
        (AWX | {"speed": 1}, "speed"),
    ],
)
def test_it_refuses_a_faulty_node(params: dict[str, Any], field: str) -> None:
    assert field in [fault.field for fault in RUNNERS["job"].validate(params)]


@pytest.mark.parametrize(
    "change",
    [
        {"submit": {"path": "http://elsewhere/", "id": "id"}},
        {"submit": {"path": "/../admin", "id": "id"}},
        {"submit": {"path": "/run", "id": "a["}},
        {"submit": {"path": "/run", "id": {"header": "Location", "pattern": "no group"}}},
        {"submit": {"path": "/run", "id": "id", "method": "TRACE"}},
        {"poll": {"path": "/run/{id}", "state": None}},
        {"states": {"succeeded": ["done"]}},
        {"states": {"done": ["done"]}},
        {"submit": {"path": "/run", "id": "id", "status": ["ok"]}},
        {"inputs": {"flow": {"refuse": "all"}}},
        {"inputs": {"flow": {"variables": True}}},
        {"stop": {"path": "/stop"}},
        {"wat": 1},
    ],
)
def test_it_refuses_a_faulty_description_of_a_system(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSystem):
        read(SYSTEM | change)
