"""The facts of an occasion as plain data: all that a template can see."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.convergence.dimensions import LABELS
from fta.lib.links import absolute
from fta.models import Alert, Business, Execution, Host, Incident
from fta.templatetags.moments import span_text

_SHOWN = 5  # values of one list
_MOST_SHARED = 20  # the page of the incident has all
_CLIPPED = 60  # characters of a shared value: a label may hold a thousand


@dataclass(frozen=True)
class Occasion:
    """Something to tell. `key` names it once and for all: two tellings of one occasion have the same key."""

    event: str
    key: str
    alert: Alert | None = None
    execution: Execution | None = None
    incident: Incident | None = None
    approval: Any = None  # of the floor above, so known by its columns only
    text: str = ""
    lines: tuple[str, ...] = ()
    business: Business | None = None  # where nothing above says whose it is


def facts(occasion: Occasion, now: datetime) -> dict[str, Any]:
    """Return what the templates may use; every part is there, empty when the occasion has none of it."""
    return {
        "event": occasion.event,
        "now": _moment(now),
        "url": link(occasion),
        "text": occasion.text,
        "lines": list(occasion.lines),
        "alert": _alert(occasion.alert, now),
        "execution": _execution(occasion.execution),
        "incident": _incident(occasion.incident, now),
        "approval": _approval(occasion.approval, now),
    }


def link(occasion: Occasion) -> str:
    """Return where the occasion can be read in full; '' when there is no such page."""
    for name, thing in (
        ("approvals:detail", occasion.approval),
        ("web:incident", occasion.incident),
        ("web:execution", occasion.execution),
        ("web:alert", occasion.alert),
    ):
        if thing is not None:
            try:
                return absolute(reverse(name, args=[thing.pk]))
            except NoReverseMatch:
                continue
    return ""


def _alert(alert: Alert | None, now: datetime) -> dict[str, Any]:
    if alert is None:
        names = (
            "id",
            "type",
            "severity",
            "status",
            "target",
            "host",
            "business",
            "title",
            "content",
            "source",
            "at",
            "resolved_at",
            "span",
        )
        return dict.fromkeys(names, "") | {"labels": {}, "repeats": 0}
    began = alert.starts_at or alert.received_at
    return {
        "id": alert.pk,
        "type": alert.alert_type,
        "severity": str(alert.get_severity_display()),
        "status": str(alert.get_status_display()),
        "target": _target(alert),
        "host": str(alert.host or ""),
        "business": str(alert.business or ""),
        "title": alert.title,
        "content": alert.content,
        "source": alert.source.name,
        "labels": {str(name): str(value) for name, value in (alert.labels or {}).items()},
        "at": _moment(began),
        "resolved_at": _moment(alert.resolved_at) if alert.resolved_at else "",
        "span": span_text((alert.resolved_at or now) - began),
        "repeats": alert.repeat_count,
    }


def _target(alert: Alert) -> str:
    """Return name and address of the host, or what the alert calls its target."""
    host = alert.host
    if host is None:
        return alert.target or _("（无对象）")
    return _host(host)


def _host(host: Host) -> str:
    if not host.name or host.name == host.ip:
        return host.ip
    return _("%(name)s（%(ip)s）") % {"name": host.name, "ip": host.ip}


def _execution(run: Execution | None) -> dict[str, Any]:
    if run is None:
        return dict.fromkeys(("id", "package", "state", "rule", "host", "business", "reason", "mode", "span", "at"), "")
    ended = run.ended_at and run.started_at
    return {
        "id": run.pk,
        "package": str(run.package.name if run.package else _("（无套餐）")),
        "state": str(run.get_state_display()),
        "rule": str(run.rule or ""),
        "host": _host(run.host) if run.host else "",
        "business": str(run.business or ""),
        "reason": run.reason,
        "mode": str(run.get_mode_display()),
        "span": span_text(run.ended_at - run.started_at) if ended and run.ended_at and run.started_at else "",
        "at": _moment(run.ended_at or run.started_at or run.received_at),
    }


def _incident(incident: Incident | None, now: datetime) -> dict[str, Any]:
    if incident is None:
        names = ("id", "title", "rule", "business", "span", "types", "hosts", "businesses", "shared")
        return dict.fromkeys(names, "") | {"count": 0, "host_count": 0, "analysed": False}
    hosts = _counted(incident, "execution__host__ip", "execution__alert__target")  # a host that is not registered too
    first = incident.members.aggregate(at=Min("received_at"))["at"] or incident.opened_at
    return {
        "id": incident.pk,
        "title": incident.title or " ".join(str(value) for value in incident.dimensions.values()),
        "rule": str(incident.rule),
        "business": str(incident.business or ""),
        "count": max(incident.execution_count, incident.members.count()),
        "types": _listed([f"{name} {n}" for name, n in _counted(incident, "execution__alert_type")]),
        "businesses": _listed([name for name, _n in _counted(incident, "execution__business__name")]),
        "hosts": _listed([name for name, _n in hosts]),
        "host_count": len(hosts),
        "span": span_text(incident.last_joined_at - first),
        "analysed": "shared" in incident.findings,
        "shared": _("、").join(map(_shared, sorted(incident.findings.get("shared", []), key=_is_plain)[:_MOST_SHARED])),
    }


def _counted(incident: Incident, field: str, instead: str = "") -> list[tuple[str, int]]:
    """Return the values of a field of the incident's executions, the most frequent first; `instead` stands in where it is empty."""
    fields = [field, instead] if instead else [field]
    counts: Counter[str] = Counter()
    for *values, n in incident.members.order_by().values_list(*fields).annotate(n=Count("pk")):
        counts[next((str(value) for value in values if value), "")] += n
    return sorted(((value, n) for value, n in counts.items() if value), key=lambda item: (-item[1], item[0]))


def _listed(values: list[str]) -> str:
    shown = _("、").join(values[:_SHOWN])
    return _("%(values)s 等") % {"values": shown} if len(values) > _SHOWN else shown


def _is_plain(item: dict[str, Any]) -> bool:
    """Tell whether what alerts share says little of a cause: labels and places of the inventory come before it."""
    return not str(item["name"]).startswith("label:") and item["name"] not in ("host", "set", "module", "business")


def _shared(item: dict[str, Any]) -> str:
    """Return what alerts have in common as words: `集群 s1（75%）`."""
    name = str(item["name"])
    label = name.startswith("label:")
    word = _("标签 %s") % name.removeprefix("label:") if label else str(LABELS.get(name, name))
    share = {"word": word, "value": _clip(str(item["value"])), "share": round(item["share"] * 100)}
    return _("%(word)s %(value)s（%(share)d%%）") % share


def _clip(value: str) -> str:
    return value if len(value) <= _CLIPPED else f"{value[: _CLIPPED - 1]}…"


def _approval(approval: Any, now: datetime) -> dict[str, Any]:
    if approval is None:
        return dict.fromkeys(("id", "code", "state", "message", "by", "comment", "expires_at", "left"), "")
    return {
        "id": approval.pk,
        "code": approval.code,
        "state": str(approval.get_state_display()),
        "message": approval.message,
        "by": _name(approval.decided_by),
        "comment": approval.comment,
        "expires_at": _moment(approval.expires_at),
        "left": span_text(approval.expires_at - now) if approval.expires_at > now else "",
    }


def _name(user: Any) -> str:
    return (user.get_full_name() or user.get_username()) if user else ""


def _moment(value: datetime) -> str:
    return timezone.localtime(value).strftime("%m-%d %H:%M:%S")
