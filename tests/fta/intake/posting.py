"""What a monitoring tool sends by REST push, and a drain of what came in."""

import json
from typing import Any

from django.test import Client

from fta.engine.loop import Engine

SECRET = "source-secret-0123456789"


def body(**more: Any) -> dict[str, Any]:
    return {"source_id": "e-1", "alert_type": "disk_full", "ip": "127.0.0.10", "content": "/data 98%", **more}


def post(client: Client, data: Any, path: str = "/intake/rest/", **headers: str) -> Any:
    headers = headers or {"X-Secret": SECRET}
    raw = data if isinstance(data, (bytes, str)) else json.dumps(data)
    return client.post(path, raw, content_type="application/json", headers=headers)


def process() -> None:
    Engine(work=["inbox"]).drain()
