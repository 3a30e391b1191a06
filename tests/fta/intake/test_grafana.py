"""Grafana's samples of both formats, each read as an operator would expect."""

import json
from pathlib import Path
from typing import Any

import pytest

from fta.intake.sources.base import ParsedAlert, RawRequest, Rejected, SourceInfo, zone_of
from fta.intake.sources.grafana import Grafana
from tests.fta.intake.samples import PAYLOADS, assert_read_as, expected

EXPECTED = expected("grafana")


def parse(body: bytes) -> list[ParsedAlert]:
    return Grafana().parse(RawRequest(body), SourceInfo("grafana", zone_of(""))).alerts


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: Path(case["file"]).stem)
def test_it_reads_the_sample(case: dict[str, Any]) -> None:
    alerts = parse((PAYLOADS / case["file"]).read_bytes())
    assert len(alerts) == len(case["alerts"])
    for alert, wanted in zip(alerts, case["alerts"], strict=True):
        assert_read_as(alert, wanted)


def test_it_gives_ok_the_key_of_alerting() -> None:
    keys = {
        parse((PAYLOADS / f"grafana_legacy/{name}.json").read_bytes())[0].fingerprint
        for name in ("ok", "alerting_instance_tag")
    }
    assert len(keys) == 1


def test_it_never_calls_missing_data_firing() -> None:
    body = {"status": "firing", "alerts": [{"labels": {"alertname": "DatasourceNoData", "rulename": "CPU"}}]}
    (alert,) = parse(json.dumps(body).encode())
    assert (alert.alert_type, alert.status) == ("CPU", "no_data")


def test_it_takes_no_alert_from_a_paused_rule() -> None:
    assert parse(b'{"ruleId": 3, "ruleName": "x", "state": "paused"}') == []


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"ruleId": 1, "state": "odd", "ruleName": "x"}', b'{"ruleId": 1, "state": "ok"}']
)
def test_it_rejects_what_is_no_webhook(body: bytes) -> None:
    with pytest.raises(Rejected):
        parse(body)
