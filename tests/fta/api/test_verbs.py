"""The verbs: decide, abort, retry, resolve-unknown, run and the kill switch, by key."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from approvals.models import Approval
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.models import AuditEntry, Business, Execution, StepRun, Switch
from tests import factories
from tests.fta import stage
from tests.fta.api import world
from tests.fta.api.conftest import Call, call, key_of
from tests.fta.api.world import World
from tests.fta.stage import Actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(game: Business) -> World:
    return world.build(game)


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    """A runner that does as told, in packages whose nodes are of type `act`."""
    found = Actor()
    monkeypatch.setitem(RUNNERS, "act", found)
    return found


def audited(verb: str) -> list[dict[str, Any]]:
    return list(AuditEntry.objects.filter(verb=verb).order_by("pk").values_list("data", flat=True))


def actors(verb: str) -> list[str]:
    return [name[:4] for name in AuditEntry.objects.filter(verb=verb).values_list("actor", flat=True)]


# --- decide ---


@pytest.mark.parametrize(
    ("answer", "state", "run"), [("approve", "approved", "ready"), ("refuse", "refused", "skipped")]
)
def test_a_key_decides_once(answer: str, state: str, run: str, made: World, operator: Call) -> None:
    path = f"approvals/{made.approval.pk}/decide/"
    decided = operator("POST", path, {"decision": answer, "comment": "看过了"})
    assert (decided.status, decided.json["state"], decided.json["decision"]) == (200, state, answer)
    assert (decided.json["channel"], decided.json["decided_by"]) == ("api", decided.json["approvers"][0])
    made.held.refresh_from_db()
    assert made.held.state == run
    assert [entry["answer"] for entry in audited("approval.decide")] == [answer]
    again = operator("POST", path, {"decision": "refuse" if answer == "approve" else "approve"})
    assert (again.status, again.error["code"]) == (409, "already_decided")
    assert made.approval.code in again.error["message"]
    made.held.refresh_from_db()
    assert (made.held.state, Approval.objects.get().state) == (run, state)
    assert [entry["why"] for entry in audited("approval.decide_refused")] == ["already_decided"]


def test_a_key_that_was_not_asked_decides_nothing(made: World, viewer: Call, admin: Call, foreign: Call) -> None:
    path, yes = f"approvals/{made.approval.pk}/decide/", {"decision": "approve"}
    for caller in (viewer, admin):
        refused = caller("POST", path, yes)
        assert (refused.status, refused.error["code"]) == (403, "not_approver")
    assert foreign("POST", path, yes).error["code"] == "not_found"
    assert [entry["why"] for entry in audited("approval.decide_refused")] == ["not_approver"] * 3
    made.held.refresh_from_db()
    assert (made.held.state, Approval.objects.get().state) == ("held", "pending")


def test_a_key_decides_nothing_that_has_expired(made: World, operator: Call) -> None:
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused = operator("POST", f"approvals/{made.approval.pk}/decide/", {"decision": "approve"})
    assert (refused.status, refused.error["code"]) == (409, "expired")
    made.held.refresh_from_db()
    assert made.held.state == "held"


def test_a_key_that_saw_another_plan_does_not_approve_this_one(made: World, operator: Call) -> None:
    path = f"approvals/{made.approval.pk}/decide/"
    refused = operator("POST", path, {"decision": "approve", "plan_sha256": "0" * 64})
    assert (refused.status, refused.error["code"]) == (409, "plan_changed")
    made.held.refresh_from_db()
    assert made.held.state == "held"
    newest = Approval.objects.latest("pk")
    agreed = operator(
        "POST", f"approvals/{newest.pk}/decide/", {"decision": "approve", "plan_sha256": newest.plan_sha256}
    )
    assert (agreed.status, agreed.json["state"]) == (200, "approved")


# --- abort, retry, resolve-unknown ---


def test_it_aborts_what_has_not_ended(made: World, operator: Call) -> None:
    path = f"executions/{made.held.pk}/abort/"
    for nothing in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}):
        assert list(operator("POST", path, nothing).error["fields"]) == ["reason"]
    answer = operator("POST", path, {"reason": "误报"})
    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    assert "误报" in answer.json["reason"]
    assert answer.json["approvals"][0]["state"] == "cancelled"
    assert [entry["reason"] for entry in audited("execution.abort")] == ["误报"]
    again = operator("POST", path, {"reason": "误报"})
    assert (again.status, again.error["code"]) == (409, "conflict")
    assert actors("execution.abort") == ["api:"]


def failed(actor: Actor, game: Business) -> Execution:
    factories.host(business=game)
    actor.outcomes = [Outcome("succeeded"), Outcome("failed", error="满了"), Outcome("succeeded")]
    run = stage.ready(stage.node(1, success=2), stage.node(2, success=3), stage.node(3))
    stage.drain()
    assert stage.state(run) == "failed"
    return run


def test_it_retries_what_failed(actor: Actor, game: Business, operator: Call) -> None:
    run = failed(actor, game)
    path = f"executions/{run.pk}/retry/"
    for wrong in (
        {"node": 0, "reason": "x"},
        {"node": "two", "reason": "x"},
        {"node": 2},
        {"only": "x", "reason": "x"},
    ):
        assert operator("POST", path, wrong).status == 400
    unfit = operator("POST", path, {"node": 3, "reason": "没有跑过"})
    assert (unfit.status, unfit.error["code"]) == (409, "conflict")
    assert run.steps.count() == 2
    answer = operator("POST", path, {"reason": "修好了"})
    assert (answer.status, answer.json["state"]) == (200, "running")
    assert [(step["node"], step["state"]) for step in answer.json["steps"]][2:] == [(2, "ready")]
    stage.drain()
    assert operator("GET", f"executions/{run.pk}/").json["state"] == "succeeded"
    assert operator("POST", path, {"reason": "再来"}).error["code"] == "conflict"
    assert [entry["nodes"] for entry in audited("execution.retry")] == [[2]]


def test_it_retries_one_node_only(actor: Actor, game: Business, operator: Call) -> None:
    run = failed(actor, game)
    assert operator("POST", f"executions/{run.pk}/retry/", {"node": 2, "only": True, "reason": "只做它"}).status == 200
    stage.drain()
    assert stage.steps(run) == [(1, 1, "succeeded"), (2, 1, "failed"), (2, 2, "succeeded")]


@pytest.mark.parametrize(("done", "state"), [(True, "succeeded"), (False, "failed")])
def test_it_takes_what_came_of_an_unknown_step(done: bool, state: str, made: World, operator: Call) -> None:
    path = f"executions/{made.lost.pk}/resolve-unknown/"
    said = {"step": made.step.pk, "done": done, "reason": "看过日志"}
    for missing in said:
        kept = {name: value for name, value in said.items() if name != missing}
        assert list(operator("POST", path, kept).error["fields"]) == [missing]
    other = operator("POST", f"executions/{made.held.pk}/resolve-unknown/", said)
    assert (other.status, other.error["code"]) == (404, "not_found")
    answer = operator("POST", path, said)
    assert (answer.status, answer.json["steps"][0]["state"], answer.json["state"]) == (200, state, state)
    assert StepRun.objects.get(pk=made.step.pk).outcome == "resolved"
    again = operator("POST", path, said)
    assert (again.status, again.error["code"]) == (409, "conflict")
    assert [entry["done"] for entry in audited("step.resolve_unknown")] == [done]


# --- run ---


def test_a_dry_run_shows_the_plan_and_does_nothing(actor: Actor, game: Business, operator: Call) -> None:
    factories.host(business=game)
    nodes = [stage.node(1, params={"to": "${ip}", "then": "${node.1.x}"})]
    factories.package("act", nodes=nodes, business=game)
    answer = operator("POST", "packages/act/run/", {"ip": world.IP, "reason": "演练", "dry_run": True})
    assert (answer.status, set(answer.json)) == (200, {"id", "plan", "plan_sha256", "nodes", "checks"})
    assert answer.json["nodes"][0]["params"] == {"to": world.IP, "then": "${node.1.x}"}
    assert {check["name"]: check["ok"] for check in answer.json["checks"]} == {
        "approval": True, "budget": True, "host": True, "switch": True, "plan": True,
    }  # fmt: skip
    assert [node["type"] for node in answer.json["plan"]["nodes"]] == ["act"]
    assert [host["ip"] for host in answer.json["plan"]["hosts"]] == [world.IP]
    stage.drain()
    assert (Execution.objects.get().state, actor.seen) == ("shadowed", [])
    assert [entry["dry_run"] for entry in audited("execution.run_by_hand")] == [True]


def test_it_runs_a_package_by_hand(actor: Actor, game: Business, operator: Call) -> None:
    factories.host(business=game)
    factories.package("act", nodes=[stage.ACT], business=game)
    answer = operator("POST", "packages/act/run/", {"ip": world.IP, "reason": "处理"})
    assert (answer.status, answer.json["state"], answer.json["host"], answer.json["alert"]) == (
        201,
        "ready",
        world.IP,
        None,
    )
    stage.drain()
    assert operator("GET", f"executions/{answer.json['id']}/").json["state"] == "succeeded"
    assert len(actor.seen) == 1


def test_a_run_by_hand_waits_for_a_yes_and_not_for_ones_own(made: World, operator: Call) -> None:
    factories.package("risky", business=Business.objects.get(code="game"), mode="approval")
    answer = operator("POST", "packages/risky/run/", {"ip": world.IP, "reason": "处理"})
    assert (answer.status, answer.json["state"]) == (201, "held")
    approval = Approval.objects.get(execution_id=answer.json["id"])
    own = operator("POST", f"approvals/{approval.pk}/decide/", {"decision": "approve"})
    assert (own.status, own.error["code"]) == (403, "requester_may_not_decide")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"ip": "127.0.0.99", "reason": "x"}, 404),
        ({"ip": "10.0.0.1", "reason": "x"}, 404),  # a host of another business
        ({"ip": "nowhere", "reason": "x"}, 400),
        ({"ip": world.IP}, 400),
        ({"ip": world.IP, "reason": "x", "params": {"surprise": 1}}, 400),
        ({"ip": world.IP, "reason": "x", "params": {"path": ["/"]}}, 400),
        ({"ip": world.IP, "reason": "x", "params": []}, 400),
        ({"ip": world.IP, "reason": "x", "params": {"path": "/\x00"}}, 400),
        ({"ip": world.IP, "reason": "x", "params": {"path": "/" * 40_000}}, 400),
    ],
)
def test_it_runs_nothing_that_does_not_fit(said: Any, status: int, made: World, pay: Business, operator: Call) -> None:
    factories.host("10.0.0.1", "pay-1", business=pay)
    factories.package("by-path", parameters=[{"name": "path", "type": "string"}])
    rows = Execution.objects.count()
    answer = operator("POST", "packages/by-path/run/", said)
    assert (answer.status, Execution.objects.count()) == (status, rows), answer.json
    assert answer.error["code"] == ("not_found" if status == 404 else "invalid")


# --- switch ---


def test_it_halts_and_resumes_a_business(made: World, operator: Call, viewer: Call) -> None:
    before = timezone.now()
    halted = operator("POST", "switch/", {"scope": "business", "key": "game", "reason": "割接", "minutes": 30})
    assert (halted.status, halted.json["scope"], halted.json["key"], halted.json["reason"]) == (
        201,
        "business",
        "game",
        "割接",
    )
    until = parse_datetime(halted.json["until"])
    assert until is not None
    assert timedelta(minutes=29) < until - before < timedelta(minutes=31)
    assert [row["id"] for row in viewer("GET", "switch/").json["results"]] == [halted.json["id"]]
    ended = operator("DELETE", "switch/", {"scope": "business", "key": "game"})
    assert (ended.status, ended.json) == (200, {"ended": [halted.json["id"]]})
    assert operator("GET", "switch/").json["count"] == 0
    assert operator("DELETE", "switch/?scope=business&key=game").json == {"ended": []}
    assert (actors("switch.halt"), actors("switch.resume")) == (["api:"], ["api:"])


def test_it_halts_a_package_of_the_key_by_query_too(made: World, operator: Call) -> None:
    halted = operator("POST", "switch/", {"scope": "package", "key": "clean-disk", "reason": "脚本有误"})
    assert (halted.status, halted.json["until"]) == (201, None)
    assert operator("DELETE", "switch/?scope=package&key=clean-disk").json == {"ended": [halted.json["id"]]}


@pytest.mark.parametrize("said", [{"scope": "business", "key": "game"}, {"scope": "package", "key": "clean-disk"}])
def test_a_foreign_switch_is_neither_set_nor_seen_nor_ended(
    said: dict[str, str], made: World, operator: Call, foreign: Call
) -> None:
    refused = foreign("POST", "switch/", said | {"reason": "捣乱"})
    unknown = foreign("POST", "switch/", said | {"reason": "捣乱", "key": "nothing"})
    assert (refused.status, refused.error["code"]) == (unknown.status, unknown.error["code"]) == (400, "invalid")
    assert operator("POST", "switch/", said | {"reason": "割接"}).status == 201
    assert foreign("GET", "switch/").json["count"] == 0
    assert foreign("DELETE", "switch/", said).status == 400
    assert Switch.objects.in_force().count() == 1


def test_all_healing_is_halted_by_those_who_operate_all_of_it(
    made: World, operator: Call, admin: Call, pay: Business
) -> None:
    everything = {"scope": "all", "reason": "机房断电"}
    assert (operator("POST", "switch/", everything).status, Switch.objects.count()) == (403, 0)
    assert admin("POST", "switch/", everything).status == 201
    for query in ("", "?scope=all"):
        assert operator("DELETE", f"switch/{query}").status == 403
    assert operator("GET", "switch/").json["count"] == 1
    factories.api_key("console-key-0123456789abcdef", "operator", made.approval.execution.business, pay)  # type: ignore[union-attr,arg-type]
    console = "console-key-0123456789abcdef"
    assert len(call(console, "DELETE", "switch/").json["ended"]) == 1
    assert call(console, "POST", "switch/", everything).status == 201
    assert len(call(key_of("admin"), "DELETE", "switch/").json["ended"]) == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"scope": "all"}, "reason"),
        ({"scope": "all", "reason": " "}, "reason"),
        ({"reason": "x"}, "scope"),
        ({"scope": "region", "reason": "x"}, "scope"),
        ({"scope": "business", "reason": "x"}, "key"),
        ({"scope": "all", "reason": "x", "minutes": 0}, "minutes"),
        ({"scope": "all", "reason": "x", "minutes": -5}, "minutes"),
        ({"scope": "all", "reason": "x", "minutes": 10**9}, "minutes"),
    ],
)
def test_it_halts_nothing_without_sense(said: Any, field: str, admin: Call) -> None:
    answer = admin("POST", "switch/", said)
    assert (answer.status, list(answer.error["fields"]), Switch.objects.count()) == (400, [field], 0)


@pytest.mark.parametrize("body", ["[]", "null", '"all"', "{", '{"scope": "region"}'])
def test_a_body_that_names_nothing_resumes_nothing(body: str, admin: Call) -> None:
    admin("POST", "switch/", {"scope": "all", "reason": "机房断电"})
    assert admin("DELETE", "switch/", body).status == 400
    assert Switch.objects.in_force().count() == 1


# --- the document ---


def test_the_document_is_made_without_a_warning(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/api/v1/schema/?format=json")
    assert answer.status_code == 200
    paths = answer.json()["paths"]
    for path in ("alerts/", "executions/{id}/abort/", "approvals/{id}/decide/", "deliveries/", "switch/", "stats/"):
        assert f"/api/v1/{path}" in paths
    assert "bearer" in str(answer.json()["components"]["securitySchemes"])
    assert capsys.readouterr().err == ""


def test_the_page_of_the_document_opens(client: Any) -> None:
    page = client.get("/api/v1/docs/")
    assert page.status_code == 200
    assert "text/html" in page["Content-Type"]
    assert "/api/v1/schema/" in client.get("/api/v1/docs/?script").content.decode()
