"""packages/: read, made, saved as a new version, archived, and run by hand."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from fta import operations
from fta.api import bodies
from fta.api import serializers as s
from fta.api.base import Choices, many, said, user_of
from fta.api.configuration import Configuring, Faults, NotYours, operates, refuse_foreign
from fta.config import editing, healing, references
from fta.config.reader import Reader
from fta.models import Execution, Host, Mode, Package
from fta.models.scope import in_scope


class PackageFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of packages/."""

    business = django_filters.CharFilter(field_name="business__code")
    mode = Choices(choices=Mode.choices)
    risk = Choices(choices=Package.Risk.choices)

    class Meta:
        model = Package
        fields = ("name",)


class PackageViewSet(Configuring):
    """Packages by key. Each change of nodes or parameters makes a version; versions are never edited."""

    model = Package
    serializer_class = s.PackageSerializer
    filterset_class = PackageFilter
    lookup_field = "key"
    queryset = Package.objects.none()

    def get_queryset(self) -> QuerySet[Package]:
        rows = Package.objects.visible_to(self.request.user).filter(archived=False)
        return rows.order_by("key").select_related("business", "current")

    def out(self, row: Package) -> dict[str, Any]:
        return healing.package_out(row)

    def may_change(self, row: Package) -> bool:
        return operates(row.business, self.request.user)

    def save(self, row: Package, data: Any) -> None:
        """Check what was said and write it, as a new version when the nodes or parameters differ.

        How far a stored package may go is no part of that: it is set one step at a time, with a reason (see `mode`).
        """
        faults, user = Faults(), user_of(self.request)
        kept = {"key": row.key, "mode": row.mode}
        reader = Reader({**kept, **data} if isinstance(data, dict) and row.pk else data, "", faults)
        key, note = healing.package_key(reader), reader.text("note")
        values, nodes, parameters = healing.package_values(key, reader)
        refuse_foreign(values["business"], user, reader)
        for path, message in references.faults(nodes):
            reader.fault(path, message)
        if row.pk and key and key != row.key:
            reader.fault("key", "is for good; make a package of the new key and archive this one")
        if row.pk and values["mode"] != row.mode:
            reader.fault("mode", f'is set with a reason, by POST packages/{row.key}/mode/ {{"mode", "reason"}}')
        faults.refuse()
        if not operates(values["business"], user):
            raise NotYours
        values = values if row.pk else {"key": key, **values}
        editing.save_package(row, values, nodes, parameters, {}, user.get_username(), note, timezone.now())

    @extend_schema(responses=s.VersionSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None)
    def versions(self, request: Request, key: str = "") -> Response:
        """List the versions of a package, the newest first."""
        page = self.paginate_queryset(self.get_object().versions.order_by("-number"))
        return self.get_paginated_response(many(s.VersionSerializer, page or []))

    @extend_schema(request=bodies.ModeSerializer, responses=s.PackageSerializer)
    @action(detail=True, methods=["post"])
    def mode(self, request: Request, key: str = "") -> Response:
        """Set how far a package may go by itself, with a reason: shadow, then approval, then auto."""
        wish, user, package = said(bodies.ModeSerializer, request), user_of(request), self.get_object()
        if not self.may_change(package):
            raise NotYours
        operations.set_mode(package, wish["mode"], wish["reason"], user, timezone.now())
        return Response(self.out(self.get_object()))

    @extend_schema(request=bodies.RunSerializer, responses={200: s.PlanSerializer, 201: s.ExecutionSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, key: str = "") -> Response:
        """Run a package by hand on a registered host, under the same approval rules; dry_run shows the plan only."""
        wish, user, package = said(bodies.RunSerializer, request), user_of(request), self.get_object()
        get_object_or_404(Host.objects.filter(in_scope(user, "business", "operator")), ip=wish["ip"])
        found = operations.run_by_hand(
            package, user, wish["ip"], wish["params"], wish["reason"], timezone.now(), wish["dry_run"]
        )
        if wish["dry_run"]:
            return Response(s.PlanSerializer(found).data)
        return Response(s.ExecutionSerializer(Execution.objects.get(pk=found.pk)).data, status=201)
