"""The application's menu in WeCom (page 90231)."""

from datetime import datetime
from typing import Any

from django.urls import reverse

from fta import audit
from fta.lib import links
from wechat.client import Client
from wechat.models import WecomApp

PENDING = "PENDING"


class NoAddress(Exception):
    """Where members reach the portal is not configured, so that the menu would lead nowhere."""


def menu_of() -> dict[str, Any]:
    """Return the menu: the list of approvals, and two buttons that are answered in the conversation."""
    return {
        "button": [
            {"type": "view", "name": "审批列表", "url": links.absolute(reverse("wechat:todo"))},
            {
                "name": "更多",
                "sub_button": [
                    {"type": "click", "name": "待办", "key": PENDING},
                    {"type": "click", "name": "帮助", "key": "HELP"},
                ],
            },
        ]
    }


def publish(app: WecomApp, actor: str, now: datetime) -> None:
    """Replace the menu in WeCom; members see it within five minutes. Raises NoAddress and what the client raises."""
    menu = menu_of()
    if not menu["button"][0]["url"].startswith(("http://", "https://")):
        raise NoAddress
    Client(app).menu_create(menu)
    WecomApp.objects.filter(pk=app.pk).update(menu_published_at=now)
    audit.record(actor, "wechat.menu_publish", app, now)
