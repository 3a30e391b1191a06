"""REST push: the portal's own format, a superset of the original's (`/event/api/<app_id>/`).

One object or a list. `source_id` names the event: the same one pushed again is the same event.
"""

import base64
import binascii
from typing import Any

from fta.intake.sources.base import (
    Parsed,
    ParsedAlert,
    RawRequest,
    Rejected,
    SourceInfo,
    clean,
    clean_json,
    clean_labels,
    identity,
    members,
    moment,
    read_json,
    severity,
    target_of,
)

DEFAULT_TYPE = "api_default"  # REST默认分类: pushes that name no type
# The original's levels: 1 fatal, 2 warning, 3 remind.
_LEVELS = {"1": "critical", "2": "warning", "3": "info"}
_STATUSES = {
    "": "firing",
    "firing": "firing",
    "abnormal": "firing",
    "problem": "firing",
    "resolved": "resolved",
    "recovered": "resolved",
    "ok": "resolved",
    "closed": "resolved",
    "acknowledged": "acknowledged",
    "no_data": "no_data",
}


class Rest:
    """The portal's own push."""

    kind = "rest"

    def parse(self, request: RawRequest, source: SourceInfo) -> Parsed:
        body = read_json(request.body)
        many = isinstance(body, list)
        items = members(body, "The list") if many else [body]
        parsed = Parsed(alerts=[], problems=[])
        for index, item in enumerate(items):
            path = f"[{index}]." if many else ""
            try:
                parsed.alerts.append(_read(item, path, source))
            except Rejected as error:
                parsed.problems.append((path.rstrip(".") or "body", str(error)))
        if not parsed.alerts:
            raise Rejected(parsed.problems[0][1])
        return parsed


def _first(item: dict[str, Any], *names: str) -> Any:
    return next((item[name] for name in names if item.get(name) not in (None, "")), None)


def _required(item: dict[str, Any], path: str, limit: int, *names: str) -> str:
    value = _first(item, *names)
    if isinstance(value, (dict, list, bool)):
        raise Rejected(f"{path}{names[0]} must be a string.")
    text = clean(value, limit)
    if not text:
        raise Rejected(f"{path}{names[0]} is missing. Send {' or '.join(names)}.")
    return text


def _content(item: dict[str, Any], path: str) -> str:
    value = _first(item, "alarm_content", "content", "description")
    if clean(item.get("format"), 16).casefold() == "base64" and isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError) as error:
            raise Rejected(f"{path}alarm_content is not base64, although format says so.") from error
    return clean(value, 6144)


def _read(item: Any, path: str, source: SourceInfo) -> ParsedAlert:
    if not isinstance(item, dict):
        raise Rejected(f"{path.rstrip('.') or 'The body'} must be an object.")
    external_id = _required(item, path, 255, "source_id")
    target = target_of(_required(item, path, 255, "ip", "target"))
    alert_type = clean(_first(item, "alarm_type", "alert_type"), 255) or DEFAULT_TYPE
    word = clean(_first(item, "level", "severity"), 64)
    status_raw = clean(item.get("status"), 32)
    status = _STATUSES.get(status_raw.casefold())
    if status is None:
        raise Rejected(f'{path}status is "{status_raw}"; firing or resolved is expected.')
    raw_time = _first(item, "source_time")
    starts_at = moment(raw_time, source.zone)
    if raw_time is not None and starts_at is None:
        raise Rejected(
            f'{path}source_time "{clean(raw_time, 40)}" is no time. Send ISO 8601, YYYY-MM-DD HH:MM:SS or epoch seconds.'
        )
    content = _content(item, path)
    return ParsedAlert(
        fingerprint=identity("rest", external_id),
        external_id=external_id,
        alert_type=alert_type,
        status=status,
        status_raw=status_raw,
        severity=severity(word, {**_LEVELS, **(source.options.get("severity") or {})}),
        severity_raw=word,
        title=clean(_first(item, "title"), 1024) or clean(content.split("\n", 1)[0], 200) or alert_type,
        content=content,
        target=target,
        labels=clean_labels(item.get("labels"), f"{path}labels"),
        context=clean_json(_first(item, "alarm_context", "context")),
        starts_at=starts_at,
        ends_at=starts_at if status == "resolved" else None,
    )
