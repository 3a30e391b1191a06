"""The inbox's work: read each stored body once more, keep its alerts, and start what they ask for."""

import logging
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import pipeline, signals
from fta.intake.sources import PARSERS
from fta.intake.sources.base import ParsedAlert, RawRequest, Rejected, SourceInfo, zone_of
from fta.intake.store import Stored, store
from fta.models import Alert, ConfigVersion, Inbox, Source
from fta.models.engine import DbNow, move

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
# After so many failures of a body as a whole its alerts are taken one by one, so that one bad alert loses only itself.
ONE_BY_ONE_AFTER = 2


class InboxKind:
    """One body at a time, in one transaction: either all of it is stored and decided, or it is found again."""

    name = "inbox"
    lane = "ingest"

    def due(self, limit: int, now: datetime) -> list[int]:
        rows = Inbox.objects.filter(Q(not_before=None) | Q(not_before__lte=DbNow()), state=Inbox.State.NEW)
        return list(rows.order_by("id").values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        try:
            with transaction.atomic(), ConfigVersion.pinned():
                inbox = _lock(pk)
                if inbox is not None:
                    _process(inbox)
        except Rejected as error:
            _close(pk, Inbox.State.REJECTED, str(error))
        except Exception as error:  # whatever it was, the body stays and is tried again
            logger.exception("Unable to process inbox row %s", pk)
            _failed(pk, error)


def _lock(pk: int) -> Inbox | None:
    rows = Inbox.objects.filter(pk=pk, state=Inbox.State.NEW)
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return rows.select_related("source__business").first()


def read(inbox: Inbox) -> list[ParsedAlert]:
    """Parse a stored body again; raises Rejected when it cannot be read."""
    parser = PARSERS.get(inbox.kind)
    if parser is None:
        raise Rejected(f"No source of kind {inbox.kind} is known to this version.")
    request = RawRequest(
        bytes(inbox.raw), inbox.content_type, dict(parse_qsl(inbox.query, keep_blank_values=True)), inbox.headers
    )
    return parser.parse(request, source_info(inbox.source)).alerts


def source_info(source: Source) -> SourceInfo:
    """Return what a parser may know of a source."""
    return SourceInfo(source.name, zone_of(source.time_zone), source.options)


def _process(inbox: Inbox) -> None:
    one_by_one = inbox.attempts >= ONE_BY_ONE_AFTER
    results = []
    for parsed in read(inbox):
        stored = store(inbox.source, parsed, inbox)
        results.append(stored.as_answer())
        if one_by_one:
            _act_alone(stored, inbox.received_at)
        else:
            _act(stored, inbox.received_at)
    move(Inbox, inbox.pk, Inbox.State.NEW, Inbox.State.DONE, results=results, error="")


def _act(stored: Stored, now: datetime) -> None:
    if stored.fired and stored.alert is not None:
        pipeline.process(stored.alert, now)
    elif stored.resolved and stored.alert is not None:
        pipeline.resolved(stored.alert, now)


def _act_alone(stored: Stored, now: datetime) -> None:
    try:
        with transaction.atomic():
            _act(stored, now)
    except Exception as error:  # this alert alone is marked; its neighbours go on
        logger.exception("Unable to process alert %s", stored.alert)
        if stored.alert is not None:
            Alert.objects.filter(pk=stored.alert.pk).update(
                outcome=Alert.Outcome.FAULT, outcome_detail=f"{type(error).__name__}: {error}"[:255]
            )
            text = _("告警 #%(id)s 无法处理：%(error)s") % {"id": stored.alert.pk, "error": type(error).__name__}
            signals.announce(signals.system_fault, text=text, subject="inbox")


def _close(pk: int, state: str, error: str) -> None:
    with transaction.atomic():
        changed = Inbox.objects.filter(pk=pk, state=Inbox.State.NEW).update(state=state, error=error[:2000])
        if changed:
            text = _("收件 #%(id)s 无法处理：%(error)s") % {"id": pk, "error": error[:200]}
            signals.announce(signals.system_fault, text=text, subject="inbox")


def _failed(pk: int, error: Exception) -> None:
    rows = Inbox.objects.filter(pk=pk, state=Inbox.State.NEW)
    rows.update(attempts=F("attempts") + 1, error=f"{type(error).__name__}: {error}"[:2000])
    attempts = rows.values_list("attempts", flat=True).first() or 0
    if attempts >= MAX_ATTEMPTS:
        _close(pk, Inbox.State.POISON, f"{type(error).__name__}: {error}")
    else:
        rows.update(not_before=timezone.now() + timedelta(seconds=2**attempts))
