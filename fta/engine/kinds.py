"""The registry of work kinds: what due work is, and how one item of it is done."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Protocol, runtime_checkable

from django.conf import settings
from django.utils.module_loading import import_string


@runtime_checkable
class WorkKind(Protocol):
    """One kind of durable work. Both methods may run in several processes at once, and twice for one item."""

    name: str
    lane: str  # ingest, decide, execute or notify: lanes have threads and queues of their own

    def due(self, limit: int, now: datetime) -> list[int]:
        """Return the ids of at most `limit` items that wait to be done, the most urgent first, by one indexed query."""

    def do(self, pk: int) -> None:
        """Do one item: load, claim, make one call, record. Return quietly when another has it or it is not due."""


@lru_cache(maxsize=1)
def registry() -> Mapping[str, WorkKind]:
    """Return the work kinds by name, in the order of FTA_WORK_KINDS."""
    kinds = [import_string(path)() for path in settings.FTA_WORK_KINDS]
    return {kind.name: kind for kind in kinds}


def get(name: str) -> WorkKind:
    """Return the work kind of this name; KeyError for one that FTA_WORK_KINDS does not bring."""
    return registry()[name]
