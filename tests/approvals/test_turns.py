"""Whose turn it is: stages, quorums, deputies, and turns that were handed over."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Decision, Policy
from fta.models import AuditEntry, Business, Person
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import ask, held, policy, say

pytestmark = pytest.mark.django_db


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
    assert approval.asked.get(user=deputy.user).why == f"deputy:{people[0].user_id}:role:operator"


def test_it_asks_no_deputy_who_could_not_answer(default_policy: Policy, game: Business) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b")]
    deputy = factories.person("deputy")
    services.lend(people[0], deputy, timezone.now() + timedelta(hours=1), timezone.now())
    ask(held(requested_by=deputy.user))
    assert Delivery.objects.first().recipients == ["a", "b"]  # type: ignore[union-attr]

    default_policy.stages = [{"approvers": [{"role": "operator"}, {"person": "deputy"}], "quorum": 3}]
    default_policy.save()
    Delivery.objects.all().delete()
    approval = ask(held(ip="127.0.0.11"))
    assert Delivery.objects.first().recipients == ["a", "b", "deputy"]  # type: ignore[union-attr]
    say(approval, deputy)
    assert {person.user.username for person in services.posting.receivers(approval)} == {"a", "b"}


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
