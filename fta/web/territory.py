"""Whose a rule or a shield is: it has no business of its own, so the businesses that its conditions name decide."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import QuerySet

from fta.matching.text import exact_values
from fta.models import Business, Rule, Shield
from fta.models.scope import in_scope, is_admin, roles_of
from fta.web.filters import READERS

R = TypeVar("R", Rule, Shield)


def businesses_of(match: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the codes of the businesses that the conditions are confined to, or None when they are not."""
    values = exact_values(match.get("business"))
    return frozenset(values) if values else None


def codes_of(user: Any, *roles: str) -> frozenset[str] | None:
    """Return the codes of the businesses in which the user is an operator (or has one of the roles); None stands for all."""
    if is_admin(user):
        return None
    rows = Business.objects.filter(in_scope(user, "pk", *(roles or ("operator",))))
    return frozenset(rows.values_list("code", flat=True))


def visible(rows: QuerySet[R], user: Any) -> QuerySet[R]:
    """Return the rules that the user may read: those for all businesses and those that name one of the user's."""
    codes = codes_of(user, *READERS)
    if codes is None:
        return rows
    if not roles_of(user) & set(READERS):
        return rows.none()
    return rows.filter(pk__in=[row.pk for row in rows if (named := businesses_of(row.match)) is None or named & codes])


def operable(rows: QuerySet[R], user: Any) -> QuerySet[R]:
    """Return the rules that the user may change: those confined to businesses in which the user is an operator."""
    codes = codes_of(user)
    if codes is None:
        return rows
    return rows.filter(
        pk__in=[row.pk for row in rows if (named := businesses_of(row.match)) is not None and named <= codes]
    )


def may_edit(user: Any) -> bool:
    """Tell whether the user may make rules and packages at all."""
    return bool(roles_of(user) & {"admin", "operator"})
