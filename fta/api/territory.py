"""Whose a rule or a shield is: it has no business of its own, so the businesses that its conditions name decide."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from fta.matching.text import exact_values
from fta.models import Business
from fta.models.scope import in_scope, is_admin

_READERS = ("operator", "approver", "viewer")


def businesses_of(match: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the codes of the businesses that the conditions are confined to, or None when they are not."""
    values = exact_values(match.get("business"))
    return frozenset(values) if values else None


def codes_of(user: Any, *roles: str) -> frozenset[str] | None:
    """Return the codes of the businesses in which the user holds one of the roles; None stands for all of them."""
    if is_admin(user):
        return None
    return frozenset(Business.objects.filter(in_scope(user, "pk", *roles)).values_list("code", flat=True))


def visible(rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
    """Return the rules that the user may read: those for all businesses and those that name one of the user's."""
    codes = codes_of(user, *_READERS)
    if codes is None:
        return rows
    return _kept(rows, lambda named: named is None or bool(named & codes))


def naming(rows: QuerySet[Any], code: str) -> QuerySet[Any]:
    """Return the rules that are confined to businesses of which this is one."""
    return _kept(rows, lambda named: named is not None and code in named)


def may_change(match: Mapping[str, Any], user: Any) -> bool:
    """Tell whether the user may make or change a rule with these conditions: each business of it is operated by the user."""
    mine, named = codes_of(user, "operator"), businesses_of(match)
    return mine is None or (named is not None and named <= mine)


def _kept(rows: QuerySet[Any], holds: Any) -> QuerySet[Any]:
    return rows.filter(pk__in=[row.pk for row in rows if holds(businesses_of(row.match))])
