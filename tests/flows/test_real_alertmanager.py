"""A real Alertmanager posts firing and resolved groups to the portal."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.conftest import skip_or_fail
from tests.database import SECRETS, reachable
from tests.stage import Stage, free_port

pytestmark = [pytest.mark.alertmanager, pytest.mark.timeout(120)]

CONFIG = """
route: {{receiver: portal, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: portal
    webhook_configs:
      - url: {base}/intake/alertmanager/
        send_resolved: true
        http_config: {{authorization: {{credentials: {secret}}}}}
    wechat_configs:
      - api_url: {base}/wecom/cgi-bin
        corp_id: portal
        agent_id: "7"
        api_secret: {client}
        to_user: " zhaoliu | wangwu "
        to_party: "2"
        message: '{{{{ range .Alerts }}}}**{{{{ .Status }}}}** {{{{ .Annotations.summary }}}}{{{{ end }}}}'
        message_type: markdown
        send_resolved: true
"""
CLIENT = "alertmanager-own-secret-01"
GATEWAY = {
    "version": 1,
    "gateway": {"clients": [{"name": "alertmanager", "corp_id": "portal", "agent_id": 7, "secret": CLIENT}]},
}


class Alertmanager:
    def __init__(self, folder: Path, base: str) -> None:
        config = folder / "alertmanager.yml"
        config.write_text(
            CONFIG.format(base=base, secret=SECRETS["FTA_SOURCE_SECRET"], client=CLIENT), encoding="utf-8"
        )
        self.port = free_port()
        self.child = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={config}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--cluster.listen-address=",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def post(self, *alerts: dict[str, Any]) -> None:
        answer = requests.post(f"http://127.0.0.1:{self.port}/api/v2/alerts", json=list(alerts), timeout=5)
        assert answer.status_code == 200, answer.text


def test_it_takes_firing_and_resolved_groups(embedded: Stage, tmp_path: Path) -> None:
    if shutil.which("prometheus-alertmanager") is None:
        skip_or_fail("alertmanager", "prometheus-alertmanager is not installed")
    stage = embedded
    clients = tmp_path / "gateway.yaml"
    clients.write_text(yaml.safe_dump(GATEWAY), encoding="utf-8")
    stage.manage("apply_config", str(clients))
    alertmanager = Alertmanager(tmp_path, stage.base)
    try:
        stage.wait(lambda: reachable(f"http://127.0.0.1:{alertmanager.port}"), "Alertmanager to answer")
        started = datetime.now(UTC) - timedelta(minutes=1)
        hosts = ("127.0.0.40", "127.0.0.41")
        alerts = [
            {
                "labels": {"alertname": "disk_almost_full", "instance": f"{ip}:9100", "severity": "warning"},
                "annotations": {"summary": f"{ip} 磁盘将满"},
                "startsAt": started.isoformat(),
            }
            for ip in hosts
        ]
        alertmanager.post(*alerts)

        def firing() -> list[dict[str, Any]]:
            rows = stage.api("alerts/?source=prometheus&status=firing")["results"]
            return rows if len(rows) == 2 else []

        rows = stage.wait(firing, "both alerts to fire")
        assert {row["target"] for row in rows} == set(hosts)
        assert {(row["alert_type"], row["severity"], row["business"]) for row in rows} == {
            ("disk_almost_full", "warning", "game")
        }
        assert all(row["execution"] for row in rows)

        ended = {**alerts[0], "endsAt": datetime.now(UTC).isoformat()}
        alertmanager.post(ended)

        def resolved() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = stage.api("alerts/?source=prometheus&status=resolved")["results"]
            return found

        (row,) = stage.wait(resolved, "one alert to resolve")
        assert (row["target"], row["status"]) == ("127.0.0.40", "resolved")
        assert row["resolved_at"]

        # The same Alertmanager tells people through the portal's gateway, which it takes for WeCom.
        stage.wait(
            lambda: any("**firing** 127.0.0.4" in text for text in stage.texts("zhaoliu")), "zhaoliu to hear", 30
        )
        stage.wait(
            lambda: any("**resolved** 127.0.0.40" in text for text in stage.texts("wangwu")), "the end to be told"
        )
    finally:
        alertmanager.child.terminate()
        alertmanager.child.wait(10)
