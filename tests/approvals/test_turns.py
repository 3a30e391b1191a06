"""Whose turn it is: stages, quorums, deputies, and turns that were handed over."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Decision, Policy
from fta.models import AuditEntry, Business, PackageVersion, Person
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import age, ask, held, policy, refused, say

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
    first, idle = (factories.person(name, "operator", businesses=(game,)) for name in ("first", "idle"))
    second = factories.person("second")
    default_policy.stages = [
        {"approvers": [{"role": "operator"}], "quorum": 1},
        {"approvers": [{"person": "second"}], "quorum": 1},
    ]
    default_policy.save()
    approval = ask()

    with pytest.raises(services.NotApprover, match="还没轮到你"):
        say(approval, second)
    assert say(approval, first).state == "pending"
    with pytest.raises(services.AlreadyDecided, match="你已经回答过"):
        say(approval, first)
    with pytest.raises(services.AlreadyDecided, match="已由别人同意"):
        say(approval, idle)
    sent = Delivery.objects.filter(payload__message__form="approval_card").order_by("id")
    assert [row.recipients for row in sent] == [["first", "idle"], ["second"]]
    assert len({row.payload["message"]["task_id"] for row in sent}) == 2
    default_policy.stages = []  # an edit does not lower the bar of what was asked
    default_policy.save()
    with pytest.raises(services.NotApprover):
        say(approval, second)
    default_policy.stages = [{"approvers": []}, {"approvers": [{"person": "second"}]}]
    default_policy.save()
    assert say(approval, second).state == "approved"
    default_policy.stages = [{"approvers": [{"role": "operator"}]}, {"approvers": [{"person": "second"}]}]
    default_policy.save()
    with pytest.raises(services.AlreadyDecided, match="second 已在"):  # who decided it, also for those of another stage
        say(approval, first)
    assert refused(approval) == ["not_approver", *["already_decided"] * 2, "not_approver", "already_decided"]


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


def test_it_says_why_a_turn_is_not_handed_over(game: Business, stranger: Person) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b", "c")]
    chosen = policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}], exclude_requester=False)
    approval = ask(requested_by=people[2].user)
    say(approval, people[0])
    chosen.exclude_requester = True
    chosen.save()
    for person, refusal in ((people[0], services.AlreadyDecided), (people[2], services.RequesterMayNotDecide)):
        with pytest.raises(refusal):
            services.hand_over(approval.pk, person.user, stranger, timezone.now())
    age(approval)
    with pytest.raises(services.Expired):
        services.hand_over(approval.pk, people[1].user, stranger, timezone.now())
    assert not approval.asked.filter(user=stranger.user).exists()


def test_it_shows_nobody_what_is_their_own(default_policy: Policy, operator: Person) -> None:
    deputy, author = factories.person("deputy"), factories.person("author")
    for_all = [factories.person("a", "operator", businesses=operator.businesses.all()), operator]
    for person, stand_in in zip(for_all, (deputy, author), strict=True):
        services.lend(person, stand_in, timezone.now() + timedelta(hours=1), timezone.now())
    execution = held(requested_by=deputy.user)
    PackageVersion.objects.update(author="author")
    approval = ask(execution)
    own = [person.user.username for person in (*for_all, deputy, author) if _waits(approval, person)]
    assert own == ["a", "lisi"]
    default_policy.exclude_requester = False
    default_policy.save()
    assert all(_waits(approval, person) for person in (deputy, author))


def test_it_shows_a_deputy_no_seat_that_was_answered(game: Business) -> None:
    people = [factories.person(name, "operator", businesses=(game,)) for name in ("a", "b")]
    deputy = factories.person("deputy")
    policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    approval = ask()
    services.lend(people[0], deputy, timezone.now() + timedelta(hours=1), timezone.now())
    assert _waits(approval, deputy)
    say(approval, people[0])
    assert not _waits(approval, deputy)
    with pytest.raises(services.NotApprover):
        say(approval, deputy)
    services.lend(people[1], deputy, timezone.now() + timedelta(hours=1), timezone.now())
    assert _waits(approval, deputy)  # of the other


def _waits(approval: Approval, person: Person) -> bool:
    return Approval.objects.decidable_by(person.user).filter(pk=approval.pk).exists()
