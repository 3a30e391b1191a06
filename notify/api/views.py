"""/api/v1/channels/, notification-rules/ and deliveries/."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from fta.api.base import Choices
from notify import outbox, selectors
from notify.api.serializers import ChannelSerializer, DeliverySerializer, NotificationRuleSerializer, PostedSerializer
from notify.delivery import NotResendable, resend
from notify.models import Channel, Delivery, NotificationRule


class NothingToResend(APIException):
    """The delivery is neither failed nor unknown."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "not_resendable"
    default_detail = "Only a failed or unknown delivery can be sent again."


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc] # the library has no types
    """Filters of the list of deliveries; an execution or alert that is not there has none."""

    state = Choices(choices=Delivery.State.choices)
    execution = django_filters.NumberFilter(field_name="execution_id")
    alert = django_filters.NumberFilter(field_name="alert_id")
    channel = django_filters.CharFilter(field_name="channel__name")
    approval = django_filters.NumberFilter(field_name="approval_ref")

    class Meta:
        model = Delivery
        fields = ("event",)


class ChannelViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Channel]):
    """Channels: to read for every role, to test for operators and admins."""

    serializer_class = ChannelSerializer
    queryset = Channel.objects.none()

    def get_queryset(self) -> QuerySet[Channel]:
        """Return the channels in use."""
        return selectors.readable(self.request.user, selectors.live_channels().select_related("fallback"))

    @extend_schema(request=None, responses={202: PostedSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: Any = None) -> Response:
        """Send a test message; the answer names the deliveries to look at."""
        channel = get_object_or_404(selectors.testable(request.user, selectors.live_channels()), pk=pk)
        rows = outbox.post_test(channel, request.user.get_username(), timezone.now())
        return Response({"deliveries": [row.pk for row in rows]}, status=status.HTTP_202_ACCEPTED)


class NotificationRuleViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[NotificationRule]
):
    """Notification rules."""

    serializer_class = NotificationRuleSerializer
    queryset = NotificationRule.objects.none()

    def get_queryset(self) -> QuerySet[NotificationRule]:
        """Return the rules in use."""
        return selectors.readable(self.request.user, selectors.live_rules().select_related("template"))


class DeliveryViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Delivery]):
    """Deliveries of the user's businesses."""

    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    queryset = Delivery.objects.none()

    def get_queryset(self) -> QuerySet[Delivery]:
        """Return the deliveries that the user may read, the newest first."""
        return selectors.visible_deliveries(self.request.user)

    @extend_schema(request=None, responses=DeliverySerializer)
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: Any = None) -> Response:
        """Send a failed or unknown delivery again."""
        row = get_object_or_404(selectors.operable_deliveries(request.user), pk=pk)
        try:
            resend(row, request.user, timezone.now())
        except NotResendable as error:
            raise NothingToResend from error
        return Response(DeliverySerializer(self.get_queryset().get(pk=row.pk)).data)
