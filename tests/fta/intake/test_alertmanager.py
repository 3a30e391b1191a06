"""Alertmanager's samples, each read as an operator would expect."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from fta.intake.sources.alertmanager import Alertmanager
from fta.intake.sources.base import ParsedAlert, RawRequest, Rejected, SourceInfo, zone_of
from tests.fta.intake.samples import PAYLOADS, assert_read_as, expected

EXPECTED = expected("alertmanager")


def parse(body: bytes) -> list[ParsedAlert]:
    source = SourceInfo("prometheus", zone_of(""))
    return Alertmanager().parse(RawRequest(body), source).alerts


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: Path(case["file"]).stem)
def test_it_reads_the_sample(case: dict[str, Any]) -> None:
    alerts = parse((PAYLOADS / case["file"]).read_bytes())
    assert len(alerts) == len(case["alerts"])
    for alert, wanted in zip(alerts, case["alerts"], strict=True):
        assert_read_as(alert, wanted)


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
