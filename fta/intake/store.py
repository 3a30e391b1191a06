"""Keep what the sources say: one Alert per firing episode of a fingerprint, repeats counted, late words recorded only."""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from fta import signals
from fta.intake.sources.base import ParsedAlert, Target
from fta.models import Alert, AlertEvent, Business, Host, Inbox, Source


@dataclass(frozen=True)
class Stored:
    """What became of one parsed alert. `fired` asks for matching; `resolved` tells that an open episode was closed."""

    alert: Alert | None
    status: str
    fingerprint: str
    duplicate: bool
    fired: bool = False
    resolved: bool = False

    def as_answer(self) -> dict[str, object]:
        """Return what `?wait=1` tells the sender."""
        return {
            "id": self.alert.pk if self.alert else None,
            "fingerprint": self.fingerprint,
            "status": self.status,
            "duplicate": self.duplicate,
        }


def store(source: Source, parsed: ParsedAlert, inbox: Inbox) -> Stored:
    """Record one saying of a source and apply it to the open episode; call it in the inbox row's transaction."""
    now = inbox.received_at
    current = _open_episode(source, parsed.fingerprint)
    starts_at = parsed.starts_at or (current.starts_at if current and current.starts_at else now)
    event, is_new = _said(source, parsed, starts_at, now)
    if parsed.status == "resolved":
        return _resolve(current, parsed, event, now)
    if current is not None:
        return _repeat(current, parsed, event, now)
    if not is_new:  # an old message of an episode that has ended comes again: it opens nothing
        return Stored(event.alert, parsed.status, parsed.fingerprint, duplicate=True)
    return _open(source, parsed, inbox, event, now)


def _open_episode(source: Source, fingerprint: str) -> Alert | None:
    return Alert.objects.filter(source=source, fingerprint=fingerprint).exclude(status="resolved").first()


def _said(source: Source, parsed: ParsedAlert, starts_at: datetime, now: datetime) -> tuple[AlertEvent, bool]:
    event, created = AlertEvent.objects.get_or_create(
        source=source,
        fingerprint=parsed.fingerprint,
        starts_at=starts_at,
        status=parsed.status,
        defaults={"first_seen_at": now, "last_seen_at": now},
    )
    if not created:
        AlertEvent.objects.filter(pk=event.pk).update(seen_count=F("seen_count") + 1, last_seen_at=now)
    return event, created


def _attach(event: AlertEvent, alert: Alert | None, applied: bool) -> None:
    AlertEvent.objects.filter(pk=event.pk, alert=None).update(alert=alert, applied=applied)


def _resolve(current: Alert | None, parsed: ParsedAlert, event: AlertEvent, now: datetime) -> Stored:
    late = current is not None and _older(parsed, current)
    if current is None or late:
        _attach(event, current, applied=False)
        return Stored(current, "resolved", parsed.fingerprint, duplicate=event.seen_count > 1)
    ended = max(parsed.ends_at or now, current.starts_at or current.received_at)
    Alert.objects.filter(pk=current.pk).exclude(status="resolved").update(
        status=Alert.Status.RESOLVED, resolved_at=min(ended, now), last_seen_at=now
    )
    current.refresh_from_db()
    _attach(event, current, applied=True)
    signals.announce(signals.alert_resolved, alert=current)
    return Stored(current, "resolved", parsed.fingerprint, duplicate=False, resolved=True)


def _older(parsed: ParsedAlert, current: Alert) -> bool:
    """Tell whether a `resolved` belongs to an episode before the open one."""
    opened = current.starts_at or current.received_at
    told = parsed.ends_at or parsed.starts_at
    return told is not None and told < opened


def _repeat(current: Alert, parsed: ParsedAlert, event: AlertEvent, now: datetime) -> Stored:
    changes: dict[str, object] = {"repeat_count": F("repeat_count") + 1, "last_seen_at": now}
    if parsed.status != current.status and parsed.status == Alert.Status.ACKNOWLEDGED:
        changes["status"] = parsed.status
    Alert.objects.filter(pk=current.pk).update(**changes)
    _attach(event, current, applied=True)
    return Stored(current, parsed.status, parsed.fingerprint, duplicate=True)


def _open(source: Source, parsed: ParsedAlert, inbox: Inbox, event: AlertEvent, now: datetime) -> Stored:
    host = _host(parsed.target)
    usable = parsed.target.kind == "host"
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                source=source,
                inbox=inbox,
                fingerprint=parsed.fingerprint,
                external_id=parsed.external_id,
                alert_type=parsed.alert_type,
                severity=parsed.severity,
                severity_raw=parsed.severity_raw,
                status=parsed.status,
                title=parsed.title,
                content=parsed.content,
                target=parsed.target.ip or parsed.target.name or parsed.target.raw,
                target_kind=parsed.target.kind,
                host=host,
                business=_business(source, host),
                registered=host is not None or not usable,
                labels=dict(parsed.labels),
                context=parsed.context,
                links=dict(parsed.links),
                starts_at=parsed.starts_at,
                received_at=now,
                last_seen_at=now,
                outcome=Alert.Outcome.PENDING if parsed.status == "firing" else Alert.Outcome.NOT_FIRING,
            )
    except IntegrityError:  # another engine opened the same episode a moment ago
        current = _open_episode(source, parsed.fingerprint)
        if current is None:
            raise
        return _repeat(current, parsed, event, now)
    _attach(event, alert, applied=True)
    if parsed.status == "firing":
        signals.announce(signals.alert_fired, alert=alert)
    return Stored(alert, parsed.status, parsed.fingerprint, duplicate=False, fired=parsed.status == "firing")


def _host(target: Target) -> Host | None:
    """Find the registered host that a target names: by address, else by name."""
    if target.kind != "host":
        return None
    known = Host.objects.filter(archived=False)
    return known.filter(ip=target.ip).first() if target.ip else known.filter(name=target.name).first()


def _business(source: Source, host: Host | None) -> Business | None:
    """A host's business is the inventory's word; a sender's own label is never trusted for it."""
    return host.business if host and host.business else source.business
