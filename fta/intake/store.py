"""Keep what the sources say: one Alert per firing episode of a fingerprint, repeats counted, late words recorded only.

Alerts are kept many at a time: what is known of them is read by one query each for episodes, events and hosts, and what is new
is written by one statement a table.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from django.db.models import F, Q
from django.utils.translation import gettext as _

from fta.intake.sources.base import ParsedAlert
from fta.models import Alert, AlertEvent, Business, Host, Inbox, Source
from fta.models.engine import NotInState

Key: TypeAlias = tuple[int, str]  # source id, fingerprint
EventKey: TypeAlias = tuple[int, str, datetime, str]

# What a saying tells of an alert: all of the row but its number and its count.
_TOLD = [field.attname for field in Alert._meta.concrete_fields if field.name not in ("id", "repeat_count")]


@dataclass(frozen=True)
class Said:
    """One saying of a source, and the body that it stood in."""

    inbox: Inbox
    parsed: ParsedAlert

    @property
    def key(self) -> Key:
        """Return what names the problem."""
        return self.inbox.source_id, self.parsed.fingerprint

    @property
    def now(self) -> datetime:
        """Return the moment to judge by."""
        return self.inbox.received_at


@dataclass(frozen=True)
class Stored:
    """What became of one saying. `fired` asks for matching; `resolved` tells that an open episode was closed."""

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


def waves(said: Iterable[Said]) -> Iterator[list[Said]]:
    """Cut sayings, in their order, into runs in which no problem is named twice."""
    wave: dict[Key, Said] = {}
    for item in said:
        if item.key in wave:
            yield list(wave.values())
            wave = {}
        wave[item.key] = item
    if wave:
        yield list(wave.values())


def store(wave: Sequence[Said]) -> list[Stored]:
    """Record sayings about different problems and apply each to its open episode; call it in the inbox rows' transaction.

    Raises IntegrityError when another engine opened one of the episodes a moment ago, NotInState when it took up the firing of
    one that had only been noted: tried again, what it did is found.
    """
    return _Wave(wave).stored()


class _Wave:
    """The sayings of one wave with what is known of their problems."""

    def __init__(self, wave: Sequence[Said]) -> None:
        self.wave = wave
        self.current = _open_episodes(wave)
        self.known = _events(wave)
        self.hosts = _hosts(item.parsed for item in wave)
        self.opened: list[Alert] = []
        self.overtook: list[tuple[AlertEvent, Alert]] = []  # each `resolved` that came before what opens its episode
        self.new_events: list[AlertEvent] = []
        # ids by the moment of receipt: what came in one body is counted by one statement
        self.repeated: defaultdict[datetime, list[int]] = defaultdict(list)
        self.said_again: defaultdict[datetime, list[int]] = defaultdict(list)

    def stored(self) -> list[Stored]:
        """Apply every saying, then write."""
        found = [self._apply(item) for item in self.wave]
        # Sorted, so that two engines that open the same episodes wait for each other in one order.
        Alert.objects.bulk_create(sorted(self.opened, key=lambda alert: (alert.source_id, alert.fingerprint)))
        AlertEvent.objects.bulk_create(sorted(self.new_events, key=lambda event: (event.source_id, event.fingerprint)))
        for event, alert in self.overtook:
            _attach(event, alert, applied=True)
        for now, pks in self.repeated.items():
            Alert.objects.filter(pk__in=pks).update(repeat_count=F("repeat_count") + 1, last_seen_at=now)
        for now, pks in self.said_again.items():
            AlertEvent.objects.filter(pk__in=pks).update(seen_count=F("seen_count") + 1, last_seen_at=now)
        return found

    def _apply(self, item: Said) -> Stored:
        parsed, current = item.parsed, self.current.get(item.key)
        starts_at = parsed.starts_at or (current.starts_at if current and current.starts_at else item.now)
        event = self.known.get((*item.key, starts_at, parsed.status))
        repeated = event is not None
        if event is None:
            event = _event(item, starts_at)
            self.new_events.append(event)
        else:
            self.said_again[item.now].append(event.pk)
        if parsed.status == "resolved":
            return _resolve(current, item, event, repeated)
        end = self._end_told_before(item)
        if current is not None:
            self.repeated[item.now].append(current.pk)
            if end is None and _begins_to_fire(current, parsed, event):
                return self._fire(current, item, event)
            return _repeat(current, item, event)
        if repeated:  # an old message of an episode that has ended comes again: it opens nothing
            return Stored(event.alert, parsed.status, parsed.fingerprint, duplicate=True)
        return self._open(item, event, end)

    def _end_told_before(self, item: Said) -> AlertEvent | None:
        """Return the `resolved` of this very episode that overtook what opens it.

        Only a sender that names both moments tells: a REST push has one time, so its `resolved` may be that of the episode before.
        """
        starts_at = item.parsed.starts_at
        told = self.known.get((*item.key, starts_at, Alert.Status.RESOLVED)) if starts_at else None
        return told if told and told.ends_at and told.ends_at > told.starts_at else None

    def _open(self, item: Said, event: AlertEvent, end: AlertEvent | None) -> Stored:
        alert = self._new(item)
        if end is not None and end.ends_at is not None:  # nobody would ever close it
            alert.status, alert.outcome = Alert.Status.RESOLVED, Alert.Outcome.NOT_FIRING
            alert.outcome_detail = _("恢复消息先于告警到达，不自愈")
            alert.resolved_at = min(end.ends_at, end.first_seen_at)
            self.overtook.append((end, alert))
        self.opened.append(alert)
        event.alert = alert
        fired = alert.status == Alert.Status.FIRING
        return Stored(alert, alert.status, alert.fingerprint, duplicate=False, fired=fired)

    def _fire(self, current: Alert, item: Said, event: AlertEvent) -> Stored:
        """Turn an episode that was only noted into a firing, by compare-and-set.

        The row becomes that of the firing: the word before it may have named no host, and its deadline runs from now.
        """
        alert = self._new(item)
        alert.pk, alert.repeat_count = current.pk, current.repeat_count
        noted = Alert.objects.filter(pk=current.pk, outcome=Alert.Outcome.NOT_FIRING).exclude(status="resolved")
        if noted.update(**{name: getattr(alert, name) for name in _TOLD}) != 1:
            raise NotInState(Alert, current.pk, Alert.Outcome.NOT_FIRING)
        _attach(event, alert, applied=True)
        return Stored(alert, alert.status, alert.fingerprint, duplicate=False, fired=True)

    def _new(self, item: Said) -> Alert:
        return _alert(item, self.hosts.get(item.parsed.target.ip or item.parsed.target.name))


def _open_episodes(wave: Sequence[Said]) -> dict[Key, Alert]:
    rows = Alert.objects.exclude(status="resolved").select_related("source", "host__business", "business")
    found = rows.filter(
        source__in={item.inbox.source_id for item in wave}, fingerprint__in=[item.parsed.fingerprint for item in wave]
    )
    return {(alert.source_id, alert.fingerprint): alert for alert in found}


def _events(wave: Sequence[Said]) -> dict[EventKey, AlertEvent]:
    rows = AlertEvent.objects.filter(
        source__in={item.inbox.source_id for item in wave}, fingerprint__in=[item.parsed.fingerprint for item in wave]
    ).select_related("alert")
    return {(row.source_id, row.fingerprint, row.starts_at, row.status): row for row in rows}


def _hosts(alerts: Iterable[ParsedAlert]) -> Mapping[str, Host]:
    """Find the registered hosts that targets name: by address, else by name; the first registered one of a name."""
    targets = [alert.target for alert in alerts if alert.target.kind == "host"]
    ips = {target.ip for target in targets if target.ip}
    names = {target.name for target in targets if not target.ip}
    if not ips and not names:
        return {}
    rows = Host.objects.filter(Q(ip__in=ips) | Q(name__in=names), archived=False).select_related("business")
    found: dict[str, Host] = {}
    for host in rows.order_by("id"):
        for word in (host.ip if host.ip in ips else "", host.name if host.name in names else ""):
            found.setdefault(word, host)
    return found


def _event(item: Said, starts_at: datetime) -> AlertEvent:
    return AlertEvent(
        source_id=item.inbox.source_id,
        fingerprint=item.parsed.fingerprint,
        starts_at=starts_at,
        status=item.parsed.status,
        ends_at=item.parsed.ends_at,
        first_seen_at=item.now,
        last_seen_at=item.now,
    )


def _attach(event: AlertEvent, alert: Alert | None, applied: bool) -> None:
    if event.alert is not None:
        return
    event.alert, event.applied = alert, applied
    if event.pk is not None:  # said before, when there was nothing to apply it to
        AlertEvent.objects.filter(pk=event.pk, alert=None).update(alert=alert, applied=applied)


def _resolve(current: Alert | None, item: Said, event: AlertEvent, repeated: bool) -> Stored:
    parsed, now = item.parsed, item.now
    if current is None or _older(parsed, current):
        _attach(event, current, applied=False)
        return Stored(current, "resolved", parsed.fingerprint, duplicate=repeated)
    ended = max(parsed.ends_at or now, current.starts_at or current.received_at)
    Alert.objects.filter(pk=current.pk).exclude(status="resolved").update(
        status=Alert.Status.RESOLVED, resolved_at=min(ended, now), last_seen_at=now
    )
    current.refresh_from_db(fields=["status", "resolved_at", "last_seen_at"])
    _attach(event, current, applied=True)
    return Stored(current, "resolved", parsed.fingerprint, duplicate=False, resolved=True)


def _older(parsed: ParsedAlert, current: Alert) -> bool:
    """Tell whether a `resolved` belongs to an episode before the open one."""
    opened = current.starts_at or current.received_at
    told = parsed.ends_at or parsed.starts_at
    return told is not None and told < opened


def _begins_to_fire(current: Alert, parsed: ParsedAlert, event: AlertEvent) -> bool:
    """Tell whether an open episode that was only noted (no data, acknowledged) fires now; an old episode's late word does not."""
    noted = current.outcome == Alert.Outcome.NOT_FIRING
    return noted and parsed.status == Alert.Status.FIRING and event.alert_id in (None, current.pk)


def _repeat(current: Alert, item: Said, event: AlertEvent) -> Stored:
    if item.parsed.status == Alert.Status.ACKNOWLEDGED != current.status:
        Alert.objects.filter(pk=current.pk).exclude(status="resolved").update(status=Alert.Status.ACKNOWLEDGED)
    _attach(event, current, applied=True)
    return Stored(current, item.parsed.status, item.parsed.fingerprint, duplicate=True)


def _alert(item: Said, host: Host | None) -> Alert:
    source, parsed, target = item.inbox.source, item.parsed, item.parsed.target
    return Alert(
        source=source,
        inbox=item.inbox,
        fingerprint=parsed.fingerprint,
        external_id=parsed.external_id,
        alert_type=parsed.alert_type,
        severity=parsed.severity,
        severity_raw=parsed.severity_raw,
        status=parsed.status,
        title=parsed.title,
        content=parsed.content,
        target=target.ip or target.name or target.raw,
        target_kind=target.kind,
        host=host,
        business=_business(source, host),
        registered=host is not None or target.kind != "host",
        labels=dict(parsed.labels),
        context=parsed.context,
        links=dict(parsed.links),
        starts_at=parsed.starts_at,
        received_at=item.now,
        last_seen_at=item.now,
        outcome=Alert.Outcome.PENDING if parsed.status == "firing" else Alert.Outcome.NOT_FIRING,
    )


def _business(source: Source, host: Host | None) -> Business | None:
    """A host's business is the inventory's word; a sender's own label is never trusted for it."""
    return host.business if host and host.business else source.business
