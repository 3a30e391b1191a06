"""switch/: 停止自愈. A key halts and resumes what it operates; a switch over all healing asks for all businesses."""

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fta import operations
from fta.api import serializers as s
from fta.api.base import many, said, user_of
from fta.api.permissions import MayAct
from fta.models import Business, Package, Switch
from fta.models.scope import in_scope, is_admin


class NotAllYours(PermissionDenied):
    """The switch would cover businesses that the key does not operate."""

    def __init__(self) -> None:
        super().__init__(_("停止或恢复全部自愈，须由管理员或负责所有业务的人来做"))


class SwitchView(APIView):
    """停止自愈: GET lists what is in force, POST halts, DELETE resumes."""

    permission_classes = [MayAct]

    @extend_schema(responses=s.SwitchSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the switches in force that concern the key's businesses."""
        rows = list(_shown_to(request.user).order_by("-pk"))
        return Response({"count": len(rows), "next": None, "previous": None, "results": many(s.SwitchSerializer, rows)})

    @extend_schema(request=s.HaltSerializer, responses={201: s.SwitchSerializer})
    def post(self, request: Request) -> Response:
        """Stop healing in a scope."""
        told, now = said(s.HaltSerializer, request), timezone.now()
        _refuse_foreign(told["scope"], told["key"], request.user)
        until = now + timedelta(minutes=told["minutes"]) if told["minutes"] else None
        switch = operations.halt(told["scope"], told["key"], told["reason"], until, user_of(request), now)
        return Response(s.SwitchSerializer(switch).data, status=201)

    @extend_schema(parameters=[s.ResumeSerializer], request=s.ResumeSerializer, responses=s.ResumedSerializer)
    def delete(self, request: Request) -> Response:
        """Resume healing in a scope; scope and key in the body or the query, and all healing when neither is there."""
        empty = isinstance(request.data, dict) and not request.data
        form = s.ResumeSerializer(data=request.query_params if empty else request.data)
        form.is_valid(raise_exception=True)
        told = form.validated_data
        _refuse_foreign(told["scope"], told["key"], request.user)
        rows = list(Switch.objects.in_force().filter(scope=told["scope"], key=told["key"]))
        for row in rows:
            operations.resume(row, user_of(request), timezone.now())
        return Response({"ended": [row.pk for row in rows]})


def _operates_all(user: Any) -> bool:
    """Tell whether no business is outside what the user operates."""
    live = Business.objects.filter(archived=False)
    return is_admin(user) or (live.exists() and not live.exclude(in_scope(user, "pk", "operator")).exists())


def _refuse_foreign(scope: str, key: str, user: Any) -> None:
    """Say of a foreign business or package what is said of one that is not there."""
    if _operates_all(user):
        return
    if scope == Switch.Scope.ALL:
        raise NotAllYours
    own: dict[str, QuerySet[Any]] = {
        Switch.Scope.BUSINESS: Business.objects.filter(in_scope(user, "pk", "operator"), code=key),
        Switch.Scope.PACKAGE: Package.objects.operable_by(user).filter(key=key),
    }
    if not own[scope].exists():
        raise operations.InvalidSwitch(_("没有这个对象：%(key)s") % {"key": key})


def _shown_to(user: Any) -> QuerySet[Switch]:
    if is_admin(user):
        return Switch.objects.in_force()
    businesses = Business.objects.filter(in_scope(user, "pk", "operator", "approver", "viewer")).values("code")
    packages = Package.objects.visible_to(user).values("key")
    mine = Q(scope=Switch.Scope.BUSINESS, key__in=businesses) | Q(scope=Switch.Scope.PACKAGE, key__in=packages)
    return Switch.objects.in_force().filter(Q(scope=Switch.Scope.ALL) | mine)
