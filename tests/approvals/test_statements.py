"""What an answer costs the database: five hundred at once must not take half a minute."""

from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta.models import Incident, Person
from tests.approvals.conftest import ask, held

pytestmark = pytest.mark.django_db

ONE = 31  # with a card to update; two of them are the locks of the audit chain, which only PostgreSQL takes
OF_MANY = 24  # of a storm; each in its own transaction, with its audit and release
AROUND = 14  # what is looked up and told once for all


def answer(approvals: list[Approval], person: Person) -> list[str]:
    listed = [(approval.pk, approval.plan_sha256) for approval in approvals]
    return services.decide_each(listed, person.user, "approve", "", "web", timezone.now())


def test_an_answer_costs_few_statements(
    default_policy: Policy, operator: Person, django_assert_max_num_queries: Any
) -> None:
    approval = ask()
    with django_assert_max_num_queries(ONE):
        services.decide(approval.pk, operator.user, "approve", "", "card", timezone.now())


def test_each_of_many_answers_costs_fewer(
    default_policy: Policy, operator: Person, storm: Incident, django_assert_max_num_queries: Any
) -> None:
    approvals = [ask(held(ip=f"127.0.2.{number}", incident=storm)) for number in range(1, 7)]
    with django_assert_max_num_queries(AROUND + OF_MANY * len(approvals)):
        assert answer(approvals, operator) == [""] * len(approvals)
