"""Alertmanager's samples, each read as an operator would expect."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fta.intake.sources.alertmanager import Alertmanager
from fta.intake.sources.base import ParsedAlert, RawRequest, Rejected, SourceInfo, zone_of

PAYLOADS = Path(__file__).parents[2] / "payloads"
EXPECTED: list[dict[str, Any]] = json.loads((PAYLOADS / "expected_alertmanager.json").read_text(encoding="utf-8"))
# The samples' notes speak of "major"; the portal's word for it is "error".
SEVERITY = {"major": "error", None: ""}


def parse(body: bytes) -> list[ParsedAlert]:
    source = SourceInfo("prometheus", zone_of(""))
    return Alertmanager().parse(RawRequest(body), source).alerts


def when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def close(a: datetime | None, b: datetime | None) -> bool:
    return a == b or (a is not None and b is not None and abs(a - b) < timedelta(seconds=1))


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: Path(case["file"]).stem)
def test_it_reads_the_sample(case: dict[str, Any]) -> None:
    alerts = parse((PAYLOADS / case["file"]).read_bytes())
    assert len(alerts) == len(case["alerts"])
    for alert, wanted in zip(alerts, case["alerts"], strict=True):
        assert alert.alert_type == wanted["alarm_type"]
        assert alert.status == wanted["status"]
        assert alert.external_id == (wanted["external_id"] or "")
        assert alert.severity == SEVERITY.get(wanted["severity"], wanted["severity"])
        assert alert.severity_raw == (wanted["severity_raw"] or "")
        assert alert.title == wanted["summary"]
        target = wanted["target"]
        assert alert.target.kind == target["kind"]
        assert alert.target.ip == (target["ip"] or "")
        if alert.target.kind == "host":
            assert alert.target.name == (target["host"] or "")
        assert close(alert.starts_at, when(wanted["starts_at"]))
        assert close(alert.ends_at, when(wanted["ends_at"]))
        assert wanted["labels"].items() <= dict(alert.labels).items()
        assert alert.business == (wanted.get("business") or "")


def test_it_gives_firing_and_resolved_the_same_key() -> None:
    by_name = {case["file"]: parse((PAYLOADS / case["file"]).read_bytes()) for case in EXPECTED}
    pairs = 0
    for case in EXPECTED:
        for index, wanted in enumerate(case["alerts"]):
            if "pair_with" in wanted:
                file, _, position = wanted["pair_with"].partition("#")
                assert by_name[case["file"]][index].fingerprint == by_name[file][int(position)].fingerprint
                pairs += 1
    assert pairs >= 2


def test_it_loses_only_the_bad_member_of_a_group() -> None:
    body = json.loads((PAYLOADS / "alertmanager/group_50.json").read_bytes())
    body["alerts"][7]["labels"] = "not an object"
    parsed = Alertmanager().parse(RawRequest(json.dumps(body).encode()), SourceInfo("am", UTC))
    assert len(parsed.alerts) == 49
    assert parsed.problems == [("alerts[7]", "alerts[7].labels must be an object of strings.")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"[]", "no list `alerts`"),
        (b"null", "no list `alerts`"),
        (b'{"alerts": []}', "is empty"),
        (b'{"alerts": {}}', "must be a list"),
        (b'{"alerts": [{"labels": {}}]}', "alertname is missing"),
        (b'{"status": "odd", "alerts": [{"labels": {"alertname": "x"}}]}', "status"),
        (b'{"alerts": ' + b"[" * 100_000, "JSON"),
        (b'{"alerts": ' + b"[" * 60 + b"]" * 60 + b"}", "nests deeper"),
        (b'{"alerts": [{"labels": {"alertname": "x"}, "v": NaN}]}', "NaN"),
        (b'{"alerts": [' + b"1" * 5000 + b"]}", "acceptable JSON"),
        (b"\xff\xfe{}", "UTF-8"),
    ],
)
def test_it_rejects_what_it_cannot_read(body: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        parse(body)
