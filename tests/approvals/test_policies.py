"""Who is asked."""

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval, ApproverGroup
from fta import signals
from fta.models import Business, Duty, Person
from tests import factories
from tests.approvals.conftest import ask, held, policy

pytestmark = pytest.mark.django_db


def asked(approval: Approval, stage: int = 0) -> dict[str, str]:
    return dict(approval.asked.filter(stage=stage).values_list("user__username", "why"))


def test_it_asks_the_hosts_operators_the_operators_of_the_business_and_its_maintainers(game: Business) -> None:
    owner = factories.person("owner")
    maintainer = factories.person("maintainer")
    other = factories.person("other", "operator", businesses=(factories.business("pay"),))
    factories.person("lisi", "operator", businesses=(game,))
    service = factories.api_key("some-api-key-0123456789", "operator", game).user
    game.maintainers.add(maintainer)
    factories.host(operators=[owner])
    policy()

    names = asked(ask())

    assert names == {
        "owner": "role:operator",
        "lisi": "role:operator",
        service.username: "role:operator",
        "maintainer": "role:maintainer",
    }
    assert other.user.username not in names


def test_it_asks_groups_named_people_and_whoever_is_on_duty(game: Business) -> None:
    factories.person("anna")
    member = factories.person("berta")
    factories.person("carla")
    ApproverGroup.objects.create(name="dba").people.add(member)
    Duty.objects.create(name="night", people=["carla"])
    policy(stages=[{"approvers": [{"person": "anna"}, {"group": "dba"}, {"duty": "night"}], "quorum": 2}])

    approval = ask()

    assert asked(approval) == {"anna": "person:anna", "berta": "group:dba", "carla": "duty:night"}
    assert approval.quorum == 2


def test_it_asks_approval_admins_in_every_stage(operator: Person, approval_admin: Person) -> None:
    policy(stages=[{"approvers": [{"role": "operator"}]}, {"approvers": [{"person": "nobody"}]}])

    approval = ask()

    assert asked(approval) == {"lisi": "role:operator", "admin_wx": "admin"}
    assert asked(approval, 1) == {"admin_wx": "admin"}


def test_it_leaves_the_question_to_the_admins_where_there_is_no_policy(
    operator: Person, approval_admin: Person
) -> None:
    assert asked(ask()) == {"admin_wx": "admin"}


def test_it_falls_back_to_no_other_policy_when_the_named_one_is_missing(
    operator: Person, approval_admin: Person
) -> None:
    policy()
    assert asked(ask(held(approval_policy="gone"))) == {"admin_wx": "admin"}


def test_it_opens_and_reports_an_approval_that_nobody_may_answer(game: Business) -> None:
    faults: list[str] = []

    def hear(text: str, subject: str, **rest: object) -> None:
        faults.append(text)

    signals.system_fault.connect(hear)
    approval = ask()

    assert approval.state == "pending"
    assert asked(approval) == {}
    assert len(faults) == 1
    assert approval.code in faults[0]


def test_it_leaves_out_the_requester_and_the_author(game: Business) -> None:
    requester = factories.person("requester", "operator", businesses=(game,))
    author = factories.person("tester", "operator", businesses=(game,))  # wrote the package's version
    factories.person("third", "operator", businesses=(game,))
    chosen = policy()
    execution = held(requested_by=requester.user)

    assert asked(ask(execution)) == {"third": "role:operator"}

    chosen.exclude_requester = False
    chosen.save()
    assert set(asked(ask(execution))) == {"requester", author.user.username, "third"}


def test_it_asks_the_verifiers_of_another_system_by_account(approval_admin: Person) -> None:
    factories.person("zhang", wecom="Zhang.San")
    approval = services.open_external(
        code="CHG-1", message="发布", verifiers=["ZHANG.san", "unknown"], now=timezone.now(), callback_url="http://x/"
    )
    assert asked(approval) == {"zhang": "person", "admin_wx": "admin"}
    again = services.open_external(
        code="CHG-1", message="发布", verifiers=["zhang.san"], now=timezone.now(), callback_url="http://x/"
    )
    assert again.pk == approval.pk
    with pytest.raises(services.CodeInUse):
        services.open_external(code="CHG-1", message="别的", verifiers=["zhang.san"], now=timezone.now())
