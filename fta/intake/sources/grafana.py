"""Grafana: unified alerting (an Alertmanager group with more keys) and, told apart by its shape, legacy alerting.

Facts: github.com/grafana/alerting receivers/webhook; the legacy notifier knows one state a rule, no time and no series on "ok".
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from fta.intake.sources.alertmanager import read_group
from fta.intake.sources.base import (
    Parsed,
    ParsedAlert,
    RawRequest,
    Rejected,
    SourceInfo,
    Target,
    clean,
    clean_labels,
    identity,
    read_json,
    severity,
    target_from_labels,
)

_LEGACY_STATES = {"alerting": "firing", "ok": "resolved", "no_data": "no_data"}
_IGNORED_STATES = ("paused", "pending")
# Grafana renames a rule's alert so when its query gave nothing or failed; labels.rulename then holds the real name.
_NO_DATA = ("DatasourceNoData", "DatasourceError")


@dataclass(frozen=True)
class Said:
    """What a notification of Grafana says to people."""

    title: str
    text: str
    url: str
    picture: str


def said(raw: bytes) -> Said:
    """Read what is said to people from either format, as the relay at /api/model/send_sms/ hands it on.

    The legacy format names the rule's page and its picture; the unified one has them at its first alert. Raises Rejected.
    """
    body = read_json(raw)
    if not isinstance(body, dict):
        raise Rejected("This is not a Grafana webhook: the body is no object.")
    alerts = _objects(body.get("alerts"))
    first = alerts[0] if alerts else {}
    url = body.get("ruleUrl") or first.get("panelURL") or first.get("dashboardURL") or body.get("externalURL")
    title = clean(body.get("title"), 512) or clean(body.get("ruleName"), 512)
    text = clean(body.get("message"), 6144)
    return Said(
        title or text.split("\n", 1)[0][:512], text, _link(url), _link(body.get("imageUrl") or first.get("imageURL"))
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _link(value: Any) -> str:
    text = clean(value, 2048)
    return text if text.startswith(("http://", "https://")) else ""


class Grafana:
    """Both formats of Grafana's webhook."""

    kind = "grafana"

    def parse(self, request: RawRequest, source: SourceInfo) -> Parsed:
        body = read_json(request.body)
        if isinstance(body, dict) and "alerts" in body:
            parsed = read_group(body, source)
            return replace(parsed, alerts=[_without_data(alert) for alert in parsed.alerts])
        if isinstance(body, dict) and "ruleId" in body:
            return _legacy(body, source)
        raise Rejected("This is not a Grafana webhook: there is neither a list `alerts` nor a `ruleId`.")


def _without_data(alert: ParsedAlert) -> ParsedAlert:
    if alert.alert_type not in _NO_DATA or alert.status != "firing":
        return alert
    return replace(alert, alert_type=alert.labels.get("rulename") or alert.alert_type, status="no_data")


def _legacy(body: dict[str, Any], source: SourceInfo) -> Parsed:
    state = clean(body.get("state"), 32).casefold()
    if state in _IGNORED_STATES:
        return Parsed(alerts=[])
    status = _LEGACY_STATES.get(state)
    if status is None:
        raise Rejected(f'state is "{state}"; alerting, ok, no_data, paused or pending is expected.')
    name = clean(body.get("ruleName"), 255) or clean(body.get("title"), 255)
    if not name:
        raise Rejected("ruleName is missing: an alert needs a name.")
    rule, org = clean(body.get("ruleId"), 64), clean(body.get("orgId"), 64)
    matches = _objects(body.get("evalMatches"))
    labels = _labels(body, matches)
    link = clean(body.get("ruleUrl"), 2048)
    message = clean(body.get("message"), 6144)
    alert = ParsedAlert(
        fingerprint=identity("grafana", _host_of(link), org, rule),
        external_id=rule,
        alert_type=name,
        status=status,
        status_raw=state,
        severity=severity(labels.get("severity"), source.options.get("severity")),
        severity_raw=labels.get("severity", ""),
        title=message.split("\n", 1)[0][:1024] or name,
        content=message,
        # ruleId 0 is the test button: it is shown and never healed.
        target=_target(matches) if rule != "0" else Target(),
        labels=labels,
        context={"evalMatches": [_value(match) for match in matches[:20]]},
        links={"rule": link} if link.startswith(("http://", "https://")) else {},
    )
    return Parsed(alerts=[alert])


def _host_of(link: str) -> str:
    try:
        return urlsplit(link).netloc.casefold()
    except ValueError:
        return ""


def _labels(body: Mapping[str, Any], matches: list[dict[str, Any]]) -> dict[str, str]:
    labels = clean_labels(body.get("tags") or {}, "tags")
    if matches:
        labels = {"metric": clean(matches[0].get("metric"), 255), **labels}
    return labels


def _value(match: Mapping[str, Any]) -> dict[str, str]:
    return {"metric": clean(match.get("metric"), 255), "value": clean(match.get("value"), 64)}


def _target(matches: list[dict[str, Any]]) -> Target:
    """Take the target of the series when all of them name the same one; a rule over several hosts has none."""
    found = {
        target_from_labels({clean(k, 255): clean(v, 255) for k, v in match["tags"].items()})
        for match in matches
        if isinstance(match.get("tags"), dict)
    }
    return found.pop() if len(found) == 1 else Target()
