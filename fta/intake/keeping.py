"""Keep bodies: many requests that wait at the same moment share one statement and one commit.

One thread writes at a time, for itself and for all that came meanwhile; the more requests wait, the more a commit carries.
Nobody is answered before the commit that carries its body.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, OperationalError, connection

from fta.engine import doorbell

# The source is judged in the statement that keeps the body: a row that has changed since it was read keeps nothing.
_HEAD = """
WITH kept AS (
  INSERT INTO fta_inbox (source_id, kind, raw, content_type, query, headers, remote_ip, received_at, body_digest,
                         state, attempts, error, results)
  SELECT s.id, s.kind, v.raw, v.content_type, v.query, v.headers, v.remote_ip, v.received_at, v.body_digest, 'new', 0, '', '[]'
  FROM (VALUES """
_ROW = "(%s::bigint, %s::text, %s::bytea, %s::text, %s::text, %s::jsonb, %s::inet, %s::timestamptz, %s::text)"
_TAIL = """) AS v (source_id, version, raw, content_type, query, headers, remote_ip, received_at, body_digest)
  JOIN fta_source s ON s.id = v.source_id AND s.xmin::text = v.version
  RETURNING id, source_id, body_digest
) SELECT id, source_id, body_digest"""
_NOTIFY = ", (SELECT pg_notify(%s, 'inbox'))"


@dataclass
class Body:
    """One body on its way into the inbox; `pk` is set once it is committed, and stays None when its source has changed."""

    source_id: int
    version: str
    raw: bytes
    content_type: str
    query: str
    headers: str
    remote_ip: str | None
    received_at: datetime
    body_digest: str
    pk: int | None = None
    error: DatabaseError | None = field(default=None, repr=False)
    done: bool = False

    def values(self) -> tuple[Any, ...]:
        """Return the columns in the order of the statement."""
        return (
            self.source_id,
            self.version,
            self.raw,
            self.content_type,
            self.query,
            self.headers,
            self.remote_ip,
            self.received_at,
            self.body_digest,
        )


class Keeper:
    """The writers' turn of one process."""

    def __init__(self) -> None:
        self._waiting: list[Body] = []
        self._door = threading.Lock()
        self._turn = threading.Lock()

    def keep(self, body: Body) -> int | None:
        """Commit the body and return its inbox id, None when its source is no longer as it was read.

        Raises DatabaseError when it is not known to be kept. PostgreSQL only.
        """
        with self._door:
            self._waiting.append(body)
        with self._turn:
            if not body.done:
                with self._door:
                    taken, self._waiting = self._waiting, []
                _write_or_tell(taken)
        if body.error is not None:
            raise body.error
        return body.pk


keeper = Keeper()
# A connection that worked a moment ago is not asked before each request whether it still does: that would double the round trips.
_TRUSTED_SECONDS = 5.0
_link = threading.local()


def _write_or_tell(bodies: Sequence[Body]) -> None:
    """Write all; when one of several cannot be stored, each is written alone, so that only its sender hears of it."""
    try:
        _write(bodies)
    except DatabaseError as error:
        if len(bodies) > 1 and not isinstance(error, OperationalError):
            for body in bodies:
                _write_or_tell([body])
            return
        for body in bodies:
            body.error = error
    finally:
        for body in bodies:
            body.done = True


def _write(bodies: Sequence[Body]) -> None:
    if time.monotonic() - getattr(_link, "good_at", 0.0) < _TRUSTED_SECONDS:
        setattr(connection, "health_check_done", True)  # noqa: B010 - Django's, unknown to the stubs
    notify = doorbell.by_notify()
    statement = _HEAD + ", ".join([_ROW] * len(bodies)) + _TAIL + (_NOTIFY if notify else "") + " FROM kept"
    params = [value for body in bodies for value in body.values()] + ([doorbell.CHANNEL] if notify else [])
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        kept: dict[tuple[int, str], list[int]] = {}
        for pk, source_id, body_digest, *_rung in cursor.fetchall():
            kept.setdefault((source_id, body_digest), []).append(pk)
    _link.good_at = time.monotonic()
    for body in bodies:  # equal bodies of one source may have each other's id: nothing tells them apart
        found = kept.get((body.source_id, body.body_digest))
        body.pk = found.pop() if found else None
        if body.pk is not None and not notify:
            doorbell.ring("inbox", body.pk)
