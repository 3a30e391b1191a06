"""Whatever is changed between the yes and the start, by whichever way, the changed plan never runs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval
from fta.config.document import apply
from fta.healing import claims, plan
from fta.healing.kind import ExecutionKind
from fta.healing.runners import RUNNERS
from fta.models import Business, Execution, Host, PackageVersion, Person, Rule, StepRun
from tests import factories
from tests.approvals.conftest import policy
from tests.fta import stage
from tests.fta.api.conftest import call
from tests.fta.stage import Actor, node

pytestmark = pytest.mark.django_db

NODES = [node(1, params={"to": "${params.path}"}, success=2), node(2, params={"to": "${ip}"})]
EVIL = [node(1, params={"to": "/"})]
KEY = "console-key-0123456789abcdef"
HOSTS = "version: 1\nhosts: [{ip: 127.0.0.10, name: local-1, business: game, set: s2, connection: {kind: local}}]"


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    made = Actor()
    monkeypatch.setitem(RUNNERS, "act", made)
    return made


@pytest.fixture
def agreed(actor: Actor, operator: Person, game: Business) -> Execution:
    """Return an execution to which a person has just said yes."""
    policy()
    factories.host()
    factories.api_key(KEY, "operator", game)
    parameters = [{"name": "path", "type": "string"}]
    package = factories.package("act", nodes=NODES, parameters=parameters, business=game)
    match = {"alert_type": "disk_full", "business": "game"}
    rule = factories.rule(match=match, package=package, parameters={"path": "/data"})
    execution = stage.ready(package=package, rule=rule, state="held", needs_approval=True)
    approval = services.open_gate(execution, ["规则为审批模式"], timezone.now())
    services.decide(approval.pk, operator.user, "approve", "", "web", timezone.now())
    assert stage.state(execution) == "ready"
    return execution


def _said(method: str, path: str, data: Any) -> None:
    answer = call(KEY, method, path, data)
    assert answer.status == 200, answer.json


def _in_row(execution: Execution, **columns: Any) -> None:
    """Write into the tables as somebody with a database console would."""
    Execution.objects.filter(pk=execution.pk).update(**columns)


def _forged(execution: Execution) -> dict[str, Any]:
    """Return another plan with a hash that fits it."""
    evil = {**execution.plan, "nodes": [{**node(1, params={"to": "/"}), "acting": True}]}
    return {"plan": evil, "plan_sha256": plan.sha256_of(evil)}


def _package(execution: Execution) -> None:
    assert execution.package is not None
    plan.save_version(execution.package, EVIL, [], {}, "mallory", "", timezone.now())


def _package_by_api(execution: Execution) -> None:
    _said("PATCH", "packages/act/", {"nodes": EVIL, "parameters": [{"name": "path", "type": "string"}]})


def _parameter(execution: Execution) -> None:
    Rule.objects.update(parameters={"path": "/"})


def _parameter_by_api(execution: Execution) -> None:
    _said("PATCH", f"rules/{execution.rule_id}/", {"parameters": {"path": "/"}})


def _host_record(execution: Execution) -> None:
    Host.objects.update(ip="127.0.0.66")


def _inventory(execution: Execution) -> None:
    apply(HOSTS, "mallory", timezone.now())


def _version_row(execution: Execution) -> None:
    PackageVersion.objects.update(nodes=EVIL)


def _plan_row(execution: Execution) -> None:
    _in_row(execution, plan=_forged(execution)["plan"])


def _plan_and_hash(execution: Execution) -> None:
    _in_row(execution, **_forged(execution))
    StepRun.objects.update(plan_sha256=_forged(execution)["plan_sha256"])


def _plan_hash_and_approval(execution: Execution) -> None:
    _plan_and_hash(execution)
    Approval.objects.update(plan_sha256=_forged(execution)["plan_sha256"])


def _plan_of_another(execution: Execution) -> None:
    other = stage.ready(package=factories.package("evil", nodes=EVIL))
    _in_row(other, state="cancelled")
    _in_row(execution, plan=other.plan, plan_sha256=other.plan_sha256)
    StepRun.objects.update(plan_sha256=other.plan_sha256)
    Approval.objects.update(plan_sha256=other.plan_sha256)


Change = Callable[[Execution], None]
ASKED_AGAIN = [_package, _package_by_api, _parameter, _parameter_by_api, _host_record, _inventory]
REFUSED = [_plan_row, _plan_and_hash, _plan_hash_and_approval, _plan_of_another]


@pytest.mark.parametrize("change", ASKED_AGAIN)
def test_it_asks_again_about_what_was_changed_after_the_yes(agreed: Execution, actor: Actor, change: Change) -> None:
    change(agreed)
    stage.drain()
    assert (stage.state(agreed), actor.seen) == ("held", [])
    states = list(Approval.objects.order_by("id").values_list("state", flat=True))
    assert states == ["superseded", "pending"]
    assert Approval.objects.get(state="pending").plan_sha256 == agreed.plan_sha256


@pytest.mark.parametrize("change", REFUSED)
def test_it_refuses_what_was_rewritten_in_the_database(agreed: Execution, actor: Actor, change: Change) -> None:
    change(agreed)
    stage.drain()
    assert (stage.state(agreed), actor.seen) == ("failed", [])


@pytest.mark.parametrize("change", ASKED_AGAIN + REFUSED)
def test_a_plan_that_has_begun_is_the_approved_one_or_none(agreed: Execution, actor: Actor, change: Change) -> None:
    ExecutionKind().do(agreed.pk)
    approved = json.loads(json.dumps(agreed.plan))
    change(agreed)
    stage.drain()
    assert stage.state(agreed) == ("failed" if change in REFUSED else "succeeded")
    assert [ctx.params["to"] for ctx in actor.seen] == ([] if change in REFUSED else ["/data", "127.0.0.10"])
    assert all(ctx.host == approved["hosts"][0] for ctx in actor.seen)


def test_a_rewritten_version_does_not_reach_a_frozen_plan(agreed: Execution, actor: Actor) -> None:
    _version_row(agreed)
    stage.drain()
    assert [ctx.params["to"] for ctx in actor.seen] == ["/data", "127.0.0.10"]


def test_a_plan_that_was_read_before_the_change_is_not_claimed(agreed: Execution, actor: Actor) -> None:
    ExecutionKind().do(agreed.pk)
    step = StepRun.objects.select_related("execution").get(execution=agreed)
    _plan_hash_and_approval(agreed)  # between the reading and the claim: the rows fit each other, not what was read
    with pytest.raises(claims.NotClaimed):
        claims.claim_step(step, True, timezone.now())


def test_an_approval_that_nobody_gave_lets_nothing_run(actor: Actor, operator: Person) -> None:
    policy()
    factories.host()
    execution = stage.ready(state="held", needs_approval=True)
    services.open_gate(execution, ["规则为审批模式"], timezone.now())
    Approval.objects.update(state="approved", decided_by=operator.user, decided_at=timezone.now())
    _in_row(execution, state="ready")
    stage.drain()
    assert (stage.state(execution), actor.seen) == ("held", [])
    step = factories.step(execution, type="act")
    _in_row(execution, state="running")
    with pytest.raises(claims.NotClaimed):
        claims.claim_step(step, True, timezone.now())
