"""/api/v1/: what happened, and the operator's verbs. Foreign objects do not exist for a key: its QuerySets decide."""

from datetime import timedelta
from typing import Any

import django_filters
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fta import operations
from fta.api import serializers as s
from fta.api.permissions import MayAct
from fta.models import Alert, AuditEntry, Business, Execution, Host, Incident, Package, StepRun, Switch
from fta.models.scope import in_scope, is_admin


class In(django_filters.BaseInFilter, django_filters.CharFilter):  # type: ignore[misc]
    """Several values joined by commas."""


class AlertFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of alerts/."""

    source = django_filters.CharFilter(field_name="source__name")
    business = django_filters.CharFilter(field_name="business__code")
    status = In(field_name="status")
    severity = In(field_name="severity")
    outcome = In(field_name="outcome")
    since = django_filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gte")

    class Meta:
        model = Alert
        fields = ("alert_type", "target", "fingerprint", "external_id")


class ExecutionFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of executions/."""

    state = In(field_name="state")
    business = django_filters.CharFilter(field_name="business__code")
    package = django_filters.CharFilter(field_name="package__key")
    rule = django_filters.CharFilter(field_name="rule__name")
    host = django_filters.CharFilter(field_name="host__ip")
    since = django_filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gte")

    class Meta:
        model = Execution
        fields = ("alert", "incident", "healed")


class Reading(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """A list and its items, within the key's scope."""

    permission_classes = [MayAct]


class AlertViewSet(Reading):
    """Alerts, the newest first."""

    serializer_class = s.AlertSerializer
    filterset_class = AlertFilter
    queryset = Alert.objects.none()

    def get_queryset(self) -> QuerySet[Alert]:
        rows = Alert.objects.visible_to(self.request.user).order_by("-pk")
        return rows.select_related("source", "business", "host").prefetch_related("executions")


class ExecutionViewSet(Reading):
    """Executions, the newest first, with their steps and approvals."""

    serializer_class = s.ExecutionSerializer
    filterset_class = ExecutionFilter
    queryset = Execution.objects.none()

    def get_queryset(self) -> QuerySet[Execution]:
        rows = Execution.objects.visible_to(self.request.user).order_by("-pk")
        related = ("rule", "package", "version", "business", "host", "verdict_rule")
        return rows.select_related(*related).prefetch_related("steps", "approvals__decided_by")

    def _mine(self, pk: Any) -> Execution:
        """Return an execution that the caller may act on; others do not exist."""
        return get_object_or_404(Execution.objects.operable_by(self.request.user), pk=pk)

    def _answer(self, pk: Any) -> Response:
        return Response(s.ExecutionSerializer(self.get_queryset().get(pk=pk)).data)

    @extend_schema(request=s.ReasonSerializer, responses=s.ExecutionSerializer)
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: Any = None) -> Response:
        """Stop an execution; the step in hand is broken off."""
        said = _said(s.ReasonSerializer, request)
        operations.abort(self._mine(pk), _user(request), said["reason"], timezone.now())
        return self._answer(pk)

    @extend_schema(request=s.RetrySerializer, responses=s.ExecutionSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: Any = None) -> Response:
        """Run an ended execution again from a node, or one node only."""
        said = _said(s.RetrySerializer, request)
        operations.retry(self._mine(pk), _user(request), said["reason"], said["node"], said["only"], timezone.now())
        return self._answer(pk)

    @extend_schema(request=s.ResolveSerializer, responses=s.ExecutionSerializer)
    @action(detail=True, methods=["post"], url_path="resolve-unknown")
    def resolve_unknown(self, request: Request, pk: Any = None) -> Response:
        """Settle an unknown step as done or not done."""
        said = _said(s.ResolveSerializer, request)
        step = get_object_or_404(StepRun, pk=said["step"], execution=self._mine(pk))
        operations.resolve_unknown(step, _user(request), said["done"], said["reason"], timezone.now())
        return self._answer(pk)


class IncidentViewSet(Reading):
    """Incidents, the newest first."""

    serializer_class = s.IncidentSerializer
    filterset_fields = ("state", "function", "visible")
    queryset = Incident.objects.none()

    def get_queryset(self) -> QuerySet[Incident]:
        return Incident.objects.visible_to(self.request.user).order_by("-pk").select_related("rule", "business")


class PackageViewSet(Reading):
    """Packages by key."""

    serializer_class = s.PackageSerializer
    lookup_field = "key"
    filterset_fields = ("risk", "mode")
    queryset = Package.objects.none()

    def get_queryset(self) -> QuerySet[Package]:
        rows = Package.objects.visible_to(self.request.user).filter(archived=False)
        return rows.order_by("key").select_related("business", "current")

    @extend_schema(responses=s.VersionSerializer(many=True))
    @action(detail=True, methods=["get"])
    def versions(self, request: Request, key: str = "") -> Response:
        """List the versions of a package, the newest first."""
        page = self.paginate_queryset(self.get_object().versions.order_by("-number"))
        return self.get_paginated_response(_many(s.VersionSerializer, page or []))

    @extend_schema(request=s.RunSerializer, responses={201: s.ExecutionSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, key: str = "") -> Response:
        """Run a package by hand on a registered host, under the same approval rules; dry_run shows the plan only."""
        said = _said(s.RunSerializer, request)
        get_object_or_404(Host.objects.filter(in_scope(request.user, "business", "operator")), ip=said["ip"])
        found = operations.run_by_hand(
            self.get_object(),
            _user(request),
            said["ip"],
            said["params"],
            said["reason"],
            timezone.now(),
            said["dry_run"],
        )
        if said["dry_run"]:
            return Response({"plan": found.plan, "plan_sha256": found.plan_sha256})
        return Response(s.ExecutionSerializer(Execution.objects.get(pk=found.pk)).data, status=201)


class HostViewSet(Reading):
    """Hosts of the key's businesses."""

    serializer_class = s.HostSerializer
    lookup_field = "ip"
    lookup_value_regex = "[0-9a-fA-F.:]+"
    filterset_fields = ("name", "set_name", "module", "is_spare")
    queryset = Host.objects.none()

    def get_queryset(self) -> QuerySet[Host]:
        scope = in_scope(self.request.user, "business", "operator", "approver", "viewer")
        rows = Host.objects.filter(scope, archived=False).order_by("ip")
        return rows.select_related("business").prefetch_related("operators__user")


class BusinessViewSet(Reading):
    """The key's businesses."""

    serializer_class = s.BusinessSerializer
    lookup_field = "code"
    queryset = Business.objects.none()

    def get_queryset(self) -> QuerySet[Business]:
        rows = Business.objects.filter(archived=False).prefetch_related("maintainers__user")
        user: Any = self.request.user
        return rows if is_admin(user) else rows.filter(people=user.person)


class AuditViewSet(Reading):
    """The audit trail, for admins."""

    serializer_class = s.AuditSerializer
    filterset_fields = ("actor", "verb", "object_type", "object_id")
    queryset = AuditEntry.objects.none()

    def get_queryset(self) -> QuerySet[AuditEntry]:
        rows = AuditEntry.objects.order_by("-pk")
        return rows if is_admin(self.request.user) else rows.none()


class SwitchView(APIView):
    """停止自愈: GET lists what is in force, POST halts, DELETE resumes."""

    permission_classes = [MayAct]

    @extend_schema(responses=s.SwitchSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the switches in force."""
        rows = list(Switch.objects.in_force().order_by("-pk"))
        return Response(
            {"count": len(rows), "next": None, "previous": None, "results": _many(s.SwitchSerializer, rows)}
        )

    @extend_schema(request=s.HaltSerializer, responses={201: s.SwitchSerializer})
    def post(self, request: Request) -> Response:
        """Stop healing in a scope."""
        said = _said(s.HaltSerializer, request)
        now = timezone.now()
        until = now + timedelta(minutes=said["minutes"]) if said["minutes"] else None
        switch = operations.halt(said["scope"], said["key"], said["reason"], until, _user(request), now)
        return Response(s.SwitchSerializer(switch).data, status=201)

    @extend_schema(request=s.ResumeSerializer, responses=s.SwitchSerializer(many=True))
    def delete(self, request: Request) -> Response:
        """Resume healing in a scope; scope and key in the body or the query."""
        form = s.ResumeSerializer(data=request.data or request.query_params.dict() or {"scope": "all"})
        form.is_valid(raise_exception=True)
        said = form.validated_data
        rows = list(Switch.objects.in_force().filter(scope=said["scope"], key=said["key"]))
        for row in rows:
            operations.resume(row, _user(request), timezone.now())
        return Response({"ended": [row.pk for row in rows]})


class StatsView(APIView):
    """Figures of a period."""

    permission_classes = [MayAct]

    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        """Return counts of alerts and executions of the last ?days= (default 7)."""
        text = request.query_params.get("days", "7")
        days = min(int(text), 365) if text.isdecimal() and int(text) else 7
        since = timezone.now() - timedelta(days=days)
        runs = Execution.objects.visible_to(request.user).filter(received_at__gte=since)
        alerts = Alert.objects.visible_to(request.user).filter(received_at__gte=since)
        return Response(
            {
                "days": days,
                "alerts": alerts.count(),
                "executions": {state: runs.filter(state=state).count() for state in Execution.State.values},
                "healed": runs.filter(healed=Execution.Healed.HEALED).count(),
            }
        )


def _user(request: Request) -> User:
    """Return the key's service user; the permissions let nobody in without one."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def _said(form: type[Any], request: Request) -> dict[str, Any]:
    """Validate what the caller sent; a fault becomes a 400 that names the field."""
    filled = form(data=request.data)
    filled.is_valid(raise_exception=True)
    found: dict[str, Any] = filled.validated_data
    return found


def _many(form: type[Any], rows: list[Any]) -> Any:
    return form(rows, many=True).data
