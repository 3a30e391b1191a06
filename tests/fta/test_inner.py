"""子套餐: packages inside packages, flattened into one plan and run as one graph."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from fta import operations
from fta.healing import inner, plan
from fta.healing.inner import flatten, mode_of
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.models import Execution, Host, Package, PackageVersion, Person
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def _gate(settings: Any) -> Iterator[None]:
    settings.FTA_APPROVAL_GATE = stage.GATE
    FakeGate.reset()
    factories.host()
    yield
    FakeGate.reset()


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    made = Actor()
    monkeypatch.setitem(RUNNERS, "act", made)
    return made


def _inside(number: int, key: str, **fields: Any) -> dict[str, Any]:
    params = {"package": key} | ({"params": fields.pop("given")} if "given" in fields else {})
    return node(number, "package", params=params, **fields)


def _clean(*nodes: dict[str, Any], key: str = "clean", **fields: Any) -> Package:
    return factories.package(key, nodes=list(nodes) or [node(1, success=2), node(2)], **fields)


def _users(**fields: Any) -> Execution:
    """Return an execution of act 1 → package 2 → act 3, with act 4 when the package fails."""
    given = {"given": fields.pop("given")} if "given" in fields else {}
    return stage.ready(
        node(1, success=2), _inside(2, "clean", success=3, failure=4, **given), node(3), node(4), **fields
    )


def test_its_nodes_run_between_what_leads_to_it_and_what_follows(actor: Actor) -> None:
    _clean()
    execution = _users()
    assert [(each["id"], each.get("inside")) for each in execution.plan["nodes"]] == [
        (1, None),
        (2001, 2),
        (2002, 2),
        (2, None),
        (3, None),
        (4, None),
    ]
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert [number for number, _round, _state in stage.steps(execution)] == [1, 2001, 2002, 2, 3]
    assert "节点 2.1「" in execution.history.filter(kind="step.succeeded")[1].text


def test_a_retry_keeps_the_version_inside_that_it_began_with(actor: Actor, operator: Person) -> None:
    inside = _clean()
    execution = stage.ready(node(1, success=2), _inside(2, "clean", success=3), node(3))
    actor.outcomes = [Outcome("succeeded")] * 2 + [Outcome("failed"), Outcome("succeeded")]
    stage.drain()
    assert stage.state(execution) == "failed"
    inside.current = PackageVersion.objects.create(package=inside, number=2, nodes=[node(1)], sha256="2" * 64)
    inside.save()
    Host.objects.update(connection="ssh")
    operations.retry(execution, operator.user, "再来", 2002, False, timezone.now())
    assert stage.state(execution) == "held"
    FakeGate.yes.add(execution.plan_sha256)
    operations.release(execution, timezone.now(), "lisi", "同意")
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert [number for number, iteration, _state in stage.steps(execution) if iteration == 2] == [2002, 2, 3]
    assert execution.plan["scopes"]["2"]["package"]["version"] == 1
    assert execution.plan["hosts"][0]["connection"] == "ssh"


@pytest.mark.parametrize("inner_edges", [{}, {"failure": 2}])
def test_it_fails_when_a_failure_inside_is_not_handled_there(actor: Actor, inner_edges: dict[str, int]) -> None:
    _clean(node(1, **inner_edges), *([node(2)] if inner_edges else []))
    execution = _users()
    actor.outcomes = [Outcome("succeeded"), Outcome("failed", error="exit 1"), Outcome("succeeded")]
    stage.drain()
    followed = [number for number, _round, state in stage.steps(execution) if state == "succeeded"]
    assert followed == ([1, 2002, 2, 3] if inner_edges else [1, 4])
    assert stage.state(execution) == "succeeded", "the package around it handles the failure of the whole"


def test_it_waits_for_every_branch_and_joins_as_its_node_says(actor: Actor) -> None:
    _clean(node(1, success=[2, 3]), node(2), node(3))
    execution = stage.ready(
        node(1, success=[2, 3]),
        node(2, success=4),
        node(3, success=4),
        _inside(4, "clean", join="any", success=5),
        node(5),
    )
    stage.drain()
    order = [number for number, _round, _state in stage.steps(execution)]
    assert (order.count(4001), order[-2:]) == (1, [4, 5])
    joins = {each["id"]: each["join"] for each in execution.plan["nodes"]}
    assert (joins[4001], joins[4]) == ("any", "all")


def test_an_unknown_inside_holds_the_package_until_a_person_has_settled_it(actor: Actor) -> None:
    _clean(node(1))
    execution = _users()
    actor.outcomes = [Outcome("succeeded"), Outcome("unknown"), Outcome("succeeded")]
    stage.drain()
    assert (stage.state(execution), stage.steps(execution)[-1]) == ("unknown", (2001, 1, "unknown"))
    boss = factories.person("boss", "operator").user
    operations.resolve_unknown(execution.steps.get(node=2001), boss, True, "看过了", timezone.now())
    stage.drain()
    assert (stage.state(execution), stage.steps(execution)[-1][0]) == ("succeeded", 3)


def test_a_guard_inside_ends_the_execution_and_almost_and_refusals_are_passed_on(actor: Actor) -> None:
    _clean(node(1, "guard", params={"count": 1, "minutes": 5}))
    guarded = _users(key="guarded")
    _clean(node(1, "mark_almost_success"), key="almost")
    almost = stage.ready(_inside(1, "almost"), key="one")
    _clean(node(1, "approval", params={"message": "?"}, success=2), node(2), key="asking")
    refused = stage.ready(_inside(1, "asking"), key="two", alert=factories.alert(host=None))
    stage.drain()
    operations.settle_approval_step(refused.steps.get().pk, False, "refused", "lisi", "不", NOW)
    stage.drain()
    assert [stage.state(each) for each in (guarded, almost, refused)] == ["skipped", "almost_succeeded", "skipped"]


def test_what_follows_stands_on_a_yes_inside(actor: Actor) -> None:
    _clean(node(1, "approval", params={"message": "?"}, success=2), node(2))
    execution = stage.ready(_inside(1, "clean", success=2), node(2))
    stage.drain()
    asked = execution.steps.get()
    FakeGate.passed.add(asked.pk)
    operations.settle_approval_step(asked.pk, True, "approved", "lisi", "好", NOW)
    stage.drain()
    permits = dict(execution.steps.values_list("node", "permit"))
    assert permits == {1001: None, 1002: asked.pk, 1: asked.pk, 2: asked.pk}


PARAMETERS = [{"name": "path", "type": "string", "pattern": "/[a-z/]+"}, {"name": "token", "type": "secret"}]


def test_it_sees_what_it_is_given_and_its_own_nodes_and_nothing_of_the_package_around(actor: Actor) -> None:
    inside = [node(1, success=2), node(2, params={"to": "${ip} ${params.path} ${params.name} ${node.1.x}"})]
    clean = _clean(*inside, parameters=PARAMETERS)
    PackageVersion.objects.filter(package=clean).update(secrets={"token": "inner-canary-1"})
    outer = factories.package(
        "outer",
        nodes=[node(1, success=2), _inside(2, "clean", given={"path": "/${node.1.x}"})],
        parameters=[{"name": "name", "type": "string", "default": "a"}],
    )
    PackageVersion.objects.filter(package=outer).update(secrets={"outer": "outer-canary-1"})
    outer.refresh_from_db()
    execution = stage.ready(package=outer)
    actor.outcomes = [Outcome("succeeded", result={"x": "var"}), Outcome("succeeded", result={"x": "in"})]
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert actor.seen[2].params == {"to": "127.0.0.10 /var  in"}
    assert [dict(ctx.raw_secrets) for ctx in actor.seen] == [
        {"outer": "outer-canary-1"},
        *[{"token": "inner-canary-1"}] * 2,
    ]
    assert "canary" not in json.dumps(execution.plan)


def test_a_value_that_does_not_fit_fails_the_node_and_sends_nothing(actor: Actor) -> None:
    _clean(node(1), parameters=PARAMETERS)
    execution = _users(given={"path": "${node.1.x}"})
    actor.outcomes = [Outcome("succeeded", result={"x": "; rm -rf /"}), Outcome("succeeded")]
    stage.drain()
    step = execution.steps.get(node=2001)
    assert (step.state, step.outcome, len(actor.seen)) == ("failed", "not_sent", 2)
    assert "path" in step.error
    known = _users(key="known", given={"path": "rm -rf"})
    assert "path" in known.plan["problems"][0]


def test_packages_lie_three_deep_and_the_strictest_mode_and_highest_risk_hold(actor: Actor) -> None:
    _clean(node(1), key="c", risk="high", mode="auto")
    _clean(_inside(1, "c"), key="b", mode="approval")
    a = _clean(_inside(1, "b", success=2), node(2), key="a", risk="low", mode="auto")
    execution = stage.ready(package=a)
    assert [each["id"] for each in execution.plan["nodes"]] == [1001001, 1001, 1, 2]
    assert (execution.plan["package"]["risk"], mode_of(a)) == ("high", "approval")
    Package.objects.filter(key="b").update(mode="auto")
    stage.drain()
    assert stage.state(execution) == "succeeded"
    Package.objects.filter(key="c").update(mode="off")
    assert mode_of(a) == "off"


def _problem(nodes: list[dict[str, Any]], key: str = "outer") -> list[tuple[int, str]]:
    return flatten(nodes, key, factories.business()).problems


def test_it_names_the_node_of_what_cannot_lie_inside(actor: Actor) -> None:
    _clean(_inside(1, "outer"), key="back")
    _clean(node(1), key="d")
    for key, inside in (("c", "d"), ("b", "c"), ("a", "b")):
        _clean(_inside(1, inside), key=key)
    _clean(node(1), key="other", business=factories.business("shop", "商城"))
    _clean(node(1), key="gone", archived=True)
    _clean(node(1), key="typed", parameters=[{"name": "n", "type": "integer", "required": True}])
    _clean(*[node(number, success=number + 1) for number in range(1, 120)], node(120), key="long")
    wrong = {
        "outer": "包含自己",
        "back": "包含自己",
        "a": "最多 3 层",
        "other": "另一个业务",
        "gone": "没有套餐",
        "none": "没有套餐",
        "typed": "必填",
    }
    for key, said in wrong.items():
        ((number, text),) = _problem([node(1, success=7), _inside(7, key)])
        assert (number, said in text) == (7, True), (key, text)
    assert "没有参数" in _problem([_inside(1, "d", given={"x": "${ip}"})])[0][1]
    assert "最多 200" in _problem([_inside(1, "long", success=2), _inside(2, "long")])[0][1]
    assert "999" in _problem([_inside(1, "d", success=1000), node(1000)])[0][1]
    package = Package.objects.create(key="outer", name="外")
    with pytest.raises(plan.InvalidPackage) as caught:
        plan.save_version(package, [node(1, success=7), _inside(7, "back")], [], {}, "lisi", "", NOW)
    assert [(each.path, each.node) for each in caught.value.problems] == [("nodes[1].params.package", 7)]
    with pytest.raises(plan.InvalidPackage, match="不重试"):  # it would have no effect
        plan.save_version(package, [_inside(1, "d") | {"retries": {"count": 2}}], [], {}, "lisi", "", NOW)


def test_a_plan_whose_inner_package_has_changed_is_not_the_plan_that_was_approved(actor: Actor) -> None:
    clean = _clean(node(1))
    execution = _users()
    assert plan.drift(execution) == []
    plan.save_version(clean, [node(1, timeout="5m")], [], {}, "lisi", "", NOW)
    assert len(plan.drift(execution)) == 1
    assert "子套餐" in plan.drift(execution)[0]
    Package.objects.filter(pk=clean.pk).update(archived=True)
    assert "已停用" in plan.drift(execution)[0]


def test_a_retry_begins_inside_where_it_failed_or_with_the_first_of_the_package(actor: Actor) -> None:
    _clean()
    execution = stage.ready(node(1, success=2), _inside(2, "clean", success=3), node(3))
    boss = factories.person("boss", "operator").user
    actor.outcomes = [Outcome("succeeded"), Outcome("succeeded"), Outcome("failed"), Outcome("succeeded")]
    stage.drain()
    assert stage.state(execution) == "failed"
    operations.retry(execution, boss, "再来", None, False, timezone.now())
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert [(number, turn) for number, turn, _state in stage.steps(execution)] == [
        (1, 1),
        (2001, 1),
        (2002, 1),
        (2, 1),
        (2002, 2),
        (2, 2),
        (3, 2),
    ]
    Execution.objects.update(state="failed")
    operations.retry(Execution.objects.get(), boss, "从头", 2, False, timezone.now())
    stage.drain()
    assert [number for number, turn, _state in stage.steps(execution) if turn == 3] == [2001, 2002, 2, 3]


def _hook(number: int = 1, url: str = "${params.hook}/done") -> dict[str, Any]:
    return node(number, "http", params={"url": url, "auth": {"type": "bearer", "secret": "token"}})


HOOK = [{"name": "hook", "type": "string", "default": "https://hooks.example.com"}]


@pytest.mark.usefixtures("actor")
@pytest.mark.parametrize(
    ("given", "outer", "named"),
    [
        ({}, None, ""),
        ({"hook": "https://other.example.com"}, None, ""),
        ({"hook": "http://${host.name}:${ip}"}, None, ""),
        ({"hook": "${labels.cb}"}, None, "labels.cb"),
        ({"hook": "https://${content}/"}, None, "content"),
        ({"hook": "${labels.cb}"}, "${params.hook}", "labels.cb"),
        ({"hook": "https://h"}, "${params.hook}", ""),
        ({}, "https://${ip}", ""),
        ({}, "${alert_context|cb}", "alert_context|cb"),
        ({}, "${node.2.output}", "node.2.output"),
    ],
)
def test_an_alert_never_says_whom_a_request_goes_to(given: dict[str, str], outer: str | None, named: str) -> None:
    nodes = [_hook()]
    if outer:
        _clean(_hook(), parameters=HOOK)
        nodes = [node(2, success=1), _inside(1, "clean", given={"hook": outer})]
    made = factories.package("outer", nodes=nodes, parameters=HOOK)
    alert = factories.alert(labels={"cb": "https://evil.example.com"}, context={"cb": "https://evil.example.com"})
    rule = factories.rule(package=made, parameters=given)
    frozen = stage.ready(package=made, rule=rule, alert=alert, host=Host.objects.get()).plan
    assert [f"${{{named}}}" in problem for problem in frozen["problems"]] == ([True] if named else [])
    assert bool(inner.given_problems(made, given)) == bool(named)  # what a rule's page and the API refuse
    if outer and not given:
        said = [problem.message for problem in inner.problems_of(nodes, "outer", None)]
        assert [f"${{{named}}}" in text for text in said] == ([True] if named else [])


def test_the_address_of_a_host_that_only_the_alert_knows_is_not_trusted() -> None:
    made = factories.package("outer", nodes=[_hook(url="http://${ip}:9000/")])
    run = stage.ready(package=made, alert=factories.alert(target="203.0.113.9"), host=Host.objects.get())
    assert run.plan["problems"] == []
    run.host = None
    assert run.version is not None
    assert "${ip}" in plan.freeze(run, None, run.version, {}, NOW).problems[0]
