"""What every source shares: the request as it came, the alert as it was read, and careful readers of hostile data."""

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime


class Rejected(Exception):
    """The body cannot be read; the text names the place and the remedy and goes back to the sender."""


@dataclass(frozen=True)
class RawRequest:
    """A sender's request: bytes, content type, query and headers (names in lower case)."""

    body: bytes
    content_type: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceInfo:
    """What a parser may know of the configured source."""

    name: str
    zone: tzinfo
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What the alert is about. kind: host, loopback, cloud, service, or '' for none."""

    kind: str = ""
    raw: str = ""
    ip: str = ""
    name: str = ""


@dataclass(frozen=True)
class ParsedAlert:
    """One alert as a source told it, in the portal's words; times are aware or None."""

    fingerprint: str
    alert_type: str
    status: str
    external_id: str = ""
    status_raw: str = ""
    severity: str = ""
    severity_raw: str = ""
    title: str = ""
    content: str = ""
    target: Target = field(default_factory=Target)
    business: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    context: Any = None
    links: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Parsed:
    """What a request held: alerts, and members that could not be read ("alerts[3]", reason)."""

    alerts: list[ParsedAlert]
    problems: list[tuple[str, str]] = field(default_factory=list)


class Parser(Protocol):
    """One kind of source. `parse` is pure: the same bytes give the same alerts."""

    kind: str

    def parse(self, request: RawRequest, source: SourceInfo) -> Parsed:
        """Read a request; raises Rejected when nothing in it can be taken."""


# --- JSON ---


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def read_json(body: bytes) -> Any:
    """Parse a JSON body strictly: UTF-8 with or without BOM, no NaN, at most FTA_MAX_DEPTH levels.

    Raises Rejected with the position of the fault.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"The body is not UTF-8 (byte {error.start}). Send UTF-8.") from error
    if not text.strip():
        raise Rejected("The body is empty. Send a JSON object or a list of objects.")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Rejected(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except (ValueError, RecursionError) as error:  # huge integers, NaN, 10^5 brackets
        raise Rejected(f"The body is not acceptable JSON: {str(error)[:120] or 'nested too deeply'}.") from error
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raise Rejected when the value nests deeper than FTA_MAX_DEPTH."""
    level: list[Any] = [value]
    for _ in range(settings.FTA_MAX_DEPTH + 1):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise Rejected(f"The body nests deeper than {settings.FTA_MAX_DEPTH} levels.")


def members(value: Any, path: str) -> list[Any]:
    """Return a list of at most FTA_MAX_ALERTS members; Rejected names `path` when it is none or too long."""
    if not isinstance(value, list):
        raise Rejected(f"{path} must be a list.")
    if not value:
        raise Rejected(f"{path} is empty: there is no alert in it.")
    if len(value) > settings.FTA_MAX_ALERTS:
        raise Rejected(f"{path} holds {len(value)} alerts; at most {settings.FTA_MAX_ALERTS} fit into one request.")
    return value


# --- Text and labels ---

# Unicode's category Cc without line feed and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(value: Any, limit: int) -> str:
    """Return text without control characters and lone surrogates, cut to `limit` characters with an ellipsis."""
    if value is None or isinstance(value, (dict, list)):
        return ""
    text = str(value)
    if not (text.isascii() and text.isprintable()):  # most are, and cost nothing more
        text = _CONTROL.sub("", text.encode("utf-8", "replace").decode("utf-8"))
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean_json(value: Any) -> Any:
    """Return a JSON value that any database can store: no NUL, no lone surrogates."""
    if isinstance(value, str):
        return clean(value, 8192)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key, 255): clean_json(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)[:64]
    if isinstance(value, float) and not math.isfinite(value):  # 1e999 is JSON, and no database takes it
        return str(value)
    return value


def clean_labels(value: Any, path: str) -> dict[str, str]:
    """Return labels as strings; Rejected when they are no object or there are more than FTA_MAX_LABELS."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Rejected(f"{path} must be an object of strings.")
    if len(value) > settings.FTA_MAX_LABELS:
        raise Rejected(f"{path} holds {len(value)} labels; at most {settings.FTA_MAX_LABELS} are taken.")
    labels: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, (dict, list)):
            raise Rejected(f"{path}.{clean(key, 64)} must be a string.")
        text = "" if item is None else str(item).lower() if isinstance(item, bool) else str(item)  # as JSON writes it
        if len(text.encode("utf-8", "replace")) > settings.FTA_MAX_LABEL_BYTES:
            raise Rejected(f"{path}.{clean(key, 64)} is longer than {settings.FTA_MAX_LABEL_BYTES} bytes.")
        labels[clean(key, 255)] = clean(text, settings.FTA_MAX_LABEL_BYTES)
    return labels


# --- Severity ---

_SEVERITIES = {
    "critical": "critical fatal disaster emergency page p0 p1 down crit",
    "error": "error major high p2 err",
    "warning": "warning warn average minor p3",
    "info": "info informational information none notice low debug p4 p5 ok",
}
_BY_WORD = {word: severity for severity, words in _SEVERITIES.items() for word in words.split()}


def severity(word: Any, scale: Mapping[str, str] | None = None) -> str:
    """Map a sender's word to critical, error, warning, info or ''; bare numbers need the source's own `scale`."""
    text = clean(word, 64).casefold()
    return (scale or {}).get(text) or _BY_WORD.get(text, "")


# --- Time ---

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # beyond it a time zone or a span leads out of what datetime can hold
_OFFSET = re.compile(r"([+-]\d{2})(\d{2})$")
_FRACTION = re.compile(r"(\.\d{6})\d+")


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """Read ISO 8601, `YYYY-MM-DD HH:MM:SS` in `zone`, or epoch seconds or milliseconds; None for absent, zero or broken times."""
    if value is None or isinstance(value, (bool, dict, list)):
        return None
    text = str(value).strip()
    try:
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            number = float(text)
            found: datetime | None = datetime.fromtimestamp(number / 1000 if number >= 1e11 else number, tz=UTC)
        else:
            text = _FRACTION.sub(r"\1", text.replace("/", "-"))  # nanoseconds are cut
            found = parse_datetime(_OFFSET.sub(r"\1:\2", text) if ":" in text else text)
    except (ValueError, OverflowError, OSError):
        return None
    if found is None:
        return None
    if timezone.is_naive(found):
        found = found.replace(tzinfo=zone)
    try:
        return found.astimezone(UTC) if _EARLIEST <= found.astimezone(UTC) < LATEST else None
    except OverflowError:
        return None


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a source; the portal's when it names none."""
    return ZoneInfo(name or settings.TIME_ZONE)


# --- Target ---

_LOOPBACK = {"127.0.0.1", "::1", "localhost", "localhost.localdomain", "0.0.0.0"}  # noqa: S104 - names, not a bind
_HOST_LABELS = ["ip", "host_ip", "instance", "hostname", "host", "node", "nodename", "target_ident", "endpoint"]
_MACRO = re.compile(r"^(\{[$#]?[A-Z][A-Z0-9_.]*(:.*)?\}|\*UNKNOWN\*|\$[A-Z_]+)$")


def _host_part(raw: str) -> str:
    if "://" in raw:
        return urlsplit(raw).hostname or ""
    if raw.startswith("["):
        return raw[1:].split("]", 1)[0]
    if raw.count(":") == 1:
        return raw.split(":", 1)[0]
    return raw


def as_ip(text: str) -> str:
    """Return the address in its normal form, or '' when the text is none."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return ""


def target_of(raw: Any) -> Target:
    """Read one value as a target: host:port, [v6]:port, URL, address or name; an unresolved macro is no target."""
    return _target(clean(raw, 255))


@lru_cache(maxsize=4096)  # a fleet's hosts are named again and again
def _target(text: str) -> Target:
    if not text or _MACRO.match(text):
        return Target()
    try:
        host = _host_part(text).strip()
    except ValueError:
        return Target()
    if not host:
        return Target()
    ip = as_ip(host)
    loopback = (ip or host.casefold()) in _LOOPBACK
    return Target(kind="loopback" if loopback else "host", raw=text, ip=ip, name="" if ip else host)


def target_from_labels(labels: Mapping[str, str]) -> Target:
    """Choose the target among an alert's own labels: the first that names a real host, else a loopback one, else none."""
    found = [target_of(labels[name]) for name in _HOST_LABELS if labels.get(name)]
    for kind in ("host", "loopback"):
        for target in found:
            if target.kind == kind:
                return target
    return Target()


# --- Identity ---


def identity(*parts: str) -> str:
    """Return the fingerprint of a problem from what its tool calls it."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


def labels_identity(labels: Mapping[str, str], drop: Iterable[str] = ()) -> str:
    """Return the fingerprint of sorted labels, for tools that name none; `drop` leaves out what changes with the state."""
    ignored = set(drop)
    return identity("labels", *(f"{k}={v}" for k, v in sorted(labels.items()) if k not in ignored))
