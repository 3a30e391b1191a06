"""Stand-ins of five job systems: each takes a job, tells how it is getting on, gives its output, and stops it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fta.runners.sink import Seen

Reply = tuple[int, dict[str, str], bytes]
JSON_TYPE = {"Content-Type": "application/json"}


def reply(data: Any, status: int = 200, **headers: str) -> Reply:
    """Answer with JSON."""
    return status, JSON_TYPE | headers, json.dumps(data).encode()


@dataclass
class Platform:
    """One system with one job; `word` is how the job stands, in the system's own words."""

    name: str
    token: str
    header: tuple[str, str]  # the one that must come with every request
    words: dict[str, Any]  # running, succeeded, failed
    params: dict[str, Any]
    serve: Callable[["Platform", str, Seen], Reply | None]
    given: Any = None  # the arguments in the form in which the system gets them
    word: Any = None
    submitted: list[Any] = field(default_factory=list)
    started: int = 0
    stopped: int = 0

    def __call__(self, seen: Seen) -> Reply:
        if seen.headers.get(self.header[0]) != self.header[1]:
            return reply({"message": "who are you"}, 401)
        call = f"{seen.method} {urlsplit(seen.path).path}"
        return self.serve(self, call, seen) or reply({"message": f"no {call}"}, 404)

    def take(self, body: Any) -> None:
        self.submitted.append(body)
        self.word = self.words["running"]

    def end(self, how: str) -> None:
        self.word = self.words[how]


def _awx(job: Platform, call: str, seen: Seen) -> Reply | None:
    if call == "POST /api/v2/job_templates/12/launch/":
        job.take(json.loads(seen.body))
        return reply({"job": 77, "id": 77, "status": "pending", "ignored_fields": {}}, 201)
    if call == "GET /api/v2/jobs/77/":
        return reply({"id": 77, "status": job.word, "elapsed": 3.5})
    if call == "GET /api/v2/jobs/77/stdout/" and seen.path.endswith("?format=txt"):
        return 200, {"Content-Type": "text/plain"}, b"PLAY RECAP ok=3"
    if call == "POST /api/v2/jobs/77/cancel/":
        job.stopped += 1
        return 202, {}, b""
    return None


def _rundeck(job: Platform, call: str, seen: Seen) -> Reply | None:
    if call == "POST /api/18/job/4d1e-99/run":
        job.take(json.loads(seen.body))
        return reply({"id": 9, "status": "running", "permalink": "http://rundeck/execution/9"})
    if call == "GET /api/18/execution/9":
        return reply({"id": 9, "status": job.word})
    if call == "GET /api/18/execution/9/output":
        return reply({"entries": [{"log": "one"}, {"log": "two"}]})
    if call == "POST /api/18/execution/9/abort":
        job.stopped += 1
        return reply({"abort": {"status": "pending"}})
    return None


def _jenkins(job: Platform, call: str, seen: Seen) -> Reply | None:
    if call == "POST /job/ops/job/clean/buildWithParameters":
        job.take({name: values[0] for name, values in parse_qs(seen.body.decode()).items()})
        job.word = "queued"
        return 201, {"Location": "http://jenkins/queue/item/41/"}, b""
    if call == "GET /job/ops/job/clean/api/json":
        mine = {
            "number": 6,
            "url": "http://jenkins/6/",
            "queueId": 41,
            "building": job.word == "BUILDING",
            "result": None,
        }
        if job.word not in ("queued", "BUILDING"):
            mine["result"] = job.word
        other = {"number": 5, "queueId": 40, "building": False, "result": "FAILURE"}
        return reply({"builds": [other] if job.word == "queued" else [mine, other]})
    if call == "GET /job/ops/job/clean/6/consoleText":
        return 200, {"Content-Type": "text/plain"}, b"Finished: SUCCESS"
    if call in ("POST /job/ops/job/clean/6/stop", "POST /queue/cancelItem"):
        job.stopped += 1
        return 302, {"Location": "http://jenkins/"}, b""
    return None


def _bk_job(job: Platform, call: str, seen: Seen) -> Reply | None:
    if call == "POST /v2/jobv3/execute_job_plan/":
        job.take(json.loads(seen.body))
        return reply({"result": True, "code": 0, "data": {"job_instance_id": 100, "job_instance_name": "x"}})
    if call == "GET /v2/jobv3/get_job_instance_status/":
        hosts = [{"ip": "10.0.0.1", "exit_code": 0, "tag": "ok"}]
        data = {"job_instance": {"status": job.word}, "step_instance_list": [{"step_ip_result_list": hosts}]}
        return reply({"result": True, "data": data})
    if call == "POST /v2/jobv3/operate_job_instance/":
        job.stopped += 1
        return reply({"result": json.loads(seen.body)["operation_code"] == 1})
    return None


def _bk_sops(job: Platform, call: str, seen: Seen) -> Reply | None:
    if call == "POST /v2/sops/create_task/":
        job.take(json.loads(seen.body))
        job.word = "CREATED"
        return reply({"result": True, "data": {"task_id": 10, "task_url": "http://sops/10"}})
    if call == "POST /v2/sops/start_task/":
        if job.word != "CREATED":
            return reply({"result": False, "message": "task already started"})
        job.started, job.word = job.started + 1, "RUNNING"
        return reply({"result": True, "data": {}})
    if call == "GET /v2/sops/get_task_status/":
        return reply({"result": True, "data": {"state": job.word}})
    if call == "POST /v2/sops/operate_task/":
        job.stopped += 1
        return reply({"result": True, "data": {}})
    return None


BK = '{"bk_app_code": "fta", "bk_app_secret": "canary-0123"}'
ARGUMENTS = {"path": "${labels.a}", "days": 3}


def platforms() -> dict[str, Platform]:
    """Return a fresh stand-in of every preset."""
    made = [
        Platform(
            "awx",
            "awx-canary-0123",
            ("Authorization", "Bearer awx-canary-0123"),
            {"running": "running", "succeeded": "successful", "failed": "error"},
            {"inputs": {"template": 12, "limit": "${ip}"}},
            _awx,
            given={"extra_vars": {"path": "A", "days": 3}, "limit": "10.0.0.1"},
        ),
        Platform(
            "rundeck",
            "rd-canary-0123",
            ("X-Rundeck-Auth-Token", "rd-canary-0123"),
            {"running": "running", "succeeded": "succeeded", "failed": "timedout"},
            {"inputs": {"job": "4d1e-99", "filter": "name ${ip}"}},
            _rundeck,
            given={"options": {"path": "A", "days": 3}, "filter": "name 10.0.0.1"},
        ),
        Platform(
            "jenkins",
            "fta:jk-canary-0123",
            ("Authorization", "Basic ZnRhOmprLWNhbmFyeS0wMTIz"),
            {"running": "BUILDING", "succeeded": "SUCCESS", "failed": "UNSTABLE"},
            {"inputs": {"job": "ops/job/clean"}},
            _jenkins,
            given={"path": "A", "days": "3"},
        ),
        Platform(
            "bk_job",
            BK,
            ("X-Bkapi-Authorization", BK),
            {"running": 2, "succeeded": 3, "failed": 11},
            {"inputs": {"biz": 2, "plan": 1000}},
            _bk_job,
            given={
                "bk_scope_type": "biz",
                "bk_scope_id": 2,
                "bk_biz_id": 2,
                "job_plan_id": 1000,
                "global_var_list": [{"name": "path", "value": "A"}, {"name": "days", "value": "3"}],
            },
        ),
        Platform(
            "bk_sops",
            BK,
            ("X-Bkapi-Authorization", BK),
            {"running": "RUNNING", "succeeded": "FINISHED", "failed": "REVOKED"},
            {"inputs": {"biz": 2, "template": 30}},
            _bk_sops,
            given={
                "bk_biz_id": 2,
                "template_id": 30,
                "name": "fta-7",
                "constants": {"${path}": "A", "${days}": 3},
            },
        ),
    ]
    return {each.name: each for each in made}
