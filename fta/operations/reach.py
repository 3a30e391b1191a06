"""Whose a switch is: the one rule of who may halt, resume and see what, whichever the door.

Whoever operates a business halts it and its packages; whoever operates every business, and so each admin, halts all healing.
"""

from typing import Any

from django.db.models import Q, QuerySet

from fta.models import Business, Package, Switch
from fta.models.engine import SwitchQuerySet
from fta.models.scope import in_scope, is_admin, roles_of


def operates_all(user: Any) -> bool:
    """Tell whether no business is outside what the user operates."""
    live = Business.objects.filter(archived=False)
    return is_admin(user) or (live.exists() and not live.exclude(in_scope(user, "pk", "operator")).exists())


def may_halt_anything(user: Any) -> bool:
    """Tell whether the user may halt anything at all."""
    return bool(roles_of(user) & {"admin", "operator"})


def may_halt_by_message(user: Any) -> bool:
    """Tell whether the user may halt by a command in WeCom: admins only, a typed word does not show what it stops."""
    return is_admin(user)


def haltable_by(user: Any) -> tuple[QuerySet[Business], QuerySet[Package]]:
    """Return the businesses and the packages that the user may halt, those that `reaches` says and that are in use."""
    return _operated(user).filter(archived=False), Package.objects.operable_by(user).filter(archived=False)


def reaches(user: Any, scope: str, key: str) -> bool:
    """Tell whether the user may halt and resume this scope: all healing, or a business or package that there is."""
    if operates_all(user):
        return True
    own: dict[str, QuerySet[Any]] = {
        Switch.Scope.BUSINESS: _operated(user).filter(code=key),
        Switch.Scope.PACKAGE: Package.objects.operable_by(user).filter(key=key),
    }
    return scope in own and own[scope].exists()


def resumable_by(user: Any) -> SwitchQuerySet:
    """Return the switches in force that the user may end, those that `reaches` says."""
    if operates_all(user):
        return Switch.objects.in_force()
    return Switch.objects.in_force().filter(_covering(_operated(user), Package.objects.operable_by(user)))


def shown_to(user: Any) -> SwitchQuerySet:
    """Return the switches that concern the user: those of all healing, of own businesses and of packages that may be read."""
    if is_admin(user):
        return Switch.objects.all()
    if not roles_of(user):
        return Switch.objects.none()
    businesses = Business.objects.filter(in_scope(user, "pk", "operator", "approver", "viewer"))
    return Switch.objects.filter(Q(scope=Switch.Scope.ALL) | _covering(businesses, Package.objects.visible_to(user)))


def _operated(user: Any) -> QuerySet[Business]:
    return Business.objects.filter(in_scope(user, "pk", "operator"))


def _covering(businesses: QuerySet[Business], packages: QuerySet[Package]) -> Q:
    business = Q(scope=Switch.Scope.BUSINESS, key__in=businesses.values("code"))
    return business | Q(scope=Switch.Scope.PACKAGE, key__in=packages.values("key"))
