"""The portal under measurement: PostgreSQL, two web processes, and a configuration for the parts."""

from pathlib import Path
from typing import Any

import psycopg
import yaml

from tests.database import SECRETS
from tests.stage import Stage
from wechat.simulator import sending

HOSTS = 200
HEADERS = {"Content-Type": "application/json", "X-Secret": SECRETS["FTA_SOURCE_SECRET"]}
STORMS = 2  # alert types, so that each storm is an incident of its own
CONVERGES_AT = 20  # alerts


class BenchStage(Stage):
    """A stage whose corp has no limit a member: what is measured is the way, not the vendor's brake."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder, postgres=True, WEB_CONCURRENCY="2", LOG_LEVEL="WARNING")
        sending._within_limits = lambda *_: True

    def made(self) -> "BenchStage":
        """Migrate, make the administrator, then apply the configuration, which names that administrator as approver."""
        path = self.folder / "portal.yaml"
        path.write_text(yaml.safe_dump(_document(self), allow_unicode=True), encoding="utf-8")
        self.manage("migrate", "--verbosity", "0")
        self.manage("ensure_admin", "--username", "admin")
        self.manage("apply_config", str(path))
        return self

    def count(self, query: str) -> int:
        """Return the one number that a query finds in the portal's database."""
        with psycopg.connect(self.database.url) as link:
            row = link.execute(query).fetchone()
        return int(row[0]) if row else 0


def host(number: int) -> str:
    """Return the address of a registered host."""
    return f"127.0.2.{number % HOSTS + 1}"


def alert(alert_type: str, ip: str = "") -> str:
    """Return an alert in the REST form with @N@ in place of its number."""
    return (
        f'{{"source_id":"@N@","alert_type":"{alert_type}","ip":"{ip or host(0)}","level":"critical",'
        '"content":"bench-@N@- a disk is nearly full","labels":{"instance":"127.0.2.1"}}'
    )


def _document(stage: Stage) -> dict[str, Any]:
    params = {"method": "POST", "url": "${ENV:FTA_DEMO_HOOK}", "body": {"ip": "${ip}"}}
    node = {"id": 1, "name": "调用", "type": "http", "policy": "once", "params": params}
    storms = [f"bench_storm_{n}" for n in range(STORMS)]
    return {
        "version": 1,
        "businesses": [{"code": "game", "name": "游戏大区"}],
        "hosts": [{"ip": host(n), "name": f"bench-{n}", "business": "game", "module": "m"} for n in range(HOSTS)],
        "people": [{"username": "lisi", "wecom_userid": "lisi", "roles": ["operator"], "businesses": ["game"]}],
        "wecom": stage.wecom_section(),
        "sources": [{"name": "rest", "kind": "rest", "secret": SECRETS["FTA_SOURCE_SECRET"], "business": "game"}],
        "approval_policies": [{"name": "default", "stages": [{"approvers": [{"person": "admin"}]}]}],
        "packages": [{"key": "ask", "name": "ask", "risk": "high", "mode": "approval", "nodes": [node]}],
        "rules": [
            {"name": "ask", "match": {"alert_type": "bench_ask"}, "package": "ask"},
            {"name": "storm", "match": {"alert_type": {"prefix": "bench_storm_"}}},
        ],
        "convergence_rules": [
            {
                "name": "storm",
                "alert_types": storms,
                "window": "5m",
                "count": CONVERGES_AT,
                "dimensions": ["alert_type"],
                "function": "notify",
                "remark": "bench",
            }
        ],
        "channels": [{"name": "wecom", "kind": "wecom_app", "to_user": ["@all"]}],
        "notification_rules": [
            {"name": "one", "events": ["alert.firing"], "match": {"alert_type": "bench_told"}, "channels": ["wecom"]},
            {"name": "storm", "events": ["convergence.notice"], "channels": ["wecom"]},
        ],
    }
