"""The one door: who gets through it, and what happens then."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from approvals import gate, messages, services
from approvals.models import Approval, ApprovalAdmin, Asked, Decision, Policy
from fta import audit, signals
from fta.models import AuditEntry, Business, PackageVersion, Person
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import age, ask, held, policy, refused, say

pytestmark = pytest.mark.django_db


def test_it_approves_and_releases(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = ask(execution)
    Delivery.objects.update(state="sent", sent_at=timezone.now())
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


def test_metrics_tell_the_decisions(default_policy: Policy, operator: Person) -> None:
    say(ask(), operator)
    assert 'fta_decisions_total{answer="approve",channel="reply"} 1.0' in Client().get("/metrics").content.decode()


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


@pytest.mark.parametrize("kind", ["gate", "external"])
def test_an_admin_decides_also_what_was_asked_before(default_policy: Policy, operator: Person, kind: str) -> None:
    late, own = factories.person("late"), factories.person("own")
    other = services.open_external(code="CHG-1", message="发布", verifiers=["lisi"], now=timezone.now())
    approval = ask(held(requested_by=own.user)) if kind == "gate" else other
    with pytest.raises(services.NotApprover):
        say(approval, late)
    ApprovalAdmin.objects.bulk_create(ApprovalAdmin(person=person) for person in (late, own))
    listed = Approval.objects.filter(pk=approval.pk)
    assert listed.decidable_by(late.user).exists()
    assert listed.decidable_by(own.user).exists() == (kind == "external")
    if kind == "gate":
        with pytest.raises(services.RequesterMayNotDecide):
            say(approval, own)
        assert not approval.asked.filter(user=own.user).exists()
    assert say(approval, late).state == "approved"
    entry = AuditEntry.objects.get(verb="approval.decide")
    assert (entry.actor, entry.data["why"]) == ("late", "admin")
    with pytest.raises(services.AlreadyDecided):
        say(approval, own if kind == "external" else late)


@pytest.mark.parametrize(("appointed", "how"), [("before", "delegate"), ("before", "deputy"), ("after", "delegate")])
def test_an_admin_who_gave_the_turn_away_has_no_second_voice(
    game: Business, stranger: Person, appointed: str, how: str
) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b")]
    admin, now = factories.person("admin_wx"), timezone.now()
    policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    if appointed == "before":
        ApprovalAdmin.objects.create(person=admin)
    approval = ask()
    if appointed == "after":
        ApprovalAdmin.objects.create(person=admin)
    if how == "deputy":
        services.lend(admin, stranger, now + timedelta(hours=1), now)
    else:
        services.hand_over(approval.pk, admin.user, stranger, now)
    assert say(approval, stranger).state == "pending"
    assert not Approval.objects.decidable_by(admin.user).exists()
    with pytest.raises(services.NotApprover):
        say(approval, admin)
    assert say(approval, people[0]).state == "approved"


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
