"""Change the gateway's clients by hand: guard, change, audit. Secrets are made here, told once, and kept as digests."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from fta import audit
from fta.lib.secrets import digest
from wechat.models import GatewayClient

MIN_SECRET = 16  # characters of one that the configuration file gives
_SECRET_BYTES = 24


class NameTaken(Exception):
    """Another client has this name, perhaps an archived one."""


class SecretChanged(Exception):
    """The secret is no longer the one that the page was made with: somebody has replaced it, or the page was sent twice."""


@transaction.atomic
def add(values: Mapping[str, Any], actor: str, now: datetime) -> tuple[GatewayClient, str]:
    """Make a client and return it with its secret, which is nowhere to be read afterwards. Raises NameTaken."""
    secret = _fresh_secret()
    row = GatewayClient(**values, secret_digest=digest(secret))
    _write(row)
    _audit(row, actor, "add", now, changes={name: [None, value] for name, value in values.items()})
    return row, secret


@transaction.atomic
def change(client: GatewayClient, values: Mapping[str, Any], actor: str, now: datetime) -> GatewayClient:
    """Write the values that differ; nothing happens when none does. Raises NameTaken."""
    row = _locked(client)
    changes = {name: [getattr(row, name), value] for name, value in values.items() if getattr(row, name) != value}
    if changes:
        for name, (_before, after) in changes.items():
            setattr(row, name, after)
        _write(row)
        _audit(row, actor, "change", now, changes=changes)
    return row


@transaction.atomic
def replace_secret(client: GatewayClient, seen: str, actor: str, now: datetime) -> tuple[GatewayClient, str]:
    """Give a client a new secret and return both; the old one ends at once, and so do the tokens that were given for it.

    `seen` is the mark of the secret that is to go. Raises SecretChanged, so that a page which is sent twice does not end
    the secret that was just copied.
    """
    row = _locked(client)
    if not constant_time_compare(mark_of(row), seen):
        raise SecretChanged
    secret = _fresh_secret()
    row.secret_digest = digest(secret)
    row.save(update_fields=["secret_digest"])
    _audit(row, actor, "secret", now)
    return row, secret


@transaction.atomic
def archive(client: GatewayClient, actor: str, now: datetime) -> None:
    """Take a client out of use for good: its tokens end at once, its calls stay in the log."""
    if GatewayClient.objects.filter(pk=client.pk, archived=False).update(archived=True):
        _audit(client, actor, "archive", now)


def mark_of(client: GatewayClient) -> str:
    """Return what tells a client's present secret from another one, without telling anything of it."""
    return salted_hmac("wechat.gateway_clients", f"{client.pk}:{client.secret_digest}").hexdigest()[:16]


def _fresh_secret() -> str:
    return secrets.token_hex(_SECRET_BYTES)  # letters and digits only: no tool needs them quoted


def _locked(client: GatewayClient) -> GatewayClient:
    return GatewayClient.objects.select_for_update().get(pk=client.pk)


def _write(row: GatewayClient) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise NameTaken(row.name) from error


def _audit(row: GatewayClient, actor: str, verb: str, now: datetime, **data: Any) -> None:
    audit.record(actor, f"wechat.gateway_{verb}", row, now, name=row.name, **data)
