"""/api/v1/: what happened, and the operator's verbs. Foreign objects do not exist for a key: its QuerySets decide."""

from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import Count, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fta import operations
from fta.api import bodies
from fta.api import serializers as s
from fta.api.base import Choices, Reading, said, user_of
from fta.api.permissions import MayAct
from fta.models import Alert, AuditEntry, Business, Duty, Execution, Incident, StepRun
from fta.models.scope import is_admin, roles_of


class AlertFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of alerts/."""

    source = django_filters.CharFilter(field_name="source__name")
    business = django_filters.CharFilter(field_name="business__code")
    status = Choices(choices=Alert.Status.choices)
    severity = Choices(choices=Alert.Severity.choices)
    outcome = Choices(choices=Alert.Outcome.choices)
    since = django_filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gte")

    class Meta:
        model = Alert
        fields = ("alert_type", "target", "fingerprint", "external_id")


class ExecutionFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of executions/."""

    alert = django_filters.NumberFilter(field_name="alert_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    switch = django_filters.NumberFilter(field_name="held_back__switch_id")
    state = Choices(choices=Execution.State.choices)
    business = django_filters.CharFilter(field_name="business__code")
    package = django_filters.CharFilter(field_name="package__key")
    rule = django_filters.CharFilter(field_name="rule__name")
    host = django_filters.CharFilter(field_name="host__ip")
    since = django_filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gte")

    class Meta:
        model = Execution
        fields = ("healed",)


class IncidentFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of incidents/."""

    business = django_filters.CharFilter(field_name="business__code")
    rule = django_filters.CharFilter(field_name="rule__name")
    since = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")

    class Meta:
        model = Incident
        fields = ("state", "function", "visible")


class AuditFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of audit/."""

    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")

    class Meta:
        model = AuditEntry
        fields = ("actor", "verb", "object_type", "object_id")


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
        asked = ("approvals__decided_by", "approvals__asked__user", "approvals__decisions")
        return rows.select_related(*related).prefetch_related("steps", *asked)

    def _mine(self, pk: Any) -> Execution:
        """Return an execution that the caller may act on; others do not exist."""
        return get_object_or_404(Execution.objects.operable_by(self.request.user), pk=pk)

    def _answer(self, pk: Any) -> Response:
        return Response(s.ExecutionSerializer(self.get_queryset().get(pk=pk)).data)

    @extend_schema(request=bodies.ReasonSerializer, responses=s.ExecutionSerializer)
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: Any = None) -> Response:
        """Stop an execution; the step in hand is broken off."""
        told = said(bodies.ReasonSerializer, request)
        operations.abort(self._mine(pk), user_of(request), told["reason"], timezone.now())
        return self._answer(pk)

    @extend_schema(request=bodies.RetrySerializer, responses=s.ExecutionSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: Any = None) -> Response:
        """Run an ended execution again from a node, or one node only."""
        told = said(bodies.RetrySerializer, request)
        operations.retry(self._mine(pk), user_of(request), told["reason"], told["node"], told["only"], timezone.now())
        return self._answer(pk)

    @extend_schema(request=bodies.ResolveSerializer, responses=s.ExecutionSerializer)
    @action(detail=True, methods=["post"], url_path="resolve-unknown")
    def resolve_unknown(self, request: Request, pk: Any = None) -> Response:
        """Settle an unknown step as done or not done."""
        told = said(bodies.ResolveSerializer, request)
        step = get_object_or_404(StepRun, pk=told["step"], execution=self._mine(pk))
        operations.resolve_unknown(step, user_of(request), told["done"], told["reason"], timezone.now())
        return self._answer(pk)


class IncidentViewSet(Reading):
    """Incidents, the newest first."""

    serializer_class = s.IncidentSerializer
    filterset_class = IncidentFilter
    queryset = Incident.objects.none()

    def get_queryset(self) -> QuerySet[Incident]:
        return Incident.objects.visible_to(self.request.user).order_by("-pk").select_related("rule", "business")


class BusinessViewSet(Reading):
    """The key's businesses."""

    serializer_class = s.BusinessSerializer
    lookup_field = "code"
    queryset = Business.objects.none()

    def get_queryset(self) -> QuerySet[Business]:
        rows = Business.objects.filter(archived=False).prefetch_related("maintainers__user")
        user: Any = self.request.user
        return rows if is_admin(user) else rows.filter(people=user.person)


class DutyViewSet(Reading):
    """The duty lists, each with who is on duty now; for whoever has any role."""

    serializer_class = s.DutySerializer
    lookup_field = "name"
    queryset = Duty.objects.none()

    def get_queryset(self) -> QuerySet[Duty]:
        rows = Duty.objects.staffed()
        return rows if roles_of(self.request.user) else rows.none()


class AuditViewSet(Reading):
    """The audit trail, for admins."""

    serializer_class = s.AuditSerializer
    filterset_class = AuditFilter
    queryset = AuditEntry.objects.none()

    def get_queryset(self) -> QuerySet[AuditEntry]:
        rows = AuditEntry.objects.order_by("-pk")
        return rows if is_admin(self.request.user) else rows.none()


class StatsView(APIView):
    """Figures of a period."""

    permission_classes = [MayAct]

    @extend_schema(parameters=[s.PeriodSerializer], responses=s.StatsSerializer)
    def get(self, request: Request) -> Response:
        """Return counts of alerts and executions of the last ?days= (default 7)."""
        form = s.PeriodSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        days = form.validated_data["days"]
        since = timezone.now() - timedelta(days=days)
        runs = Execution.objects.visible_to(request.user).filter(received_at__gte=since).order_by()
        alerts = Alert.objects.visible_to(request.user).filter(received_at__gte=since)
        states = dict(runs.values_list("state").annotate(Count("pk")))
        judged = dict(runs.values_list("healed").annotate(Count("pk")))
        found = {
            "days": days,
            "alerts": alerts.count(),
            "converged": runs.filter(Execution.CONVERGED).count(),
            "healed": judged.get(Execution.Healed.HEALED, 0),
            "executions": {state: states.get(state, 0) for state in Execution.State.values},
            "judged": {name: judged.get(name, 0) for name in Execution.Healed.values if name},
        }
        return Response(s.StatsSerializer(found).data)
