"""The statement that applies an answer holds every condition itself.

The look before it tells people in words what is wrong; here that look sees nothing, as when the world changed right after it.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Asked, Decision, Policy
from approvals.services import deciding
from fta.models import Execution, Person
from tests import factories
from tests.approvals.conftest import ask, held, say

pytestmark = pytest.mark.django_db


def _disable(_approval: Approval, person: Person) -> None:
    Person.objects.filter(pk=person.pk).update(active=False)


def _unseat(approval: Approval, _person: Person) -> None:
    Asked.objects.filter(approval=approval).delete()


def _answered(approval: Approval, person: Person) -> None:
    now = timezone.now()
    Decision.objects.create(
        approval=approval, user=person.user, answer="approve", channel="web", stage=0, decided_at=now
    )


def _other_plan(approval: Approval, _person: Person) -> None:
    Execution.objects.filter(pk=approval.execution_id).update(plan_sha256="0" * 64)


def _own(approval: Approval, person: Person) -> None:
    Approval.objects.filter(pk=approval.pk).update(requested_by=person.user)


def _ended(approval: Approval, _person: Person) -> None:
    Approval.objects.filter(pk=approval.pk).update(state="expired")


def _late(approval: Approval, _person: Person) -> None:
    Approval.objects.filter(pk=approval.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("change", [_disable, _unseat, _answered, _other_plan, _own, _ended, _late])
def test_it_applies_no_answer_that_may_not_be(
    default_policy: Policy,
    operator: Person,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Approval, Person], None],
) -> None:
    approval = ask()
    change(approval, operator)
    before = Approval.objects.values().get(pk=approval.pk)
    said = Decision.objects.count()
    monkeypatch.setattr(deciding, "_object", lambda *looked_at: None)
    with pytest.raises(services.NotPending):
        say(approval, operator)
    assert Approval.objects.values().get(pk=approval.pk) == before
    assert Decision.objects.count() == said


def test_it_applies_no_answer_to_another_plan_than_was_seen(
    default_policy: Policy, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = ask()
    monkeypatch.setattr(deciding, "_object", lambda *looked_at: None)
    with pytest.raises(services.NotPending):
        say(approval, operator, seen="0" * 64)
    assert say(approval, operator, seen=approval.plan_sha256).state == "approved"


def test_somebody_disabled_may_not_use_a_turn_that_was_handed_over(
    default_policy: Policy, operator: Person, stranger: Person
) -> None:
    approval = ask()
    services.hand_over(approval.pk, operator.user, stranger, timezone.now())
    Person.objects.filter(pk=stranger.pk).update(active=False)
    with pytest.raises(services.NotApprover):
        say(approval, stranger)


def test_an_expired_one_says_so(default_policy: Policy, operator: Person) -> None:
    approval = ask(held(alert=factories.alert()))
    Approval.objects.filter(pk=approval.pk).update(state="expired")
    with pytest.raises(services.Expired):
        say(approval, operator)
