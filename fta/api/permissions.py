"""What a key may do beyond the QuerySets, which decide what exists for it."""

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from fta.models.scope import roles_of


class MayAct(BasePermission):
    """Reading needs any role, changing needs operator or admin; a key without a role may nothing."""

    message = "This key's role may not do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        held = roles_of(request.user)
        return bool(held) if request.method in SAFE_METHODS else bool(held & {"operator", "admin"})
