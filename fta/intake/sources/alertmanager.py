"""Prometheus Alertmanager's webhook, version 4 and the older 3.

Facts: github.com/prometheus/alertmanager notify/webhook and template/template.go. The per-alert status beats the group's; the zero
time `0001-01-01` and, while firing, any end time mean "not ended"; groupLabels tell nothing about a single member.
"""

from typing import Any

from fta.intake.sources.base import (
    Parsed,
    ParsedAlert,
    RawRequest,
    Rejected,
    SourceInfo,
    clean,
    clean_labels,
    labels_identity,
    members,
    moment,
    read_json,
    severity,
    target_from_labels,
)

_BUSINESS_LABELS = ("biz", "bk_biz_id", "team")
# Labels that other columns hold; the rest is kept as the alert's labels.
_SUMMARY = ("summary", "title", "message", "description")
_STATUSES = {"firing": "firing", "resolved": "resolved"}


class Alertmanager:
    """Alert groups of Alertmanager; one request holds many alerts, each on its own."""

    kind = "alertmanager"

    def parse(self, request: RawRequest, source: SourceInfo) -> Parsed:
        body = read_json(request.body)
        if not isinstance(body, dict) or "alerts" not in body:
            keys = sorted(clean(key, 40) for key in body)[:12] if isinstance(body, dict) else []
            raise Rejected(f"This is not an Alertmanager webhook: there is no list `alerts` (keys seen: {keys}).")
        return read_group(body, source)


def read_group(body: dict[str, Any], source: SourceInfo) -> Parsed:
    """Read the members of a group, as Alertmanager and, after it, Grafana send them; one bad member loses only itself."""
    group = _Group(body)
    parsed = Parsed(alerts=[], problems=[])
    for index, member in enumerate(members(body["alerts"], "alerts")):
        try:
            parsed.alerts.append(_read(member, f"alerts[{index}]", group, source))
        except Rejected as error:
            parsed.problems.append((f"alerts[{index}]", str(error)))
    if not parsed.alerts:
        raise Rejected(parsed.problems[0][1])
    return parsed


class _Group:
    """What the group says for members that say nothing themselves."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.status = clean(body.get("status"), 32)
        self.labels = _strings(body.get("commonLabels"))
        self.annotations = _strings(body.get("commonAnnotations"))
        self.group_labels = _strings(body.get("groupLabels"))
        self.external_url = clean(body.get("externalURL"), 1024)


def _strings(value: Any) -> dict[str, str]:
    return {clean(k, 255): clean(v, 2048) for k, v in value.items()} if isinstance(value, dict) else {}


def _read(member: Any, path: str, group: _Group, source: SourceInfo) -> ParsedAlert:
    if not isinstance(member, dict):
        raise Rejected(f"{path} must be an object.")
    labels = clean_labels(member.get("labels"), f"{path}.labels")
    annotations = _strings(member.get("annotations"))
    alert_type = labels.get("alertname") or group.labels.get("alertname") or group.group_labels.get("alertname") or ""
    if not alert_type:
        raise Rejected(f"{path}.labels.alertname is missing: an alert needs a name.")
    status_raw = clean(member.get("status"), 32)
    status = _STATUSES.get((status_raw or group.status).casefold())
    if status is None:
        raise Rejected(f'{path}.status is "{status_raw or group.status}"; firing or resolved is expected.')
    external_id = clean(member.get("fingerprint"), 64)
    word = labels.get("severity") or labels.get("level") or labels.get("priority") or ""
    summary = next((annotations[k] for k in _SUMMARY if annotations.get(k)), "") or next(
        (group.annotations[k] for k in _SUMMARY if group.annotations.get(k)), alert_type
    )
    link = clean(member.get("generatorURL"), 2048)
    return ParsedAlert(
        fingerprint=external_id or labels_identity(labels),
        external_id=external_id,
        alert_type=clean(alert_type, 255),
        status=status,
        status_raw=status_raw,
        severity=severity(word, source.options.get("severity")),
        severity_raw=clean(word, 64),
        title=clean(summary, 1024),
        content=clean(annotations.get("description") or summary, 6144),
        target=target_from_labels(labels),
        business=next((labels[name] for name in _BUSINESS_LABELS if labels.get(name)), ""),
        labels=labels,
        context={"annotations": annotations},
        links={"generator": link} if link.startswith(("http://", "https://")) else {},
        starts_at=moment(member.get("startsAt"), source.zone),
        ends_at=moment(member.get("endsAt"), source.zone) if status == "resolved" else None,
    )
