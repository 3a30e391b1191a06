"""The audit trail: `record` is the only writer of AuditEntry, `verify` finds the first row that was touched."""

import hashlib
import json
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from fta.models import AuditEntry

GENESIS = "0" * 64
_CHAIN_LOCK = 0x46544101  # advisory lock of the chain; any fixed number


def _hash(previous: str, at: datetime, actor: str, verb: str, object_type: str, object_id: str, data: Any) -> str:
    row = [previous, at.isoformat(), actor, verb, object_type, object_id, data]
    return hashlib.sha256(
        json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def record(actor: str, verb: str, obj: Any, at: datetime | None = None, **data: Any) -> AuditEntry:
    """Append one entry, in the caller's transaction; it stands or falls with the change that it tells of.

    `actor` is a username or "system", `verb` is namespaced ("approval.decide"), `obj` a model instance or (type, id),
    `data` JSON values. Writers queue behind one lock until they commit: the chain has one order.
    """
    object_type, object_id = obj if isinstance(obj, tuple) else (obj._meta.label_lower, str(obj.pk))
    plain = json.loads(json.dumps(data, default=str))
    at = at or timezone.now()
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN_LOCK])
        last = AuditEntry.objects.order_by("-id").values_list("row_hash", flat=True).first() or GENESIS
        return AuditEntry.objects.create(
            at=at,
            actor=actor,
            verb=verb,
            object_type=object_type,
            object_id=object_id,
            data=plain,
            previous_hash=last,
            row_hash=_hash(last, at, actor, verb, object_type, object_id, plain),
        )


def verify() -> AuditEntry | None:
    """Walk the chain and return the first row that does not fit, or None when all of it holds.

    Cutting the newest rows leaves a chain that holds: compare `head()` with a copy kept elsewhere.
    """
    previous = GENESIS
    for row in AuditEntry.objects.order_by("id").iterator(chunk_size=1000):
        expected = _hash(previous, row.at, row.actor, row.verb, row.object_type, row.object_id, row.data)
        if row.previous_hash != previous or row.row_hash != expected:
            return row
        previous = row.row_hash
    return None


def head() -> str:
    """Return the hash of the newest row, to be kept off the machine."""
    return AuditEntry.objects.order_by("-id").values_list("row_hash", flat=True).first() or GENESIS
