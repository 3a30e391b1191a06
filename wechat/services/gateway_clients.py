"""Change the clients of the gateway; audited without their secrets."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet

from fta import audit
from fta.lib.secrets import digest
from wechat.models import GatewayClient

MIN_SECRET = 16


def with_calls(now: datetime) -> QuerySet[GatewayClient]:
    """Return the clients in use with `taken` and `refused`, counts of the last hour, and `last_at`."""
    lately = Q(calls__at__gt=now - timedelta(hours=1))
    return (
        GatewayClient.objects.filter(archived=False)
        .annotate(
            taken=Count("calls", filter=lately & Q(calls__errcode=0)),
            refused=Count("calls", filter=lately & ~Q(calls__errcode=0)),
            last_at=Max("calls__at"),
        )
        .order_by("name")
    )


@transaction.atomic
def save(row: GatewayClient, values: Mapping[str, Any], secret: str, actor: str, now: datetime) -> None:
    """Write a client, new or not; an empty secret stays as it is, another one ends the tokens of the old one."""
    changed = {name: value for name, value in values.items() if row._state.adding or getattr(row, name) != value}
    verb = "wechat.gateway_add" if row._state.adding else "wechat.gateway_change"
    for name, value in changed.items():
        setattr(row, name, value)
    if secret:
        row.secret_digest = digest(secret)
    if changed or secret:
        row.save()
        audit.record(actor, verb, row, now, changed=changed, secret_changed=bool(secret))


@transaction.atomic
def archive(row: GatewayClient, actor: str, now: datetime) -> None:
    """Take a client out of use; what it sent stays in the log."""
    if GatewayClient.objects.filter(pk=row.pk, archived=False).update(archived=True):
        audit.record(actor, "wechat.gateway_archive", row, now, name=row.name)
