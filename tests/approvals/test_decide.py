"""The one door: who gets through it, and what happens then."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from approvals import gate, messages, services
from approvals.models import Approval, ApprovalAdmin, Asked, Decision, Policy
from fta import audit, signals
from fta.healing import plan
from fta.models import AuditEntry, Business, Execution, Host, PackageVersion, Person, StepRun
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import age, ask, held, policy

pytestmark = pytest.mark.django_db


def say(
    approval: Approval, person: Person, answer: str = "approve", channel: str = "reply", seen: str | None = None
) -> Approval:
    return services.decide(approval.pk, person.user, answer, "", channel, timezone.now(), seen)


def refused(approval: Approval) -> list[str]:
    rows = AuditEntry.objects.filter(verb="approval.decide_refused", object_id=str(approval.pk)).order_by("id")
    return [row.data["why"] for row in rows]


def test_it_approves_and_releases(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = ask(execution)
    heard: list[str] = []

    def hear(approval: Approval, event: str, **rest: Any) -> None:
        heard.append(event)

    signals.approval_changed.connect(hear)
    decided = services.decide(approval.pk, operator.user, "approve", "放心", "reply", timezone.now())

    execution.refresh_from_db()
    assert (decided.state, decided.decided_by, decided.channel) == ("approved", operator.user, "reply")
    assert decided.comment == "同意（微信审批）：放心"
    assert execution.state == "ready"
    assert Decision.objects.filter(approval=approval, user=operator.user, answer="approve").count() == 1
    entry = AuditEntry.objects.get(verb="approval.decide")
    assert (entry.actor, entry.data["code"]) == ("lisi", f"{execution.pk}_0")
    assert heard == ["decided"]
    update = Delivery.objects.get(payload__message__form="card_update")
    assert update.recipients == ["lisi"]
    assert "lisi 已在" in update.payload["message"]["text"]
    assert gate.Gate().approved(execution)
    assert audit.verify() is None


def test_it_refuses_and_ends_the_execution(default_policy: Policy, operator: Person) -> None:
    execution = held()
    decided = say(ask(execution), operator, "refuse", "card")

    execution.refresh_from_db()
    assert (decided.state, execution.state) == ("refused", "skipped")
    assert decided.comment == "驳回（微信审批）"
    assert not gate.Gate().approved(execution)


@pytest.mark.parametrize(
    ("channel", "answer", "text"),
    [
        ("todo", "approve", "同意（微信审批）"),
        ("card", "refuse", "驳回（微信审批）"),
        ("web", "approve", "同意（网页审批）"),
        ("api", "refuse", "驳回（接口审批）"),
    ],
)
def test_it_records_the_way(channel: str, answer: str, text: str) -> None:
    assert messages.recorded(answer, channel, " ") == text


def test_it_tells_the_loser_who_decided_what(default_policy: Policy, operator: Person, approval_admin: Person) -> None:
    approval = ask()
    say(approval, operator, "refuse")
    with pytest.raises(services.AlreadyDecided) as caught:
        say(approval, approval_admin)

    approval.refresh_from_db()
    assert approval.state == "refused"
    assert "lisi" in caught.value.reason
    assert "驳回了" in caught.value.reason
    assert refused(approval) == ["already_decided"]


def test_it_refuses_strangers_and_audits_it(default_policy: Policy, operator: Person, stranger: Person) -> None:
    execution = held()
    approval = ask(execution)
    for channel in ("reply", "card", "todo", "web", "api"):
        with pytest.raises(services.NotApprover):
            say(approval, stranger, channel=channel)

    approval.refresh_from_db()
    execution.refresh_from_db()
    assert (approval.state, execution.state) == ("pending", "held")
    assert refused(approval) == ["not_approver"] * 5
    assert not Decision.objects.exists()


def test_it_refuses_an_operator_of_another_business(default_policy: Policy, operator: Person, pay: Business) -> None:
    foreign = factories.person("foreign", "operator", "approver", businesses=(pay,))
    approval = ask()
    with pytest.raises(services.NotApprover):
        say(approval, foreign)


@pytest.mark.parametrize("lost", ["user", "person", "role", "scope"])
def test_it_asks_for_the_right_of_today(default_policy: Policy, operator: Person, lost: str) -> None:
    approval = ask()
    user = operator.user
    if lost == "user":
        user.is_active = False
        user.save()
    elif lost == "person":
        Person.objects.filter(pk=operator.pk).update(active=False)
    elif lost == "role":
        user.groups.clear()
    else:
        operator.businesses.clear()
    with pytest.raises(services.NotApprover):
        say(approval, operator)
    assert refused(approval) == ["not_approver"]


def test_it_takes_an_admins_right_away_with_the_list(default_policy: Policy, approval_admin: Person) -> None:
    approval = ask()
    ApprovalAdmin.objects.all().delete()
    with pytest.raises(services.NotApprover):
        say(approval, approval_admin)


def test_it_refuses_the_requester_even_among_the_admins(default_policy: Policy, approval_admin: Person) -> None:
    approval = ask(requested_by=approval_admin.user)
    Asked.objects.create(approval=approval, user=approval_admin.user, why="admin")  # as if somebody had slipped it in
    with pytest.raises(services.RequesterMayNotDecide):
        say(approval, approval_admin)
    assert refused(approval) == ["requester_may_not_decide"]


def test_it_refuses_the_author(default_policy: Policy, operator: Person) -> None:
    execution = held()
    PackageVersion.objects.update(author="lisi")
    approval = ask(execution)
    with pytest.raises(services.RequesterMayNotDecide):
        say(approval, operator)


def test_it_lets_nobody_decide_after_the_end(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = age(ask(execution), expires_at=timezone.now() - timedelta(milliseconds=5))
    with pytest.raises(services.Expired):
        say(approval, operator)
    execution.refresh_from_db()
    assert execution.state == "held"
    assert refused(approval) == ["expired"]


def test_it_needs_the_quorum_and_counts_everybody_once(game: Business) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b", "c")]
    policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    execution = held()
    approval = ask(execution)

    assert say(approval, people[0]).state == "pending"
    with pytest.raises(services.AlreadyDecided):
        say(approval, people[0])
    assert say(approval, people[1]).state == "approved"
    with pytest.raises(services.AlreadyDecided):
        say(approval, people[2])
    execution.refresh_from_db()
    assert execution.state == "ready"
    assert Decision.objects.count() == 2


def test_it_goes_stage_by_stage(game: Business, default_policy: Policy) -> None:
    first = factories.person("first", "operator", businesses=(game,))
    second = factories.person("second")
    default_policy.stages = [
        {"approvers": [{"role": "operator"}], "quorum": 1},
        {"approvers": [{"person": "second"}], "quorum": 1},
    ]
    default_policy.save()
    approval = ask()

    with pytest.raises(services.NotApprover):  # not yet
        say(approval, second)
    assert say(approval, first).state == "pending"
    sent = Delivery.objects.filter(payload__message__form="approval_card").order_by("id")
    assert [row.recipients for row in sent] == [["first"], ["second"]]
    assert len({row.payload["message"]["task_id"] for row in sent}) == 2
    default_policy.stages = []  # an edit does not lower the bar of what was asked
    default_policy.save()
    with pytest.raises(services.NotApprover):
        say(approval, second)
    default_policy.stages = [{"approvers": []}, {"approvers": [{"person": "second"}]}]
    default_policy.save()
    assert say(approval, second).state == "approved"


def test_it_refuses_when_one_of_a_quorum_refuses(game: Business) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b")]
    policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    execution = held()
    approval = ask(execution)
    say(approval, people[0])
    assert say(approval, people[1], "refuse").state == "refused"
    execution.refresh_from_db()
    assert execution.state == "skipped"


def test_it_lets_a_deputy_answer_once_for_both(game: Business) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b")]
    deputy = factories.person("deputy")
    policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    services.lend(people[0], deputy, timezone.now() + timedelta(hours=1), timezone.now())
    approval = ask()
    assert Delivery.objects.first().recipients == ["a", "b", "deputy"]  # type: ignore[union-attr]

    assert say(approval, deputy).state == "pending"
    with pytest.raises(services.NotApprover):  # the seat is taken: one right, one voice
        say(approval, people[0])
    assert say(approval, people[1]).state == "approved"
    assert approval.asked.get(user=deputy.user).why == f"deputy:{people[0].user_id}"


def test_it_lets_no_deputy_answer_after_the_time(default_policy: Policy, operator: Person) -> None:
    deputy = factories.person("deputy")
    services.lend(operator, deputy, timezone.now() - timedelta(seconds=1), timezone.now())
    approval = ask()
    with pytest.raises(services.NotApprover):
        say(approval, deputy)


def test_it_hands_a_turn_over(default_policy: Policy, operator: Person, stranger: Person) -> None:
    approval = ask()
    services.hand_over(approval.pk, operator.user, stranger, timezone.now())
    with pytest.raises(services.NotApprover):
        say(approval, operator)
    assert say(approval, stranger).state == "approved"
    assert AuditEntry.objects.filter(verb="approval.hand_over", actor="lisi").count() == 1


def test_it_hands_no_turn_to_the_requester(default_policy: Policy, operator: Person, stranger: Person) -> None:
    approval = ask(requested_by=stranger.user)
    with pytest.raises(services.CannotTakeOver):
        services.hand_over(approval.pk, operator.user, stranger, timezone.now())
    with pytest.raises(services.NotApprover):
        services.hand_over(approval.pk, stranger.user, operator, timezone.now())


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
    again = Approval.objects.get(code=approval.code, state="pending")
    assert (again.round, again.plan_sha256) == (2, execution.plan_sha256)
    assert "v1 → v2" in again.evidence["changes"][0]
    assert again.plan_sha256 != approval.plan_sha256
    assert refused(approval) == ["plan_changed"]
    assert say(again, operator).state == "approved"


def test_it_asks_again_when_the_host_was_pointed_elsewhere(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    Host.objects.update(connection="local")
    with pytest.raises(services.PlanChanged):
        say(approval, operator)
    assert Approval.objects.filter(code=approval.code, state="pending", round=2).exists()


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
    with pytest.raises(services.NotPending):
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


def running_step() -> StepRun:
    execution = held()
    Execution.objects.filter(pk=execution.pk).update(state="running", needs_approval=False)
    execution.refresh_from_db()
    return factories.step(execution, node=2, type="approval", state="waiting")


def test_it_settles_an_approval_node(default_policy: Policy, operator: Person) -> None:
    step = running_step()
    approval = services.open_node(step, "重启 127.0.0.10（disk_full）", "default", timezone.now())
    assert approval.code == f"{step.execution_id}_2"
    after = factories.step(step.execution, node=3, permit=step)
    permitted = StepRun.objects.filter(gate.Gate().permits(), pk=after.pk)
    assert not permitted.exists()

    say(approval, operator)

    step.refresh_from_db()
    assert (step.state, step.outcome) == ("succeeded", "approved")
    assert permitted.exists()
    Execution.objects.update(plan_sha256="c" * 64)
    StepRun.objects.filter(pk=after.pk).update(plan_sha256="c" * 64)
    assert not permitted.exists()


def test_it_permits_steps_behind_the_gate_only_after_the_yes(default_policy: Policy, operator: Person) -> None:
    execution = held()
    step = factories.step(execution)
    permitted = StepRun.objects.filter(gate.Gate().permits(), pk=step.pk)
    approval = ask(execution)
    assert not permitted.exists()
    say(approval, operator)
    assert permitted.exists()
    gate.Gate().supersede(execution, "计划变了", timezone.now())
    assert not permitted.exists()


def test_it_answers_the_system_that_asked(operator: Person) -> None:
    approval = services.open_external(
        code="CHG-3307",
        message="灰度到 30%",
        verifiers=["lisi"],
        now=timezone.now(),
        callback_url="http://127.0.0.1:1/done",
    )
    say(approval, operator)
    told = Delivery.objects.get(kind="webhook")
    data = told.payload["message"]["data"]
    assert (data["obj_id"], data["approved"], data["approver"]) == ("CHG-3307", True, "lisi")
    assert told.payload["message"]["url"] == "http://127.0.0.1:1/done"


@pytest.mark.django_db(transaction=True)
def test_it_lets_one_of_many_win(game: Business) -> None:
    if connection.vendor == "sqlite" and not settings.DATABASES["default"]["TEST"]["NAME"]:
        pytest.skip("sqlite: threads need a database in a file, see TEST_SQLITE")
    people = [factories.person(f"p{n}", "operator", businesses=(game,)) for n in range(8)]
    policy()
    execution = held()
    approval = ask(execution)
    results: list[str] = []
    start = threading.Barrier(8)

    def answer(number: int) -> None:
        start.wait()
        try:
            services.decide(
                approval.pk, people[number].user, "approve" if number % 2 else "refuse", "", "card", timezone.now()
            )
            results.append("won")
        except services.AlreadyDecided as lost:
            results.append("lost" if "已在" in lost.reason else lost.reason)
        finally:
            connection.close()

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    approval.refresh_from_db()
    execution.refresh_from_db()
    assert sorted(results) == ["lost"] * 7 + ["won"]
    assert Decision.objects.count() == 1
    assert AuditEntry.objects.filter(verb="approval.decide").count() == 1
    assert AuditEntry.objects.filter(verb="approval.decide_refused").count() == 7
    assert execution.state == {"approved": "ready", "refused": "skipped"}[approval.state]
    assert audit.verify() is None


def test_it_freezes_what_the_hash_says(default_policy: Policy) -> None:
    execution = held()
    assert plan.is_intact(execution)
    assert ask(execution).plan_sha256 == execution.plan_sha256
