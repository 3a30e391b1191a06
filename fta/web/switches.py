"""Whose a switch is: an admin's, or an operator's when it covers an own business or package."""

from typing import Any

from django.db.models import Q, QuerySet

from fta.models import Business, Package, Switch
from fta.models.scope import in_scope, is_admin, roles_of


def _covering(businesses: QuerySet[Business], packages: QuerySet[Package]) -> Q:
    return Q(scope=Switch.Scope.BUSINESS, key__in=businesses.values("code")) | Q(
        scope=Switch.Scope.PACKAGE, key__in=packages.values("key")
    )


def resumable_by(user: Any) -> QuerySet[Switch]:
    """Return the switches in force that the user may end."""
    if is_admin(user):
        return Switch.objects.in_force()
    businesses = Business.objects.filter(in_scope(user, "pk", "operator"))
    return Switch.objects.in_force().filter(_covering(businesses, Package.objects.operable_by(user)))


def shown_to(user: Any) -> QuerySet[Switch]:
    """Return the switches that concern the user: those of all healing, of own businesses and of packages that may be read."""
    if is_admin(user):
        return Switch.objects.all()
    if not roles_of(user):
        return Switch.objects.none()
    businesses = Business.objects.filter(in_scope(user, "pk", "operator", "approver", "viewer"))
    return Switch.objects.filter(Q(scope=Switch.Scope.ALL) | _covering(businesses, Package.objects.visible_to(user)))


def may_halt_anything(user: Any) -> bool:
    """Tell whether the user may halt anything at all."""
    return bool(roles_of(user) & {"admin", "operator"})
