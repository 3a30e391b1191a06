"""rules/backtest/: replay stored alerts against drafts; the answer comes later, at the address of the backtest."""

from datetime import datetime, timedelta
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as S
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fta.api.base import user_of
from fta.api.configuration import Faults, read_convergence_rule, read_rule
from fta.api.permissions import MayAct
from fta.api.rule_serializers import ConvergenceRuleSerializer, RuleSerializer
from fta.backtest import InvalidDraft, start
from fta.config.reader import Reader
from fta.models import BacktestRun, Business
from fta.models.scope import in_scope, is_admin

_DAYS = 7
_MOST_DAYS = 31
_MOST_DRAFTS = 500
_RULE = ("priority", "enabled", "match", "mode", "timeout", "stale_after")
_CONVERGENCE_RULE = ("alert_types", "window", "count", "dimensions", "function", "priority", "enabled")


class BacktestRequestSerializer(S.Serializer[Any]):
    """Which alerts (those from `from` to `to`, or the last `days`), and the drafts; without a draft today's rules are replayed.

    A draft is an item as rules/ and convergence-rules/ take it. It stands in the place of the rule of its `id` or its name, or
    beside the others when there is none.
    """

    days = S.IntegerField(required=False, default=_DAYS, min_value=1, max_value=_MOST_DAYS)
    to = S.DateTimeField(required=False, help_text="Absent: now.")
    rules = RuleSerializer(many=True, required=False)
    convergence_rules = ConvergenceRuleSerializer(many=True, required=False)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": S.DateTimeField(required=False)}  # a word of Python's own


class BegunSerializer(S.Serializer[Any]):
    """The backtest that was begun."""

    id = S.IntegerField()


class BacktestSerializer(S.Serializer[BacktestRun]):
    """A backtest: its progress, and its report once it is done."""

    id = S.IntegerField(source="pk")
    state = S.CharField()
    done = S.IntegerField()
    total = S.IntegerField()
    created_at = S.DateTimeField()
    ended_at = S.DateTimeField(allow_null=True)
    error = S.CharField()
    report = S.JSONField()


class BacktestsView(APIView):
    """Begin a backtest."""

    permission_classes = [MayAct]

    @extend_schema(request=BacktestRequestSerializer, responses={202: BegunSerializer})
    def post(self, request: Request) -> Response:
        """Replay stored alerts against drafts in the background; nothing is changed by it."""
        user, now = user_of(request), timezone.now()
        mine = Business.objects.filter(in_scope(user, "pk", "operator", "approver", "viewer"))
        asked = _asked(request.data, user, now)
        try:
            run = start(
                user, now=now, **asked, businesses=None if is_admin(user) else mine.values_list("pk", flat=True)
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


def _asked(data: Any, user: Any, now: datetime) -> dict[str, Any]:
    """Read the request strictly, as the configuration file is read."""
    faults = Faults()
    reader = Reader(data, "", faults)
    days = reader.number("days", _DAYS, least=1)
    if days > _MOST_DAYS:
        reader.fault("days", f"must be at most {_MOST_DAYS}")
    since, until = reader.moment("from"), reader.moment("to") or now
    rules = [_rule(item, user) for item in _items(reader, "rules")]
    convergence_rules = [_convergence_rule(item, user) for item in _items(reader, "convergence_rules", remark="-")]
    reader.end()
    faults.refuse()
    since = since or until - timedelta(days=days)
    return {"since": since, "until": until, "rules": rules, "convergence_rules": convergence_rules}


def _items(reader: Reader, kind: str, **absent: str) -> list[Reader]:
    """Return a reader for each draft; `absent` is what a draft need not say."""
    found = reader.items(kind)
    if len(found) > _MOST_DRAFTS:
        reader.fault(kind, f"has more than {_MOST_DRAFTS} items")
        return []
    whole = [{**absent, **item} if isinstance(item, dict) else item for item in found]
    return [Reader(item, f"{kind}[{number}]", reader.errors) for number, item in enumerate(whole)]


def _identity(reader: Reader) -> dict[str, Any]:
    return {"id": reader.number("id") or None, "name": reader.text("name", limit=128)}


def _rule(reader: Reader, user: Any) -> dict[str, Any]:
    identity, values = _identity(reader), read_rule(reader, user)
    package = values["package"].key if values["package"] else None
    return {**identity, **{name: values[name] for name in _RULE}, "package": package}


def _convergence_rule(reader: Reader, user: Any) -> dict[str, Any]:
    identity, values = _identity(reader), read_convergence_rule(reader, user)
    business = values["business"].pk if values["business"] else None
    found = {**identity, **{name: values[name] for name in _CONVERGENCE_RULE}, "business_id": business}
    # A draft that does not say who does without it keeps those of the rule in whose place it stands.
    return found | ({"blocked_by": [row.pk for row in values["blocked_by"]]} if reader.has("blocked_by") else {})
