"""Who is posting: find the source that a request's credential belongs to."""

import base64
import binascii
import ipaddress
from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest

from fta.lib.secrets import digest
from fta.models import Source
from fta.models.engine import DbNow


def client_ip(request: HttpRequest) -> str:
    """Return the sender's address; X-Forwarded-For is believed for TRUSTED_PROXIES hops only."""
    remote = str(request.META.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        remote = hops[-settings.TRUSTED_PROXIES]
    try:
        return str(ipaddress.ip_address(remote))
    except ValueError:
        return ""


def presented(request: HttpRequest, in_path: str = "") -> Iterator[str]:
    """Yield the credentials that a request carries: header, basic password, path or query, as tools are able to send them."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "bearer" and value:
        yield value.strip()
    elif scheme.casefold() == "basic" and value:
        with suppress(binascii.Error, UnicodeDecodeError):
            yield base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    for found in (
        request.headers.get("X-Secret"),
        request.headers.get("X-Bk-Fta-Token"),
        request.headers.get("X-API-KEY"),
        in_path,
        request.GET.get("secret"),
        request.GET.get("token"),
    ):
        if found:
            yield found


def find_source(request: HttpRequest, kind: str, in_path: str = "", app_id: str = "") -> Source | None:
    """Return the enabled source of this kind whose secret the request holds and whose address list admits the sender."""
    digests = [digest(secret) for secret in presented(request, in_path)]
    if not digests:
        return None
    rows = Source.objects.filter(kind=kind, enabled=True, archived=False)
    if app_id:
        rows = rows.filter(app_id=app_id)
    fits = Q(secret_digest__in=digests) | Q(previous_digest__in=digests, previous_until__gt=DbNow())
    source = rows.filter(fits).order_by("id").first()
    return source if source is not None and _admits(source, client_ip(request)) else None


def _admits(source: Source, address: str) -> bool:
    if not source.cidrs:
        return True
    if not address:
        return False
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False) for cidr in source.cidrs)
