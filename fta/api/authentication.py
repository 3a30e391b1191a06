"""Who calls the API: `Authorization: Bearer <api key>`; the key acts as its own service user."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from fta.lib.secrets import digest
from fta.models import ApiKey

_USED_EVERY = timedelta(minutes=1)


class ApiKeyAuthentication(BaseAuthentication):
    """Find the enabled key; its digest is what is stored and looked up."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        scheme, _, value = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.casefold() != "bearer" or not value.strip():
            return None
        keys = ApiKey.objects.select_related("user__person").filter(enabled=True, user__is_active=True)
        key = keys.filter(key_digest=digest(value.strip())).first()
        if key is None:
            raise AuthenticationFailed("The API key is unknown or disabled.")
        now = timezone.now()
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes the key."""

    target_class = "fta.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
