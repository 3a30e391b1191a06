"""/api/v1/approvals/: read, and decide."""

from typing import Any, cast

import django_filters
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import selectors, services
from approvals.api.serializers import ApprovalSerializer, DecideSerializer
from approvals.models import Approval, ApprovalQuerySet
from fta.api.base import Choices
from fta.lib.types import User


class NotDecided(APIException):
    """An answer that changed nothing: 403 for whoever may not decide, 409 for what came too late or does not fit."""

    def __init__(self, refusal: services.Refusal) -> None:
        super().__init__(refusal.reason, refusal.code)
        foreign = isinstance(refusal, services.NotApprover | services.RequesterMayNotDecide)
        self.status_code = 403 if foreign else 409


class ApprovalFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of the list; an execution or incident that is not there has no approvals."""

    state = Choices(choices=Approval.State.choices)
    code = django_filters.CharFilter(method="of_code")
    execution = django_filters.NumberFilter(field_name="execution_id")
    incident = django_filters.NumberFilter(field_name="incident_id")

    class Meta:
        model = Approval
        fields = ("kind",)

    def of_code(self, rows: ApprovalQuerySet, name: str, code: str) -> ApprovalQuerySet:
        """Return the round of this code; for the code of the first round, all of them."""
        return rows.filter(Q(code=code) | Q(first_code=code))


class ApprovalViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Approval]):
    """Approvals that the key's user may read."""

    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilter
    queryset = Approval.objects.none()
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> ApprovalQuerySet:
        """Return the approvals of the user's scope, the newest first."""
        rows = selectors.with_related(Approval.objects.visible_to(self.request.user))
        return rows.prefetch_related("asked__user", "decisions")

    @extend_schema(request=DecideSerializer, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: Any = None) -> Response:
        """Approve or refuse as the key's user, who must be among those asked."""
        form = DecideSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said, user = form.validated_data, cast(User, request.user)
        approval = self._visible(pk, user, said["decision"])
        try:
            services.decide(
                approval.pk,
                user,
                said["decision"],
                said["comment"],
                "api",
                timezone.now(),
                said["plan_sha256"],
            )
        except services.Refusal as refusal:
            raise NotDecided(refusal) from refusal
        return Response(ApprovalSerializer(self.get_queryset().get(pk=approval.pk)).data)

    def _visible(self, pk: Any, user: User, answer: str) -> Approval:
        try:
            return self.get_object()
        except Http404:
            services.turn_away(int(pk), user, answer, "api", timezone.now())
            raise
