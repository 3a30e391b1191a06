"""Runs the stand-in for the WeCom server in the foreground."""

import json
import os
import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from wechat.crypto import CallbackRefused
from wechat.simulator.config import MEMBERS, App, Config, DemoAlert, GroupChat, Member
from wechat.simulator.server import make_server
from wechat.simulator.world import World


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs of "key:name,key:name"; a key alone is its own name."""
    parts = [part.strip().partition(":") for part in text.split(",") if part.strip()]
    return [(key, name or key) for key, _colon, name in parts]


class Command(BaseCommand):
    """Serve the WeCom API, the phone page and the hooks for tests."""

    help = "Run a stand-in for the WeCom server, with a phone page at /."
    # It must start although the portal beside it is misconfigured or has no database yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; the secrets come from the environment by default."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8001)
        parser.add_argument("--callback-url", default="", help="the portal's entry, …/wechat/entry/")
        parser.add_argument("--corp-id", default=os.environ.get("WECOM_CORP_ID") or Config.corp_id)
        parser.add_argument("--agent-id", type=int, default=App.agent_id)
        parser.add_argument("--secret", default=os.environ.get("WECOM_SECRET", ""))
        parser.add_argument("--token", default=os.environ.get("WECOM_TOKEN", ""))
        parser.add_argument("--aes-key", default=os.environ.get("WECOM_AES_KEY", ""))
        parser.add_argument("--members", default="", help="userid:name,userid:name")
        parser.add_argument("--robots", default="demo1:值班一群,demo2:值班二群", help="key:name,key:name")
        parser.add_argument("--chat", action="append", default=[], help="chatid:name:userid,userid (the first owns it)")
        parser.add_argument("--menu-url", default="", help="publish a menu with 审批列表 that leads there")
        parser.add_argument("--demo-alert", action="append", default=[], help='{"label", "url", "headers", "json"}')

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGINT or SIGTERM."""
        world = World(configuration(options))
        server = make_server(world, options["host"], options["port"])
        address = f"http://{options['host']}:{server.server_address[1]}"
        self.stdout.write(f"WeCom simulator: {address}/  API base: {address}/cgi-bin/")
        self.stdout.flush()

        def end(_signal: int, _frame: FrameType | None) -> None:
            # shutdown() waits for the loop, which runs in this very thread.
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        server.serve_forever(0.2)
        server.server_close()


def configuration(options: dict[str, Any]) -> Config:
    """Return the corp that the options describe. Raises CommandError for a missing or malformed secret."""
    app = App(options["agent_id"], options["secret"], options["token"], options["aes_key"], options["callback_url"])
    for name, value in (("WECOM_SECRET", app.secret), ("WECOM_TOKEN", app.token), ("WECOM_AES_KEY", app.aes_key)):
        if not value:
            raise CommandError(f"{name} is not set")
    people = tuple(Member(userid, name) for userid, name in pairs(options["members"])) or MEMBERS
    menu = ({"type": "view", "name": "审批列表", "url": options["menu_url"]},) if options["menu_url"] else ()
    config = Config(
        apps=(app,),
        corp_id=options["corp_id"],
        members=people,
        robots=dict(pairs(options["robots"])),
        chats=tuple(_chat(text) for text in options["chat"]),
        menu=menu,
        demo_alerts=tuple(_alert(text) for text in options["demo_alert"]),
    )
    try:
        World(config).crypto(app)
    except CallbackRefused as refused:
        raise CommandError(f"WECOM_AES_KEY: {refused.reason}") from refused
    return config


def _chat(text: str) -> GroupChat:
    chat_id, name, people = text.split(":", 2)
    members = tuple(people.split(","))
    return GroupChat(chat_id, name, members[0], members)


def _alert(text: str) -> DemoAlert:
    given = json.loads(text)
    body = json.dumps(given["json"], ensure_ascii=False)
    return DemoAlert(given.get("label") or "发一条示例告警", given["url"], body, given.get("headers", {}))
