"""Who may see and do what: rights are QuerySets, so that what is not yours does not exist for you."""

from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.db.models import Q

ROLES = (
    "admin",
    "operator",
    "approver",
    "viewer",
)  # Django groups of these names; a group of another name gives no right

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


def roles_of(user: User | AnonymousUser) -> frozenset[str]:
    """Return the roles of a user; a superuser is an admin, a stranger and whoever is disabled, as user or as person, has none."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    cached: frozenset[str] | None = getattr(user, "_fta_roles", None)
    if cached is None:
        cached = _roles_of(user)
        user._fta_roles = cached  # type: ignore[attr-defined]
    return cached


def _roles_of(user: User) -> frozenset[str]:
    if hasattr(user, "person") and not user.person.active:  # a superuser may be nobody's person
        return frozenset()
    names = set(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
    return frozenset(names | ({"admin"} if user.is_superuser else set()))


def is_admin(user: User | AnonymousUser) -> bool:
    """Tell whether the user administers the portal."""
    return "admin" in roles_of(user)


def in_scope(user: User | AnonymousUser, field: str, *roles: str) -> Q:
    """Return the condition "`field` is a business in which the user holds one of `roles`"; admins pass, others fail closed."""
    held = roles_of(user)
    if "admin" in held:
        return Q(pk__isnull=False)  # true of every row; an empty Q would vanish from `in_scope(…) | other`
    if not isinstance(user, User) or not held & set(roles):
        return Q(pk__in=[])
    return Q(**{f"{field}__in": user.person.businesses.all()}) if hasattr(user, "person") else Q(pk__in=[])


class ScopedQuerySet(models.QuerySet[M_co]):
    """A QuerySet of rows that belong to a business, found through `scope_field`."""

    scope_field = "business"

    def visible_to(self, user: Any) -> "ScopedQuerySet[M_co]":
        """Return the rows that the user may read."""
        return self.filter(in_scope(user, self.scope_field, "operator", "approver", "viewer"))

    def operable_by(self, user: Any) -> "ScopedQuerySet[M_co]":
        """Return the rows that the user may change or act on."""
        return self.filter(in_scope(user, self.scope_field, "operator"))
