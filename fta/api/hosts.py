"""hosts/: read, made, changed and archived, in the shape of the configuration file."""

from typing import Any

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from fta.api import serializers as s
from fta.api.base import user_of
from fta.api.configuration import Configuring, Faults
from fta.config.hosts import Keeper, host_ip, host_out
from fta.config.reader import Reader
from fta.models import Host
from fta.models.scope import in_scope


class HostFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of hosts/."""

    business = django_filters.CharFilter(field_name="business__code")
    set = django_filters.CharFilter(field_name="set_name")
    spare = django_filters.BooleanFilter(field_name="is_spare")

    class Meta:
        model = Host
        fields = ("ip", "name", "module")


_SAID = extend_schema(request=s.HostSaidSerializer, responses=s.HostSerializer)


@extend_schema_view(create=_SAID, update=_SAID, partial_update=_SAID)
class HostViewSet(Configuring):
    """Hosts of the key's businesses, by address."""

    model = Host
    serializer_class = s.HostSerializer
    lookup_field = "ip"
    lookup_value_regex = "[0-9a-fA-F.:]+"
    filterset_class = HostFilter
    queryset = Host.objects.none()

    def get_queryset(self) -> QuerySet[Host]:
        scope = in_scope(self.request.user, "business", "operator", "approver", "viewer")
        rows = Host.objects.filter(scope, archived=False).order_by("ip")
        return rows.select_related("business", "credential").prefetch_related("operators__user")

    def out(self, row: Host) -> dict[str, Any]:
        return host_out(row)

    def may_change(self, row: Host) -> bool:
        return Keeper.of(self.request.user).keeps(row)

    def create(self, request: Request) -> Response:
        """Make one, or take up one again that was archived."""
        row = Host()
        with transaction.atomic():
            self.save(row, request.data)
        return Response(self.get_serializer(self.get_queryset().get(ip=row.ip)).data, status=201)

    def save(self, row: Host, data: Any) -> None:
        """Check what was said and write it; the address of a stored host is for good."""
        faults, keeper = Faults(), Keeper.of(user_of(self.request))
        reader = Reader({"ip": row.ip, **data} if isinstance(data, dict) and row.pk else data, "", faults)
        ip = host_ip(reader)
        stored = row if row.pk else Host.objects.filter(ip=ip or None, archived=True).first()
        values = keeper.read(reader, stored)
        if row.pk and ip and ip != row.ip:
            reader.fault("ip", "is for good; make a host of the new address and archive this one")
        faults.refuse()
        row.ip = ip
        keeper.save(ip, stored, values, timezone.now())
