"""The inbox's work: read each stored body once more, keep its alerts, and start what they ask for."""

import json
import logging
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from django.db import OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import pipeline, signals
from fta.healing.history import gathered
from fta.intake.sources import PARSERS, grafana
from fta.intake.sources.base import ParsedAlert, RawRequest, Rejected, SourceInfo, zone_of
from fta.intake.sources.settings import reading_faults
from fta.intake.store import Said, Stored, store, waves
from fta.models import Alert, ConfigVersion, Inbox, Source
from fta.models.engine import DbNow, NotInState

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
RELAY = "relay"  # the mark, among what is kept of the query, of a body that is to be handed on as well
# What one transaction takes at most: enough to share its cost, not so much that others wait for it.
MOST_BODIES = 50
MOST_ALERTS = 200
MOST_TURNS = 50  # of one source, before others are looked at
PAUSE_SECONDS = 0.05
_SOURCE_LOCK = 0x465441  # the first half of the advisory lock of a source, its id is the second; any fixed number
# After so many failures of a body as a whole its alerts are taken one by one, so that one bad alert loses only itself.
ONE_BY_ONE_AFTER = 2


class InboxKind:
    """Bodies of one source are taken many at a time, in their order: all of them are stored and decided, or each is tried alone.

    Nobody else takes bodies of that source meanwhile: a recovery must not overtake its alert. One that was tried in vain before
    is always taken alone, for its neighbours must not wait for it.
    """

    name = "inbox"
    lane = "ingest"

    def due(self, limit: int, now: datetime) -> list[int]:
        return list(_due().order_by("id").values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        source = Inbox.objects.filter(pk=pk, state=Inbox.State.NEW).values_list("source_id", flat=True).first()
        if source is None or _turn(source, pk):
            return
        others = _due().exclude(source=source).order_by().values_list("source_id", flat=True).distinct()
        if not any(_turn(other) for other in others):
            time.sleep(PAUSE_SECONDS)  # all of it is in somebody's hands; do not ask again at once


def _turn(source: int, pk: int | None = None) -> bool:
    """Process what is due of a source, `pk` also when it was tried before; False when somebody else is at it.

    Whoever is at it looks again at the end: others who came meanwhile have gone away.
    """
    for turn in range(MOST_TURNS):
        if not _batch(source, pk):
            return turn > 0
        if not _fresh(source).exists():
            break
    return True


def _batch(source: int, pk: int | None) -> bool:
    taken: list[Inbox] = []
    again = False
    try:
        with transaction.atomic():
            if not _is_free(source):
                return False
            found = _rows(_due().filter(Q(attempts=0) | Q(pk=pk), source=source).order_by("id"), MOST_BODIES)
            taken = [inbox for inbox in found if inbox.attempts == 0]
            again = len(taken) < len(found)
            _process(taken)
    except Exception:  # whatever it was, each body tells its own
        logger.exception("Unable to process %s inbox rows together; each is tried alone", len(taken))
        for inbox in taken:
            _alone(inbox.pk, source)
    if again and pk is not None:
        _alone(pk, source)
    return True


def _due() -> QuerySet[Inbox]:
    return Inbox.objects.filter(Q(not_before=None) | Q(not_before__lte=DbNow()), state=Inbox.State.NEW)


def _fresh(source: int) -> QuerySet[Inbox]:
    return _due().filter(source=source, attempts=0)


def _is_free(source: int) -> bool:
    """Keep everybody else from a source until the end of the transaction; False when somebody else does so.

    SQLite has one writer: whoever is in a transaction there is alone anyway.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_SOURCE_LOCK, source])
        return bool(cursor.fetchone()[0])


def _rows(rows: QuerySet[Inbox], most: int) -> list[Inbox]:
    """Take rows that nobody else has in hand: a person may be putting one aside."""
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return list(rows.select_related("source__business")[:most])


def _alone(pk: int, source: int) -> None:
    try:
        with transaction.atomic():
            if _is_free(source):
                _process(_rows(_due().filter(pk=pk), 1))
    except Exception as error:  # whatever it was, the body stays and is tried again
        logger.exception("Unable to process inbox row %s", pk)
        _failed(pk, error)


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
    """Return what a parser may know of a source; raises Rejected for one by whose settings nothing can be read."""
    if faults := reading_faults(source):
        said = "; ".join(f"{path}: {words}" for path, words in faults)
        raise Rejected(
            f"The source {source.name} is set up wrongly ({said}). Have it corrected, then replay this body."
        )
    return SourceInfo(source.name, zone_of(source.time_zone), source.options or {})


def _process(inboxes: Sequence[Inbox]) -> None:
    """Store and decide what the bodies say, as many of them, in their order, as fit into one transaction."""
    said: list[Said] = []
    taken: dict[int, Inbox] = {}
    for inbox in inboxes:
        try:
            alerts = read(inbox)
        except Rejected as error:
            _close(inbox.pk, Inbox.State.REJECTED, str(error))
            continue
        if said and len(said) + len(alerts) > MOST_ALERTS:
            break  # what is left stays due
        inbox.results = []
        taken[inbox.pk] = inbox
        _relay(inbox)
        said += [Said(inbox, parsed) for parsed in alerts]
    if said:
        with ConfigVersion.pinned(), gathered():
            _keep(said)
    _done(taken.values())


def _relay(inbox: Inbox) -> None:
    if f"{RELAY}=1" in inbox.query.split("&"):
        signals.announce(
            signals.relayed, source=inbox.source, key=f"inbox:{inbox.pk}", said=grafana.said(bytes(inbox.raw))
        )


def _keep(said: Sequence[Said]) -> None:
    for wave in waves(said):
        found = store(wave)
        fired = [stored.alert for stored in found if stored.fired]
        if fired:
            signals.announce_all(signals.alerts_fired, "alerts", fired)
        for item, stored in zip(wave, found, strict=True):
            item.inbox.results.append(stored.as_answer())
            (_act_alone if item.inbox.attempts >= ONE_BY_ONE_AFTER else _act)(stored, item.now)


def _done(inboxes: Collection[Inbox]) -> None:
    """Move the bodies on by compare-and-set, all in one round trip."""
    rows = [(Inbox.State.DONE, json.dumps(inbox.results), inbox.pk, Inbox.State.NEW) for inbox in inboxes]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE fta_inbox SET state = %s, results = %s, error = '' WHERE id = %s AND state = %s", rows
            )
            if cursor.rowcount != len(rows):
                raise NotInState(Inbox, [inbox.pk for inbox in inboxes], Inbox.State.NEW)


def _act(stored: Stored, now: datetime) -> None:
    if stored.alert is None:
        return
    if stored.fired:
        pipeline.process(stored.alert, now)
    elif stored.resolved:
        signals.announce(signals.alert_resolved, alert=stored.alert)
        pipeline.resolved(stored.alert)


def _act_alone(stored: Stored, now: datetime) -> None:
    try:
        with transaction.atomic(), gathered():
            _act(stored, now)
    except OperationalError:  # a lock that was not to be had tells nothing of the alert: all of it is tried again
        raise
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
