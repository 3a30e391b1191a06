"""What an administrator sees is everything, also where a condition is joined with another."""

import pytest

from fta.models import Business, Package, Person

pytestmark = pytest.mark.django_db


def test_it_shows_an_administrator_the_packages_of_every_business(game: Business, pay: Business, admin: Person) -> None:
    for business in (game, pay, None):
        Package.objects.create(key=f"of-{business.code if business else 'all'}", name="重启", business=business)

    assert set(Package.objects.visible_to(admin.user).values_list("key", flat=True)) == {"of-game", "of-pay", "of-all"}


def test_it_shows_an_operator_only_the_own_packages(game: Business, pay: Business, operator: Person) -> None:
    for business in (game, pay, None):
        Package.objects.create(key=f"of-{business.code if business else 'all'}", name="重启", business=business)

    assert set(Package.objects.visible_to(operator.user).values_list("key", flat=True)) == {"of-game", "of-all"}
