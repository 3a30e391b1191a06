"""Who may read an approval that was asked of somebody else."""

import pytest

from approvals.models import Approval, Policy
from fta.models import Business, Person
from tests.approvals.conftest import ask, held


@pytest.mark.usefixtures("operator")
def test_it_shows_every_approval_to_an_administrator_and_none_to_a_stranger(
    default_policy: Policy, game: Business, admin: Person, stranger: Person
) -> None:
    approval = ask(held(game))

    assert list(Approval.objects.visible_to(admin.user)) == [approval]
    assert not Approval.objects.decidable_by(admin.user).exists()
    assert not Approval.objects.visible_to(stranger.user).exists()
