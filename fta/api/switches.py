"""switch/: 停止自愈. A key halts and resumes what it operates; a switch over all healing asks for all businesses."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fta import operations
from fta.api import bodies
from fta.api import serializers as s
from fta.api.base import many, said, user_of
from fta.api.permissions import MayAct
from fta.models import Switch
from fta.operations.reach import reaches, shown_to


class NotAllYours(PermissionDenied):
    """The switch would cover businesses that the key does not operate."""

    def __init__(self) -> None:
        super().__init__(_("停止或恢复全部自愈，须由管理员或负责所有业务的人来做"))


class SwitchView(APIView):
    """停止自愈: GET lists what is in force, POST halts, DELETE resumes."""

    permission_classes = [MayAct]

    @extend_schema(responses=s.SwitchesSerializer)
    def get(self, request: Request) -> Response:
        """List the switches in force that concern the key's businesses."""
        rows = list(shown_to(request.user).in_force().order_by("-pk"))
        return Response({"count": len(rows), "next": None, "previous": None, "results": many(s.SwitchSerializer, rows)})

    @extend_schema(request=bodies.HaltSerializer, responses={201: s.SwitchSerializer})
    def post(self, request: Request) -> Response:
        """Stop healing in a scope."""
        told, now = said(bodies.HaltSerializer, request), timezone.now()
        _refuse_foreign(told["scope"], told["key"], request.user)
        until = now + timedelta(minutes=told["minutes"]) if told["minutes"] else None
        switch = operations.halt(told["scope"], told["key"], told["reason"], until, user_of(request), now)
        return Response(s.SwitchSerializer(switch).data, status=201)

    @extend_schema(parameters=[bodies.ResumeSerializer], request=bodies.ResumeSerializer, responses=s.ResumedSerializer)
    def delete(self, request: Request) -> Response:
        """Resume healing in a scope; scope and key in the body or the query, and all healing when neither is there."""
        empty = isinstance(request.data, dict) and not request.data
        form = bodies.ResumeSerializer(data=request.query_params if empty else request.data)
        form.is_valid(raise_exception=True)
        told = form.validated_data
        _refuse_foreign(told["scope"], told["key"], request.user)
        rows = list(Switch.objects.in_force().filter(scope=told["scope"], key=told["key"]))
        for row in rows:
            operations.resume(row, user_of(request), timezone.now())
        return Response({"ended": [row.pk for row in rows]})


def _refuse_foreign(scope: str, key: str, user: Any) -> None:
    """Say of a foreign business or package what is said of one that is not there."""
    if reaches(user, scope, key):
        return
    if scope == Switch.Scope.ALL:
        raise NotAllYours
    raise operations.InvalidSwitch(_("没有这个对象：%(key)s") % {"key": key})
