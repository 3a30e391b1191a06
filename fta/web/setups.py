"""What to paste at the sender of each kind of source, with this portal's own address in it.

The secret is stored as a digest and cannot be shown: the texts hold a placeholder for it.
"""

import json
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from fta.lib.links import absolute
from fta.models import Source

SECRET = "<SECRET>"  # noqa: S105 - a placeholder


@dataclass(frozen=True)
class Block:
    """One text to paste, and where."""

    where: str
    text: str


@dataclass(frozen=True)
class Setup:
    """Where a sender sends, and what to paste."""

    url: str
    url_with_secret: str
    blocks: list[Block]


def setup_of(source: Source, origin: str) -> Setup:
    """Return the set-up of a source; `origin` is used when the portal does not know its own address."""
    url = _full(reverse("intake:intake", args=[source.kind]), origin)
    build = _BLOCKS.get(source.kind, _generic)
    return Setup(url, f"{url}/{SECRET}" if not url.endswith("/") else f"{url}{SECRET}/", build(source, url))


def _full(path: str, origin: str) -> str:
    known = absolute(path)
    return known if "://" in known else origin.rstrip("/") + path


def _curl(url: str, body: dict[str, str]) -> str:
    return (
        f"curl -sS -X POST {url} \\\n"
        f"  -H 'Authorization: Bearer {SECRET}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(body, ensure_ascii=False)}'"
    )


def _rest(source: Source, url: str) -> list[Block]:
    body = {
        "source_id": "demo-1",
        "alert_type": "disk_full",
        "ip": "127.0.0.10",
        "level": "error",
        "content": "/data 96%",
    }
    resolved = {**body, "status": "resolved"}
    return [Block(_("发一条告警"), _curl(url, body)), Block(_("同一条恢复"), _curl(url, resolved))]


def _alertmanager(source: Source, url: str) -> list[Block]:
    text = (
        "route:\n"
        "  receiver: fta\n"
        "  group_wait: 10s\n"
        "receivers:\n"
        "  - name: fta\n"
        "    webhook_configs:\n"
        f"      - url: {url}\n"
        "        send_resolved: true\n"
        "        max_alerts: 0\n"
        "        http_config:\n"
        "          authorization:\n"
        "            type: Bearer\n"
        f"            credentials: {SECRET}\n"
    )
    return [Block(_("alertmanager.yml，改完后重载"), text)]


def _grafana(source: Source, url: str) -> list[Block]:
    text = (
        "apiVersion: 1\n"
        "contactPoints:\n"
        "  - orgId: 1\n"
        "    name: fta\n"
        "    receivers:\n"
        f"      - uid: fta-{source.pk}\n"
        "        type: webhook\n"
        "        settings:\n"
        f"          url: {url}\n"
        "          httpMethod: POST\n"
        "          authorization_scheme: Bearer\n"
        f"          authorization_credentials: {SECRET}\n"
    )
    return [Block(_("provisioning/alerting/fta.yaml，或在联络点页面照填"), text)]


def _generic(source: Source, url: str) -> list[Block]:
    lines = f"URL: {url}\nMethod: POST\nContent-Type: application/json\nAuthorization: Bearer {SECRET}\n"
    return [
        Block(_("在发送方的 Webhook 里填"), lines),
        Block(_("发送方不能设请求头时，把密钥写进地址"), f"{url.rstrip('/')}/{SECRET}"),
    ]


_BLOCKS = {"rest": _rest, "alertmanager": _alertmanager, "grafana": _grafana}
