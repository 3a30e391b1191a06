"""No field of any source, whatever type its value has, is answered otherwise than with alerts or a refusal by name."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from fta.intake.sources import PARSERS
from fta.intake.sources.base import ParsedAlert, RawRequest, Rejected, SourceInfo
from fta.intake.sources.grafana import Said, said
from fta.models import Inbox
from tests import factories

PAYLOADS = Path(__file__).parents[2] / "payloads"
INFO = SourceInfo("any", ZoneInfo("Asia/Shanghai"))
ODD: list[Any] = [
    None, True, 0, -5, 10**30, 1.5, float("inf"), "", " ", "\x00", "\ud800", "1e999", "9" * 400,
    "http://[", "http://[::1", "[", "]:", "://", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00",
    [], [5], [None], [[]], [{}], {}, {"a": 5}, {"a": None}, {"": {"b": []}}, {"instance": "http://["},
    [{"tags": 5, "metric": []}], [{"tags": {"instance": ["x"]}}], [{"labels": 5}],
]  # fmt: skip
REST = {
    "source_id": "1", "ip": "10.0.0.1", "alarm_type": "disk", "alarm_content": "满", "level": 1, "status": "firing",
    "source_time": "2026-01-02 03:04:05", "title": "t", "labels": {"a": "b"}, "alarm_context": {"a": [1]}, "format": "base64",
}  # fmt: skip


def samples() -> Iterator[tuple[str, Any]]:
    yield "rest", REST
    yield "alertmanager", json.loads((PAYLOADS / "alertmanager/firing_two_instances.json").read_bytes())
    yield "grafana", json.loads((PAYLOADS / "grafana_unified/v9_mixed.json").read_bytes())
    yield "grafana", json.loads((PAYLOADS / "grafana_legacy/alerting_image_url.json").read_bytes())


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a body, itself included; of a list only to the first."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def changed(body: Any, path: tuple[Any, ...], value: Any) -> bytes:
    made = copy.deepcopy({"": body})
    *before, last = ("", *path)
    inner: Any = made
    for key in before:
        inner = inner[key]
    inner[last] = value
    return json.dumps(made[""]).replace("Infinity", "1e999").encode()


@pytest.mark.parametrize(("kind", "body"), list(samples()))
def test_it_reads_or_refuses_whatever_a_field_holds(kind: str, body: Any) -> None:
    bodies = [changed(body, path, value) for path in places(body) for value in ODD]
    bodies += [changed(body, (name,), value) for name in ("imageUrl", "alerts", "evalMatches", "tags") for value in ODD]
    for raw in bodies if isinstance(body, dict) else ():
        with suppress(Rejected):
            assert all(isinstance(alert, ParsedAlert) for alert in PARSERS[kind].parse(RawRequest(raw), INFO).alerts)
        with suppress(Rejected):
            assert isinstance(said(raw), Said)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("odd", "status"),
    [({"evalMatches": 5}, 202), ({"evalMatches": {"a": 1}}, 202), ({"tags": 5}, 400), ({"alerts": 5}, 400), ({"state": {}}, 400)],
)  # fmt: skip
def test_send_sms_answers_odd_types_by_name(client: Client, odd: dict[str, Any], status: int) -> None:
    factories.source("grafana", kind="grafana", secret="grafana-secret-0123456789")
    body = {"ruleId": 1, "ruleName": "x", "state": "alerting", **odd}
    answer = client.post("/api/model/send_sms/?secret=grafana-secret-0123456789", json.dumps(body), "application/json")
    assert answer.status_code == status
    assert Inbox.objects.get().state == ("new" if status == 202 else "rejected")
