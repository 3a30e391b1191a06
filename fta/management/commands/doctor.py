"""manage.py doctor: look at every part of an installation, and say of each that is not well what to do."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import F, Q, TextField
from django.db.models.functions import Substr
from django.utils import timezone
from django.utils.module_loading import import_string

from fta import audit
from fta.lib.fields import SealedTextField
from fta.lib.secrets import SealBroken, unseal
from fta.models import AuditEntry, Execution, Heartbeat
from fta.models.engine import DbNow
from fta.operations import due

OK, WARN, FAIL = "ok", "warn", "fail"
ENGINE_SILENT = timedelta(seconds=30)
LATE, STUCK = timedelta(seconds=30), timedelta(minutes=5)
CLOCK_APART = timedelta(seconds=1)  # leases are of a minute: much more, and what is alive looks dead
CLOCK_WRONG = timedelta(seconds=20)
BROKER_TIMEOUT = 2.0  # seconds
LOOKS_BACK = timedelta(hours=1)
_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672}


@dataclass(frozen=True)
class Finding:
    """What was found of one part, and the remedy when it is not well."""

    state: str
    part: str
    text: str
    remedy: str = ""


class Command(BaseCommand):
    help = "Examine the installation: a line a part, with a remedy for what is not well. Exit 1 when something fails."
    requires_system_checks: list[str] = []  # they are a part of the examination

    def handle(self, *args: Any, **options: Any) -> None:
        styles = {OK: self.style.SUCCESS, WARN: self.style.WARNING, FAIL: self.style.ERROR}
        found = []
        for finding in examine(timezone.now()):
            found.append(finding)
            text = " ".join(finding.text.split())  # errors of drivers run over several lines
            self.stdout.write(f"{styles[finding.state](f'{finding.state:<4}')}  {finding.part}: {text}")
            if finding.remedy:
                self.stdout.write(f"      -> {finding.remedy}")
        counts = {state: sum(each.state == state for each in found) for state in (OK, WARN, FAIL)}
        self.stdout.write(", ".join(f"{count} {state}" for state, count in counts.items()))
        if counts[FAIL]:
            sys.exit(1)


def examine(now: datetime) -> Iterator[Finding]:
    """Look at every part; what needs the database is left out while it is away or not migrated."""
    first = database()
    yield first
    yield from broker()
    yield static_files()
    yield from system_checks(first.state == OK)
    if first.state != OK:
        return
    yield clock()
    yield from sealed_columns()
    checks: list[Callable[[datetime], Finding]] = [engine, due_work, wecom]
    yield from (check(now) for check in checks)
    yield from channels()
    yield audit_chain()
    for path in settings.FTA_EXAMINATIONS:
        yield from (Finding(*found) for found in import_string(path)(now))


def database() -> Finding:
    """Ask the database for its migrations."""
    begun = time.monotonic()
    try:
        plan = MigrationExecutor(connection)
        missing = plan.migration_plan(plan.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Finding(FAIL, "database", f"does not answer: {error}", "Check DATABASE_URL and the database process.")
    if missing:
        names = ", ".join(f"{each.app_label}.{each.name}" for each, _backwards in missing[:3])
        return Finding(
            FAIL, "database", f"{len(missing)} migrations are missing ({names})", "Run: python manage.py migrate"
        )
    elapsed = (time.monotonic() - begun) * 1000
    return Finding(OK, "database", f"{connection.vendor}, migrated, {elapsed:.0f} ms")


def broker() -> Iterator[Finding]:
    """Knock at the broker, when one is set; without it the engine polls, so that its absence is no failure."""
    if not settings.CELERY_BROKER_URL:
        yield Finding(OK, "broker", "none is set; the engine finds work by itself")
        return
    remedy = "Check CELERY_BROKER_URL and the broker's process; until then the engine finds work by itself."
    try:
        url = urlsplit(settings.CELERY_BROKER_URL)
        address = (url.hostname or "127.0.0.1", url.port or _PORTS.get(url.scheme, 5672))
        socket.create_connection(address, timeout=BROKER_TIMEOUT).close()
    except ValueError:  # its text quotes the URL, which may hold a password
        yield Finding(WARN, "broker", "CELERY_BROKER_URL is no URL", remedy)
    except OSError as error:
        yield Finding(WARN, "broker", f"cannot be reached: {error}", remedy)
    else:
        yield Finding(OK, "broker", f"{url.scheme} answers at {address[0]}:{address[1]}")


def static_files() -> Finding:
    """Tell whether the pages' styles and scripts were collected."""
    if (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        return Finding(OK, "static files", "collected")
    if settings.DEBUG:
        return Finding(OK, "static files", "served from their sources, as DEBUG is on")
    return Finding(WARN, "static files", "not collected", "Run: python manage.py collectstatic --noinput")


def system_checks(with_database: bool) -> Iterator[Finding]:
    """Run the system checks of every app, in production those for a deployment too."""
    databases = ["default"] if with_database else None
    messages = run_checks(include_deployment_checks=not settings.DEBUG, databases=databases)
    for message in messages:
        state = FAIL if message.level >= ERROR else WARN
        yield Finding(state, message.id or "check", str(message.msg), str(message.hint or ""))
    if not messages:
        yield Finding(OK, "system checks", "nothing to report")


def clock() -> Finding:
    """Compare this machine's clock with the database's, by which leases and deadlines are judged."""
    before = timezone.now()
    theirs = MigrationRecorder.Migration.objects.annotate(clock=DbNow()).values_list("clock", flat=True)[:1].get()
    ours = before + (timezone.now() - before) / 2
    apart = abs(theirs - ours)
    state = OK if apart <= CLOCK_APART else WARN if apart <= CLOCK_WRONG else FAIL
    remedy = "" if state == OK else "Let NTP set the clocks of this machine and of the database's."
    return Finding(state, "clock", f"{apart.total_seconds():.1f} s from the database's", remedy)


def sealed_columns() -> Iterator[Finding]:
    """Open every sealed value."""
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    opened, broken = 0, 0
    for field in fields:
        if not isinstance(field, SealedTextField):
            continue
        rows = field.model._default_manager.annotate(raw=Substr(field.name, 1, output_field=TextField()))
        for pk, raw in rows.exclude(raw="").order_by("pk").values_list("pk", "raw").iterator():
            try:
                unseal(raw, field.context)
                opened += 1
            except SealBroken as error:
                broken += 1
                remedy = "Put the key that sealed it back into FTA_SECRET_KEYS, or enter the secret anew."
                yield Finding(FAIL, "secrets", f"{field.context} of row {pk}: {error}", remedy)
    if not broken:
        yield Finding(OK, "secrets", f"{opened} sealed values open")


def engine(now: datetime) -> Finding:
    """Look for the youngest heartbeat of an engine."""
    remedy = "Run on any machine: python manage.py engine"
    beat = Heartbeat.objects.filter(role="engine").order_by("-beat_at").first()
    if beat is None:
        return Finding(FAIL, "engine", "no heartbeat", remedy)
    age = max(now - beat.beat_at, timedelta(0))  # it may have beaten while the parts before were looked at
    text = f"{beat.worker}, heartbeat {_span(age)} ago"
    return Finding(FAIL, "engine", text, remedy) if age > ENGINE_SILENT else Finding(OK, "engine", text)


def due_work(now: datetime) -> Finding:
    """Look for the oldest item that is due and was not done."""
    oldest = max(due.due_work(now), key=lambda each: (each.age(now), each.count))
    age = timedelta(seconds=oldest.age(now))
    if not oldest.count:
        return Finding(OK, "due work", "nothing waits")
    state = OK if age <= LATE else WARN if age <= STUCK else FAIL
    remedy = "" if state == OK else "The engine does not keep up: look at its log, or start another."
    return Finding(state, "due work", f"the oldest waits {_span(age)} ({oldest.kind})", remedy)


def wecom(now: datetime) -> Finding:
    """Judge WeCom by what became of the latest message."""
    tried = _deliveries().filter(kind__startswith="wecom", state__in=["sent", "failed", "unknown"])
    tried = tried.exclude(state="sent", sent_at=None)  # called off before it left
    last = tried.filter(created_at__gte=now - LOOKS_BACK).order_by("-pk").first()
    if last is None:
        return Finding(OK, "wecom", "no message within the last hour")
    if last.state == "sent":
        return Finding(OK, "wecom", "the latest message was taken")
    return Finding(WARN, "wecom", f"the latest message is {last.state}: {last.last_error[:200]}", str(last.remedy))


def channels() -> Iterator[Finding]:
    """Name the channels whose latest message failed."""
    model: Any = _deliveries().model._meta.get_field("channel").related_model
    used = model._default_manager.filter(archived=False, enabled=True)
    failing = used.exclude(last_failed_at=None).filter(Q(last_ok_at=None) | Q(last_failed_at__gt=F("last_ok_at")))
    for row in failing.order_by("name"):
        remedy = "Send a test message from the page of channels."
        yield Finding(WARN, "channel", f"{row.name} fails: {row.last_error[:200]}", remedy)
    if not failing:
        yield Finding(OK, "channels", f"{used.count()} in use, none fails")


def audit_chain() -> Finding:
    """Tell the head of the audit chain, to be compared with one that was kept elsewhere."""
    return Finding(OK, "audit", f"{AuditEntry.objects.count()} entries, head {audit.head()[:16]}")


def _deliveries() -> Any:
    """Return all deliveries: their floor lies above this one and is reached by the relation that it made."""
    return Execution._meta.get_field("delivery").related_model._default_manager.all()


def _span(age: timedelta) -> str:
    return str(timedelta(seconds=int(age.total_seconds())))
