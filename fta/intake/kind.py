"""The inbox's work: read each stored body once more, keep its alerts, and start what they ask for."""

import json
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import takewhile
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
# An attempt that ended without a word, with its process or its database, tells little of the body: machines fail more often.
MAX_UNTOLD = 20
MOST_SECONDS = 60  # that a body waits for another attempt
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

    Nobody else takes bodies of that source meanwhile: a recovery must not overtake its alert. One that failed before is always
    taken alone, for its neighbours must not wait for it.
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
    with _held(source) as free:
        if free:
            _together(_counted(_fresh(source)))
            if pk is not None:
                _together(_counted(_due().filter(pk=pk).exclude(not_before=None)))
        return free


def _due() -> QuerySet[Inbox]:
    return Inbox.objects.filter(Q(not_before=None) | Q(not_before__lte=DbNow()), state=Inbox.State.NEW)


def _fresh(source: int) -> QuerySet[Inbox]:
    """Return the bodies of a source that have not failed: new ones, and those whose process ended under them."""
    return Inbox.objects.filter(state=Inbox.State.NEW, source=source, not_before=None)


@contextmanager
def _held(source: int) -> Iterator[bool]:
    """Keep everybody else from a source for the block; False when somebody else does so.

    The lock is the session's, for the block is more than one transaction; should the process end, it ends with it. SQLite has one
    writer and one engine.
    """
    if connection.vendor != "postgresql":
        yield True
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_SOURCE_LOCK, source])
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_SOURCE_LOCK, source])


def _counted(rows: QuerySet[Inbox]) -> list[int]:
    """Choose the first of these bodies, with those behind it that are new, and count the attempt before it is made.

    A body that ends its process, as for want of memory, fails nowhere: without this it would do so for ever. One that may have
    done so before is taken alone; should it do so again, the others go first, and after MAX_UNTOLD attempts it is put aside.
    """
    with transaction.atomic():
        found = list(_free(rows).order_by("id").values_list("pk", "attempts")[:MOST_BODIES])
        before = found[0][1] if found else 0
        if before >= MAX_UNTOLD:
            _close(found[0][0], Inbox.State.POISON, _("处理时进程 %s 次意外中断，可能是内存不足") % before)
            return []
        new = takewhile(lambda row: row[1] == 0, found)
        taken = [pk for pk, _attempts in (found[:1] if before else new)]
        again = timezone.now() + _pause(before) if before else None
        Inbox.objects.filter(pk__in=taken).update(attempts=F("attempts") + 1, not_before=again)
    return taken


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=min(2**attempts, MOST_SECONDS))


def _free(rows: QuerySet[Inbox]) -> QuerySet[Inbox]:
    """Return the rows that nobody else has in hand, locked: a person may be putting one aside."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, of=("self",))
    return rows


def _together(pks: Sequence[int]) -> None:
    """Process bodies whose attempt is counted: all of them in one transaction, or else each in one of its own."""
    try:
        with transaction.atomic():
            _process(_rows(pks))
    except Exception:  # whatever it was, each body tells its own
        logger.exception("Unable to process %s inbox rows together; each is tried alone", len(pks))
        for pk in pks:
            _alone(pk)


def _alone(pk: int) -> None:
    try:
        with transaction.atomic():
            _process(_rows([pk]))
    except Exception as error:  # whatever it was, the body stays and is tried again
        logger.exception("Unable to process inbox row %s", pk)
        _failed(pk, error)


def _rows(pks: Sequence[int]) -> list[Inbox]:
    rows = Inbox.objects.filter(pk__in=pks, state=Inbox.State.NEW).order_by("id")
    return list(_free(rows).select_related("source__business")) if pks else []


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
    for at, inbox in enumerate(inboxes):
        try:
            alerts = read(inbox)
        except Rejected as error:
            _close(inbox.pk, Inbox.State.REJECTED, str(error))
            continue
        if said and len(said) + len(alerts) > MOST_ALERTS:
            # What is left stays due, and nothing was tried with it.
            left = Inbox.objects.filter(pk__in=[each.pk for each in inboxes[at:]])
            left.update(attempts=F("attempts") - 1)
            break
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
            (_act_alone if item.inbox.attempts > ONE_BY_ONE_AFTER else _act)(stored, item.now)


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
    rows.update(error=f"{type(error).__name__}: {error}"[:2000])
    attempts = rows.values_list("attempts", flat=True).first() or 0
    if attempts >= (MAX_UNTOLD if isinstance(error, OperationalError) else MAX_ATTEMPTS):
        _close(pk, Inbox.State.POISON, f"{type(error).__name__}: {error}")
    else:
        rows.update(not_before=timezone.now() + _pause(attempts))
