"""获取故障机备机 and 故障机与备机互换: candidates, reservations, choices, and on whom the nodes after them act."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from approvals import selectors
from approvals.models import Approval, ApprovalAdmin
from fta import operations
from fta.healing import plan, spares
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.healing.runners.spare_host import InvalidChoice, chosen
from fta.models import Execution, Host, Reservation
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate, node
from wechat.commands.execute import answer

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def _gate(settings: Any) -> Iterator[None]:
    settings.FTA_APPROVAL_GATE = stage.GATE
    FakeGate.reset()
    yield
    FakeGate.reset()


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    made = Actor()
    monkeypatch.setitem(RUNNERS, "act", made)
    return made


@pytest.fixture
def host() -> Host:
    return factories.host()


def _spare(number: int, **fields: Any) -> Host:
    given = {"is_spare": True, "module": "idle", **fields}
    return factories.host(f"127.0.1.{number}", f"spare-{number}", **given)


def _failover(key: str = "failover", **fields: Any) -> Execution:
    """Return an execution that takes a spare, swaps, and acts before and after."""
    spare = {"module": "idle"} | fields.pop("spare", {})
    after = {"to": "${ip} ${host.name} ${ip_bak}"}
    return stage.ready(
        node(1, success=2, params={"to": "${ip} ${ip_bak}"}),
        node(2, "spare_host", success=3, params=spare),
        node(3, success=4, params={"to": "${ip} ${ip_bak}"}),
        node(4, "swap_host", success=5),
        node(5, params=after),
        key=key,
        **fields,
    )


def test_nodes_after_a_swap_act_on_the_spare_and_those_before_do_not(actor: Actor, host: Host) -> None:
    spare = _spare(1)
    execution = _failover()
    stage.drain()
    assert stage.state(execution) == "succeeded"
    said = [ctx.params["to"] for ctx in actor.seen]
    assert said == ["127.0.0.10 ", "127.0.0.10 127.0.1.1", "127.0.1.1 spare-1 127.0.0.10"]
    assert [ctx.host and ctx.host["id"] for ctx in actor.seen] == [host.pk, host.pk, spare.pk]
    assert Reservation.objects.get().host == spare, "what stands in for a host is no spare for another"


def test_a_branch_beside_the_swap_stays_with_the_faulty_host(actor: Actor, host: Host) -> None:
    _spare(1)
    stage.ready(
        node(1, "spare_host", success=[2, 4]), node(2, "swap_host", success=3), node(3), node(4, success=5), node(5)
    )
    stage.drain()
    assert {ctx.step.node: ctx.host and ctx.host["ip"] for ctx in actor.seen} == {
        3: "127.0.1.1",
        4: "127.0.0.10",
        5: "127.0.0.10",
    }


def test_candidates_fit_and_are_free_of_the_same_business_and_not_archived(actor: Actor, host: Host) -> None:
    other = factories.execution(host=host, state="running", started_at=NOW)
    fitting = {"set_name": "s1", "attributes": {"os": "linux", "cores": 8}}
    old, new = _spare(1, **fitting), _spare(2, **fitting)
    _spare(3, **fitting, archived=True)
    _spare(4, **fitting, business=factories.business("shop", "商城"))
    _spare(5, **fitting, business=None)
    _spare(6, **fitting | {"set_name": "s2"})
    _spare(7, **fitting | {"attributes": {"os": "windows", "cores": 8}})
    _spare(8, **fitting, is_spare=False)
    Reservation.objects.create(host=_spare(9, **fitting), execution=other, at=NOW)
    wanted = {"set": "s1", "module": "idle", "attributes": {"os": "linux", "cores": "8"}}
    execution = _failover(spare=wanted)
    found = execution.plan["foreseen"]["2"]["candidates"]
    assert [each["id"] for each in found] == [new.pk, old.pk]
    assert plan.drift(execution) == []
    Host.objects.filter(pk=old.pk).update(ssh_user="root")
    assert len(plan.drift(execution)) == 1, "a candidate that was re-pointed is a plan that has changed"


def test_what_the_author_left_empty_limits_nothing(actor: Actor, host: Host) -> None:
    one, other = _spare(1), _spare(2, set_name="s2", module="web")
    execution = _failover(spare={"set": "", "module": ""})
    assert [each["id"] for each in execution.plan["foreseen"]["2"]["candidates"]] == [other.pk, one.pk]
    stage.drain()
    assert Reservation.objects.get().host == other


def test_a_limit_that_a_variable_has_made_empty_is_one_all_the_same(actor: Actor, host: Host) -> None:
    Host.objects.filter(pk=host.pk).update(set_name="")
    alike = _spare(1, set_name="")
    _spare(2, set_name="s1")
    execution = _failover(spare={"set": "${set}"})
    assert [each["id"] for each in execution.plan["foreseen"]["2"]["candidates"]] == [alike.pk]


def test_an_execution_takes_the_next_spare_when_another_one_has_taken_the_first(actor: Actor, host: Host) -> None:
    _spare(1)
    _spare(2)
    first = _failover("one")
    second = _failover("two", alert=factories.alert(target="127.0.0.11", host=factories.host("127.0.0.11")))
    third = _failover("three", alert=factories.alert(target="127.0.0.12", host=factories.host("127.0.0.12")))
    stage.drain()
    states = [stage.state(each) for each in (first, second, third)]
    assert sorted(states) == ["failed", "succeeded", "succeeded"]
    assert Reservation.objects.count() == 2
    assert "备机" in Execution.objects.get(state="failed").reason


def test_only_one_execution_gets_a_spare_and_what_was_not_used_is_given_back(actor: Actor, host: Host) -> None:
    spare = _spare(1)
    holder, other = _failover("one"), _failover("two", alert=factories.alert())
    candidate = holder.plan["foreseen"]["2"]["candidates"][0]
    Execution.objects.update(state="running")
    assert spares.reserve(candidate, holder, NOW)
    assert spares.reserve(candidate, holder, NOW), "asked again, it has it already"
    assert not spares.reserve(candidate, other, NOW)
    spares.release(holder)
    assert spares.reserve(candidate, other, NOW)
    Reservation.objects.all().delete()
    Host.objects.filter(pk=spare.pk).update(ssh_user="evil")
    assert not spares.reserve(candidate, holder, NOW), "it is not the host that was frozen any more"


def test_it_gives_the_spare_back_when_it_ends_without_a_swap(actor: Actor, host: Host) -> None:
    _spare(1)
    actor.outcomes = [Outcome("succeeded"), Outcome("failed", error="exit 1")]
    execution = _failover()
    stage.drain()
    assert (stage.state(execution), Reservation.objects.count()) == ("failed", 0)


def test_nobody_else_acts_on_a_spare_that_is_in_use_and_nobody_takes_one_that_is_acted_on(
    actor: Actor, host: Host
) -> None:
    spare = _spare(1)
    holder = _failover("one")
    on_it = stage.ready(key="two", alert=factories.alert(target=spare.ip, host=spare))
    candidate = holder.plan["foreseen"]["2"]["candidates"][0]
    Execution.objects.filter(pk=holder.pk).update(state="running", acting=True)
    assert spares.reserve(candidate, holder, NOW)
    stage.drain()
    assert on_it.steps.get().state == "ready"
    assert [ctx.execution.pk for ctx in actor.seen if ctx.execution.pk == on_it.pk] == []
    Reservation.objects.all().delete()
    Execution.objects.filter(pk=on_it.pk).update(acting=True)
    assert not spares.reserve(candidate, holder, NOW)


def test_without_a_candidate_the_node_fails_and_the_flow_may_go_on(actor: Actor, host: Host) -> None:
    execution = stage.ready(node(1, "spare_host", failure=2), node(2))
    stage.drain()
    assert stage.steps(execution) == [(1, 1, "failed"), (2, 1, "succeeded")]
    lonely = stage.ready(node(1, "swap_host"), key="lonely")
    stage.drain()
    assert stage.state(lonely) == "failed"


def test_a_person_is_shown_the_candidates_and_chooses_one_by_its_number(actor: Actor, host: Host) -> None:
    old, new = _spare(1), _spare(2)
    execution = _failover(spare={"mode": "approval", "message": "主机 ${ip} 故障"})
    stage.drain()
    step = execution.steps.get(node=2)
    ((pk, message, policy),) = FakeGate.told("step")
    assert (pk, policy, step.state) == (step.pk, "", "waiting")
    offered = "1 号 127.0.1.2 spare-2（shanghai-1 / idle）；2 号 127.0.1.1 spare-1（shanghai-1 / idle）"
    hint = f"同意用 1 号，用别的在编号后加序号，如 TY {execution.pk}_2 2"
    assert message == f"主机 127.0.0.10 故障。候选备机：{offered}。{hint}"
    assert not Reservation.objects.exists()
    with pytest.raises(operations.InvalidChoice):
        operations.settle_approval_step(step.pk, True, "approved", "lisi", "同意", NOW, "3")
    FakeGate.passed.add(step.pk)
    operations.settle_approval_step(step.pk, True, "approved", "lisi", "同意", NOW, "2")
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert Reservation.objects.get().host == old
    assert actor.seen[-1].host is not None
    assert actor.seen[-1].host["id"] == old.pk
    assert execution.steps.get(node=5).permit_id == step.pk, "what follows stands on that yes"
    assert new.pk != old.pk


def test_a_refusal_takes_no_spare(actor: Actor, host: Host) -> None:
    _spare(1)
    execution = _failover(spare={"mode": "approval"})
    stage.drain()
    operations.settle_approval_step(execution.steps.get(node=2).pk, False, "refused", "lisi", "驳回", NOW)
    stage.drain()
    assert (stage.state(execution), Reservation.objects.count()) == ("skipped", 0)


@pytest.mark.parametrize(
    ("comment", "expected"),
    [("", 7), ("2", 8), (" 第 2 台 ", 8), ("选2号", 8), ("好的", 7), ("0", None), ("3", None), ("30 分钟后", None)],
)
def test_a_comment_chooses_or_says_nothing_or_is_refused(comment: str, expected: int | None) -> None:
    result = {"approval": 1, "offered": [7, 8]}
    if expected is None:
        with pytest.raises(InvalidChoice):
            chosen(result, comment)
    else:
        assert chosen(result, comment) == {**result, "chosen": expected}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"mode": "ask"}, "mode"),
        ({"set": 1}, "set"),
        ({"attributes": "os"}, "attributes"),
        ({"module": "${node.1.module}"}, "module"),
        ({"color": "red"}, "color"),
    ],
)
def test_it_refuses_a_faulty_node(params: dict[str, Any], field: str) -> None:
    assert [fault.field for fault in RUNNERS["spare_host"].validate(params)] == [field]


def test_a_reply_with_a_number_chooses_and_a_wrong_number_decides_nothing(
    actor: Actor, host: Host, settings: Any
) -> None:
    settings.FTA_APPROVAL_GATE = "approvals.gate.Gate"
    old, _new = _spare(1), _spare(2)
    boss = factories.person("zhao", "approver", businesses=(factories.business(),))
    ApprovalAdmin.objects.create(person=boss)
    execution = _failover(spare={"mode": "approval"})
    stage.drain()
    approval = Approval.objects.get()
    assert "1 号 127.0.1.2" in approval.message
    said = answer(f"TY {approval.code} 9", boss, timezone.now())
    assert said == "【故障自愈】审批失败：备注只写候选备机的序号，1 到 2；不写就用第 1 台"
    approval.refresh_from_db()
    assert (approval.state, stage.state(execution)) == ("pending", "running")
    assert answer(f"ty {approval.code} 2", boss, timezone.now()) == "【故障自愈】审批成功"
    stage.drain()
    assert stage.state(execution) == "succeeded"
    assert Reservation.objects.get().host == old
    shown = selectors.evidence(approval)["runs"]
    assert [run["node"] for run in shown] == [3, 4, 5]
    assert shown[-1]["text"] == "to: （备机） （备机） 127.0.0.10"
