"""What an administrator sees is everything, also where a condition is joined with another."""

import pytest

from fta.models import Business, Package, Person
from fta.models.scope import roles_of
from tests import factories

pytestmark = pytest.mark.django_db


def test_it_shows_an_administrator_the_packages_of_every_business(game: Business, pay: Business, admin: Person) -> None:
    for business in (game, pay, None):
        Package.objects.create(key=f"of-{business.code if business else 'all'}", name="重启", business=business)

    assert set(Package.objects.visible_to(admin.user).values_list("key", flat=True)) == {"of-game", "of-pay", "of-all"}


def test_it_shows_an_operator_only_the_own_packages(game: Business, pay: Business, operator: Person) -> None:
    for business in (game, pay, None):
        Package.objects.create(key=f"of-{business.code if business else 'all'}", name="重启", business=business)

    assert set(Package.objects.visible_to(operator.user).values_list("key", flat=True)) == {"of-game", "of-all"}


def test_it_takes_no_group_of_another_name_for_a_role(game: Business) -> None:
    both = factories.person("both", "dba", "viewer", businesses=(game,))
    other = factories.person("other", "dba", businesses=(game,))
    Package.objects.create(key="of-all", name="重启")

    assert (roles_of(both.user), roles_of(other.user)) == ({"viewer"}, set())
    assert not Package.objects.visible_to(other.user).exists()
