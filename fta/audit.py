"""The audit trail: `record` is the only writer of AuditEntry, `verify` finds the first row that was touched."""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

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
    with transaction.atomic(savepoint=False):
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

    Cutting the newest rows leaves a chain that holds: check a signed head that was kept elsewhere.
    """
    previous = GENESIS
    for row in AuditEntry.objects.order_by("id").iterator(chunk_size=1000):
        expected = _hash(previous, row.at, row.actor, row.verb, row.object_type, row.object_id, row.data)
        if row.previous_hash != previous or row.row_hash != expected:
            return row
        previous = row.row_hash
    return None


class HeadRefused(Exception):
    """A kept head was not signed by this portal, or the chain no longer holds what it tells of."""


class OtherDatabase(HeadRefused):
    """The head tells of another database: a new one has taken the place of the one that it was kept of."""


@dataclass(frozen=True)
class Head:
    """The chain at one moment: the hash of its newest row, how many rows led to it, of which database, and a signature."""

    head: str
    count: int
    at: str  # ISO 8601
    hmac: str
    database: str = ""  # heads of earlier versions name none: they are taken for heads of this one

    @classmethod
    def read(cls, text: str) -> "Head":
        """Return a head that was written out; raises HeadRefused for whatever this portal's keys did not sign."""
        try:
            data = json.loads(text)
            kept = cls(
                str(data["head"]), int(data["count"]), str(data["at"]), str(data["hmac"]), str(data.get("database", ""))
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HeadRefused("this is no head of an audit chain") from error
        keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        if not any(hmac.compare_digest(kept.hmac.encode(), _sign(kept, key).encode()) for key in keys):
            raise HeadRefused("the head's signature does not hold")
        return kept

    def text(self) -> str:
        """Return the head as one line of JSON, for `read`."""
        return json.dumps(asdict(self)) + "\n"


def signed_head(now: datetime) -> Head:
    """Return the chain's present head, signed, to be kept off the machine."""
    newest = AuditEntry.objects.order_by("-id").first()
    count = AuditEntry.objects.filter(id__lte=newest.pk).count() if newest else 0
    unsigned = Head(newest.row_hash if newest else GENESIS, count, now.isoformat(), "", _database())
    return replace(unsigned, hmac=_sign(unsigned, settings.SECRET_KEY))


def _database() -> str:
    """Return what tells this database from others.

    On PostgreSQL it is the cluster's and the database's own number, which no writer of rows can change, so that nobody passes a
    cut trail off as that of another database. On SQLite, where whoever writes the file writes beside it too, it is the first entry.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT system_identifier, oid FROM pg_control_system(), pg_database WHERE datname = current_database()"
            )
            cluster, number = cursor.fetchone()
        return f"{cluster}/{number}"
    return AuditEntry.objects.order_by("id").values_list("row_hash", flat=True).first() or ""


def check_head(kept: Head) -> None:
    """Raise HeadRefused unless the chain still begins with exactly the rows that the head tells of.

    A chain that was moved to another database holds them. OtherDatabase is raised for one that does not and is of another one.
    """
    row = AuditEntry.objects.filter(row_hash=kept.head).order_by("id").first()
    if row is None and kept.count and kept.database not in ("", _database()):
        raise OtherDatabase(f"it is the head of another database, which had {kept.count} entries at {kept.at}")
    if row is None and kept.count:
        raise HeadRefused(f"entry {kept.count} of {kept.at} is no longer in the chain: entries were cut off")
    if row is not None and AuditEntry.objects.filter(id__lte=row.pk).count() != kept.count:
        raise HeadRefused(f"the chain does not hold {kept.count} entries up to the kept head")


def keep_head(path: Path, now: datetime) -> Head:
    """Write the present head to a file, and return it. A head that is there must hold first, else it stays as it is.

    Raises HeadRefused and OSError.
    """
    if path.exists():
        check_head(Head.read(path.read_text(encoding="utf-8", errors="replace")))
    return _write_head(path, now)


def begin_head(path: Path, now: datetime, why: OtherDatabase) -> Path:
    """Begin a new head where one of another database stands, and return the copy of that one, which is kept for good.

    The copy and the audit entry come first: a crash in between has it all done again, and nothing is ever replaced unseen.
    Raises OSError.
    """
    old = path.read_bytes()
    aside = path.with_name(f"{path.name}.{hashlib.sha256(old).hexdigest()[:12]}")
    aside.write_bytes(old)
    record("system", "audit.begin_head", ("audit.head", path.name), now, kept=aside.name, reason=str(why))
    _write_head(path, now)
    return aside


def _write_head(path: Path, now: datetime) -> Head:
    """Write the head beside the file and rename it, so that a full disk never leaves half a head."""
    fresh = signed_head(now)
    beside = path.with_name(path.name + ".new")
    beside.write_text(fresh.text(), encoding="utf-8")
    beside.replace(path)
    return fresh


def _sign(told: Head, key: str) -> str:
    signed = json.dumps([told.head, told.count, told.at, *([told.database] if told.database else [])])
    return salted_hmac("fta.audit.head", signed, key, algorithm="sha256").hexdigest()


def head() -> str:
    """Return the hash of the newest row."""
    return AuditEntry.objects.order_by("-id").values_list("row_hash", flat=True).first() or GENESIS
