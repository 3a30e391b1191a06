"""rules/backtest/: replay stored alerts against drafts; the answer comes later, at the address of the backtest."""

from datetime import timedelta
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as S
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fta.api.base import said, user_of
from fta.api.permissions import MayAct
from fta.backtest import InvalidDraft, start
from fta.models import BacktestRun, Business, Mode
from fta.models.scope import in_scope, is_admin

_DAYS = 7


class RuleDraftSerializer(S.Serializer[Any]):
    """A matching rule as it might be; `id` names the rule that it replaces."""

    id = S.IntegerField(required=False, allow_null=True, min_value=1)
    name = S.CharField(required=False, allow_blank=True, max_length=128)
    priority = S.IntegerField(required=False)
    enabled = S.BooleanField(required=False)
    match = S.DictField(required=False)
    package = S.CharField(required=False, allow_null=True, max_length=64)
    mode = S.ChoiceField(required=False, choices=Mode.choices)
    timeout = S.IntegerField(required=False, min_value=60, max_value=7 * 86400)
    stale_after = S.IntegerField(required=False, allow_null=True, min_value=1)


class ConvergenceDraftSerializer(S.Serializer[Any]):
    """A convergence rule as it might be; `id` names the rule that it replaces, window is in seconds."""

    id = S.IntegerField(required=False, allow_null=True, min_value=1)
    name = S.CharField(required=False, allow_blank=True, max_length=128)
    alert_types = S.ListField(child=S.CharField(max_length=255), required=False)
    window = S.IntegerField(required=False, min_value=1, max_value=86400)
    count = S.IntegerField(required=False, min_value=1, max_value=100_000)
    dimensions = S.ListField(child=S.JSONField())
    function = S.CharField(max_length=32)
    priority = S.IntegerField(required=False)
    enabled = S.BooleanField(required=False)
    business = S.CharField(required=False, allow_null=True, max_length=64)


class BacktestRequestSerializer(S.Serializer[Any]):
    """Which alerts (the last `days`, or those from `from` to `to`), and the drafts; without a draft today's rules are replayed."""

    days = S.IntegerField(required=False, min_value=1, max_value=31)
    to = S.DateTimeField(required=False)
    rule = RuleDraftSerializer(required=False, allow_null=True)
    convergence_rule = ConvergenceDraftSerializer(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": S.DateTimeField(required=False)}  # a word of Python's own


class BacktestSerializer(S.Serializer[BacktestRun]):
    """A backtest: its progress, and its report once it is done."""

    id = S.IntegerField(source="pk")
    state = S.CharField()
    done = S.IntegerField()
    total = S.IntegerField()
    created_at = S.DateTimeField()
    ended_at = S.DateTimeField()
    error = S.CharField()
    report = S.JSONField()


class BacktestsView(APIView):
    """Begin a backtest."""

    permission_classes = [MayAct]

    @extend_schema(request=BacktestRequestSerializer, responses={202: BacktestSerializer})
    def post(self, request: Request) -> Response:
        """Replay stored alerts against drafts in the background; nothing is changed by it."""
        data, now, user = said(BacktestRequestSerializer, request), timezone.now(), user_of(request)
        until = data.get("to") or now
        since = data.get("from") or until - timedelta(days=data.get("days") or _DAYS)
        mine = Business.objects.filter(in_scope(user, "pk", "operator", "approver", "viewer"))
        try:
            run = start(
                user,
                since,
                until,
                now,
                rule=data.get("rule"),
                convergence=_with_business(data.get("convergence_rule")),
                businesses=None if is_admin(user) else mine.values_list("pk", flat=True),
            )
        except InvalidDraft as error:
            raise ValidationError({path: [message] for path, message in error.problems}) from error
        return Response({"id": run.pk}, status=202)


class BacktestView(APIView):
    """One backtest of the key's own; admins see all."""

    permission_classes = [MayAct]

    @extend_schema(responses=BacktestSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Return its progress and its report."""
        run = get_object_or_404(BacktestRun.objects.visible_to(request.user), pk=pk)
        return Response(BacktestSerializer(run).data)


def _with_business(draft: dict[str, Any] | None) -> dict[str, Any] | None:
    if draft is None or not draft.get("business"):
        return draft
    business = Business.objects.filter(code=draft["business"]).first()
    if business is None:
        raise ValidationError({"convergence_rule.business": ["There is no such business."]})
    return {**draft, "business_id": business.pk}
