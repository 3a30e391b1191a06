"""An approval holds for one plan: what happens when another would run."""

import pytest
from django.utils import timezone

from approvals import gate, services
from approvals.models import Approval, Decision, Policy
from fta import operations
from fta.engine.loop import Engine
from fta.healing import plan
from fta.models import Alert, AuditEntry, Execution, Host, PackageVersion, Person
from tests import factories
from tests.approvals.conftest import ask, held, refused, say

pytestmark = pytest.mark.django_db


def test_it_asks_again_when_the_package_was_edited(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = ask(execution)
    package = execution.package
    assert package is not None
    package.current = PackageVersion.objects.create(
        package=package, number=2, nodes=factories.SLEEP_NODES, sha256="1" * 64, author="tester"
    )
    package.save()
    with pytest.raises(services.PlanChanged) as caught:
        say(approval, operator)

    approval.refresh_from_db()
    execution.refresh_from_db()
    assert (approval.state, execution.state) == ("superseded", "held")
    assert "v1 → v2" in caught.value.reason
    again = Approval.objects.get(code=f"{approval.code}_2", state="pending")
    assert (again.round, again.plan_sha256) == (2, execution.plan_sha256)
    assert "v1 → v2" in again.evidence["changes"][0]
    assert again.plan_sha256 != approval.plan_sha256
    assert refused(approval) == ["plan_changed"]
    assert say(again, operator).state == "approved"


def test_a_retry_stays_with_the_version_that_its_steps_are_of(default_policy: Policy, operator: Person) -> None:
    sleep = factories.SLEEP_NODES[0]
    nodes = [sleep | {"next": {"success": [2]}}, sleep | {"id": 2, "policy": "once"}]
    package = factories.package(nodes=nodes)
    execution = held()
    begun = timezone.now()
    Execution.objects.update(state="unknown", needs_approval=False, started_at=begun)
    factories.step(execution, 1, state="succeeded", started_at=begun)
    factories.step(execution, 2, state="unknown", policy="once", started_at=begun)
    package.current = PackageVersion.objects.create(package=package, number=2, nodes=[sleep], sha256="1" * 64)
    package.save()
    boss = factories.person("boss", "admin")
    operations.retry(execution, boss.user, "再来", None, False, timezone.now())
    first = Approval.objects.get()
    Host.objects.update(connection="local")
    with pytest.raises(services.PlanChanged) as caught:
        say(first, operator)
    assert "v1 → v2" not in caught.value.reason
    assert say(Approval.objects.get(state="pending"), operator).state == "approved"
    Engine(threads=1, work=["step", "execution"]).drain()
    execution.refresh_from_db()
    assert (execution.state, execution.version and execution.version.number) == ("succeeded", 1)
    assert execution.plan["hosts"][0]["connection"] == "local"
    assert list(AuditEntry.objects.filter(verb="execution.refreeze").values_list("actor", flat=True)) == ["system"]


@pytest.mark.parametrize("late", [False, True], ids=["before the retry", "while it was asked about"])
def test_a_retry_behind_an_approval_node_runs_by_the_yes_to_its_new_plan(
    default_policy: Policy, operator: Person, late: bool
) -> None:
    sleep = factories.SLEEP_NODES[0]
    asks = {"id": 1, "name": "问", "type": "approval", "params": {"message": "重启"}, "next": {"success": [2]}}
    factories.package(nodes=[asks, sleep | {"id": 2, "next": {"success": [3]}}, sleep | {"id": 3}])
    execution = held()
    Execution.objects.update(state="running", needs_approval=False, started_at=timezone.now())
    execution.refresh_from_db()
    asked = factories.step(execution, 1, type="approval", state="waiting")
    assert say(services.open_node(asked, "重启", "default", timezone.now()), operator).state == "approved"
    assert execution.steps.get(node=2).permit == asked
    execution.steps.filter(node=2).update(state="failed")
    Execution.objects.update(state="failed", ended_at=timezone.now())
    boss = factories.person("boss", "admin")
    if late:  # nothing has changed yet: it is asked about because the package wants it by now
        factories.Package.objects.update(mode="approval")
    else:
        Host.objects.update(connection="local")
    operations.retry(Execution.objects.get(), boss.user, "再来", None, False, timezone.now())
    if late:
        Host.objects.update(connection="local")
        with pytest.raises(services.PlanChanged):
            say(Approval.objects.get(state="pending"), operator)
    Engine(threads=1, work=["step", "execution"]).drain()
    assert Execution.objects.get().state == "held"
    assert say(Approval.objects.get(state="pending"), operator).state == "approved"
    Engine(threads=1, work=["step", "execution"]).drain()
    execution.refresh_from_db()
    assert (execution.state, execution.needs_approval) == ("succeeded", True)
    assert list(execution.steps.filter(iteration=2).values_list("node", "permit")) == [(2, None), (3, None)]


def test_it_asks_again_when_the_host_was_pointed_elsewhere(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    Host.objects.update(connection="local")
    with pytest.raises(services.PlanChanged):
        say(approval, operator)
    assert Approval.objects.filter(code=f"{approval.code}_2", state="pending", round=2).exists()


def _wanted_no_more(void: bool) -> Approval:
    """Return the question about an execution whose alert has just resolved, where the rule says what that means."""
    approval = ask(rule=factories.rule(void_when_resolved=void))
    Alert.objects.update(status="resolved", resolved_at=timezone.now())
    return approval


def _ended(approval: Approval) -> tuple[str, str, int]:
    approval.refresh_from_db()
    execution = Execution.objects.get()
    voided = AuditEntry.objects.filter(verb="execution.void", actor="system", object_id=str(execution.pk))
    return approval.state, execution.state, voided.count()


@pytest.mark.parametrize(
    ("void", "ends"), [(True, ("superseded", "skipped", 1)), (False, ("pending", "held", 0))], ids=["void", "valid"]
)
def test_a_question_outlives_its_alert_unless_the_rule_says_otherwise(
    default_policy: Policy, operator: Person, void: bool, ends: tuple[str, str, int]
) -> None:
    approval = _wanted_no_more(void)
    Engine(threads=1, work=["sleeper"]).drain()
    assert _ended(approval) == ends
    assert ("告警已恢复" in Execution.objects.get().reason) is void
    if not void:
        assert say(approval, operator).state == "approved"
        Engine(threads=1, work=["step", "execution"]).drain()
        assert Execution.objects.get().state == "succeeded"


def test_a_yes_to_what_nobody_needs_any_more_ends_it(default_policy: Policy, operator: Person) -> None:
    approval = _wanted_no_more(void=True)  # and nobody has looked at the execution since
    with pytest.raises(services.NothingToDo) as caught:
        say(approval, operator)
    assert "告警已恢复，按规则不再执行" in caught.value.reason
    assert _ended(approval) == ("superseded", "skipped", 1)
    assert refused(approval) == ["alert_resolved"]
    assert Approval.objects.count() == 1, "it is not asked again"


def test_a_yes_that_came_before_the_alert_resolved_starts_nothing(default_policy: Policy, operator: Person) -> None:
    approval = ask(rule=factories.rule(void_when_resolved=True))
    assert say(approval, operator).state == "approved"
    Alert.objects.update(status="resolved", resolved_at=timezone.now())
    Engine(threads=1, work=["step", "execution"]).drain()
    assert _ended(approval) == ("superseded", "skipped", 1)


def test_it_takes_a_no_to_a_plan_that_changed(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    Host.objects.update(connection="local")
    assert say(approval, operator, "refuse").state == "refused"


def test_it_takes_no_answer_to_a_page_of_another_plan(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    with pytest.raises(services.PlanChanged):
        say(approval, operator, "approve", "web", "b" * 64)
    approval.refresh_from_db()
    assert approval.state == "pending"  # the question itself still fits
    assert say(approval, operator, "approve", "web", approval.plan_sha256).state == "approved"


def test_it_voids_the_earlier_round(default_policy: Policy, operator: Person) -> None:
    execution = held()
    first = ask(execution)
    second = ask(execution)
    with pytest.raises(services.AskedAgain):
        say(first, operator)
    assert say(second, operator).state == "approved"
    third = ask(Execution.objects.get(pk=execution.pk))
    second.refresh_from_db()
    assert (second.state, third.round) == ("superseded", 3)
    assert not gate.Gate().approved(execution)


def test_it_tells_when_the_execution_has_moved_on(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = ask(execution)
    Execution.objects.filter(pk=execution.pk).update(state="cancelled")
    with pytest.raises(services.NotPending):
        say(approval, operator)
    approval.refresh_from_db()
    assert approval.state == "pending"
    assert not Decision.objects.exists()


def test_it_freezes_what_the_hash_says(default_policy: Policy) -> None:
    execution = held()
    assert plan.is_intact(execution)
    assert ask(execution).plan_sha256 == execution.plan_sha256
