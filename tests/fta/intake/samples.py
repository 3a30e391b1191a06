"""Compare what a parser read with what an operator would expect of a sample."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fta.intake.sources.base import ParsedAlert

PAYLOADS = Path(__file__).parents[2] / "payloads"
# The samples' notes speak of "major"; the portal's word for it is "error".
SEVERITY = {"major": "error", None: ""}
KIND = {"none": ""}


def expected(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((PAYLOADS / f"expected_{name}.json").read_text(encoding="utf-8"))
    return found


def _when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _close(a: datetime | None, b: datetime | None) -> bool:
    return a == b or (a is not None and b is not None and abs(a - b) < timedelta(seconds=1))


def assert_read_as(alert: ParsedAlert, wanted: dict[str, Any]) -> None:
    assert alert.alert_type == wanted["alarm_type"]
    assert alert.status == wanted["status"]
    assert alert.external_id == (wanted["external_id"] or "")
    assert alert.severity == SEVERITY.get(wanted["severity"], wanted["severity"])
    assert alert.severity_raw == (wanted["severity_raw"] or "")
    assert alert.title == wanted["summary"]
    target = wanted["target"]
    assert alert.target.kind == KIND.get(target["kind"], target["kind"])
    assert alert.target.ip == (target["ip"] or "")
    if alert.target.kind == "host":
        assert alert.target.name == (target["host"] or "")
    assert _close(alert.starts_at, _when(wanted["starts_at"]))
    assert _close(alert.ends_at, _when(wanted["ends_at"]))
    assert wanted["labels"].items() <= dict(alert.labels).items()
    assert alert.business == (wanted.get("business") or "")
