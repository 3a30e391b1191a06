"""Who is posting: find the source that a request's credential belongs to."""

import base64
import binascii
import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import Q, TextField
from django.db.models.expressions import RawSQL
from django.http import HttpRequest

from fta.intake.sources.settings import are_networks
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
        address = ipaddress.ip_address(remote)
    except ValueError:
        return ""
    # A socket that listens on both calls 10.0.0.1 ::ffff:10.0.0.1.
    return str(getattr(address, "ipv4_mapped", None) or address)


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


@dataclass(frozen=True)
class Claim:
    """Who a request says it is: the kind, the digests of its credentials, the application it names, its address."""

    kind: str
    digests: tuple[str, ...]
    app_id: str
    address: str

    @classmethod
    def of(cls, request: HttpRequest, kind: str, in_path: str = "", app_id: str = "") -> "Claim":
        """Read a request."""
        digests = tuple(digest(secret) for secret in presented(request, in_path))
        return cls(kind, digests, app_id, client_ip(request))


@dataclass(frozen=True)
class Known:
    """A source as it was read, and the version of its row."""

    source: Source
    version: str


def find_source(claim: Claim) -> Source | None:
    """Return the enabled source of this kind whose secret the request holds and whose address list admits the sender.

    On PostgreSQL it is remembered for `recall`.
    """
    if not claim.digests or "\x00" in claim.app_id:  # which PostgreSQL would not compare with anything
        return None
    rows = Source.objects.filter(kind=claim.kind, enabled=True, archived=False)
    if claim.app_id:
        rows = rows.filter(app_id=claim.app_id)
    fits = Q(secret_digest__in=claim.digests) | Q(previous_digest__in=claim.digests, previous_until__gt=DbNow())
    if connection.vendor == "postgresql":
        rows = rows.annotate(version=RawSQL("fta_source.xmin::text", (), TextField()))
    source = rows.filter(fits).order_by("id").first()
    if source is None or not admits(source, claim.address):
        return None
    if connection.vendor == "postgresql" and source.secret_digest in claim.digests:
        _remember(claim, Known(source, getattr(source, "version")))  # noqa: B009 - an annotation
    return source


_MOST_KNOWN = 1000
_known: dict[tuple[str, tuple[str, ...], str], Known] = {}


def _remember(claim: Claim, known: Known) -> None:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[claim.kind, claim.digests, claim.app_id] = known


def recall(claim: Claim) -> Known | None:
    """Return the source that this credential led to before, if its address list admits the sender.

    It is a guess: whoever acts on it has to make sure, in the same statement, that the row still has this version.
    """
    known = _known.get((claim.kind, claim.digests, claim.app_id))
    return known if known is not None and admits(known.source, claim.address) else None


def admits(source: Source, address: str) -> bool:
    """Tell whether the source's address list lets this sender in; a list that is none lets nobody in."""
    if not source.cidrs:
        return True
    if not address or not are_networks(source.cidrs):
        return False
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False) for cidr in source.cidrs)
