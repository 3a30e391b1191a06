"""What the views of the API share: reading within the key's scope, and taking what a caller sends."""

from typing import Any

import django_filters
from django.contrib.auth.models import User
from rest_framework import mixins, viewsets
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from fta.api.permissions import MayAct


class Choices(django_filters.BaseInFilter, django_filters.ChoiceFilter):  # type: ignore[misc]
    """Several words of a list joined by commas; any other word is a fault."""


class Reading(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """A list and its items, within the key's scope."""

    permission_classes = [MayAct]


def user_of(request: Request) -> User:
    """Return the key's service user; the permissions let nobody in without one."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def said(form: type[Any], request: Request) -> dict[str, Any]:
    """Validate what the caller sent; a fault becomes a 400 that names the field."""
    filled = form(data=request.data)
    filled.is_valid(raise_exception=True)
    found: dict[str, Any] = filled.validated_data
    return found


def many(form: type[Any], rows: list[Any]) -> Any:
    """Return the JSON of several rows."""
    return form(rows, many=True).data
