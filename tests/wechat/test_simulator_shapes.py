"""The simulator refuses what has another type by a code, as the WeCom server does; nothing answers 500."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.wechat.simulated import APP, BUTTONS, OTHER, Client
from wechat.simulator.config import Config
from wechat.simulator.server import start
from wechat.simulator.world import World

ODD: list[Any] = [None, 1, "\ud800", [], {}, [1], [{}]]
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "重启", "desc": "一台"},
    "source": {"desc": "自愈"},
    "horizontal_content_list": [{"keyname": "主机", "value": "a", "type": 1, "url": "https://fta.example/"}],
    "jump_list": [{"type": 1, "title": "详情", "url": "https://fta.example/"}],
    "card_action": {"type": 1, "url": "https://fta.example/"},
    "action_menu": {"desc": "更多", "action_list": [{"text": "停止", "key": "stop"}]},
    "task_id": "t1",
    "button_list": BUTTONS,
}
TO = {"touser": "lisi", "agentid": 1000002, "enable_duplicate_check": 1, "duplicate_check_interval": 600}
NEWS = {
    "articles": [
        {"title": "图", "description": "一张", "url": "https://fta.example/", "picurl": "https://fta.example/"}
    ]
}
UPDATE = {"userids": ["lisi"], "agentid": 1000002, "response_code": "x", "button": {"replace_name": "已同意"}}
CHAT = {"name": "值班群", "owner": "lisi", "userlist": ["lisi", "wangwu"], "chatid": "duty"}
MENU = {
    "button": [{"name": "自愈", "sub_button": [{"type": "view", "name": "审批列表", "url": "https://fta.example/"}]}]
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("message/send", TO | {"msgtype": "text", "text": {"content": "你好"}}),
    ("message/send", TO | {"msgtype": "markdown", "markdown": {"content": "**你好**"}}),
    ("message/send", TO | {"msgtype": "textcard", "textcard": NEWS["articles"][0]}),
    ("message/send", TO | {"msgtype": "news", "news": NEWS}),
    ("message/send", TO | {"msgtype": "template_card", "template_card": CARD}),
    ("message/update_template_card", UPDATE),
    ("message/recall", {"msgid": "sim-1"}),
    ("webhook/send", {"msgtype": "text", "text": {"content": "你好", "mentioned_list": ["lisi"]}}),
    ("webhook/send", {"msgtype": "image", "image": {"base64": "YQ==", "md5": "x"}}),
    ("appchat/create", CHAT),
    ("appchat/update", {"chatid": "duty", "name": "群", "add_user_list": ["zhaoliu"], "del_user_list": ["lisi"]}),
    ("appchat/send", {"chatid": "duty", "msgtype": "text", "text": {"content": "你好"}}),
    ("menu/create", MENU),
]  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    address, stop = start(World(Config(apps=(APP, OTHER))))
    yield address
    stop()


def variants(value: Any) -> Iterator[Any]:
    """Yield copies of a JSON value in which one part, at any depth, is something odd."""
    yield from ODD
    for key in list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
        for odd in variants(value[key]):
            changed = copy.copy(value)
            changed[key] = odd
            yield changed


@pytest.mark.parametrize(("name", "body"), CALLS, ids=[f"{name}-{body.get('msgtype', '')}" for name, body in CALLS])
def test_it_answers_every_odd_body_with_a_code(base: str, name: str, body: dict[str, Any]) -> None:
    client = Client(base)
    query = {"access_token": client.token, "key": "robot", "agentid": "1000002"}
    with requests.Session() as session:
        for odd in variants(body):
            answer = session.post(f"{base}/cgi-bin/{name}", json=odd, params=query, timeout=5)
            assert (answer.status_code, type(answer.json()["errcode"])) == (200, int), odd


@pytest.mark.parametrize("path", ["say", "tap", "menu-click", "enter", "fault", "check"])
def test_its_hooks_refuse_odd_bodies(base: str, path: str) -> None:
    body = {
        "userid": "lisi",
        "text": "你好",
        "task_id": "t1",
        "key": "TY:1",
        "agentid": 1000002,
        "selected": {"q": ["1"]},
    }
    with requests.Session() as session:
        for odd in variants(body):
            answer = session.post(f"{base}/sim/{path}", json=odd, timeout=5)
            assert answer.status_code in (200, 400), odd


def test_it_names_the_field(base: str) -> None:
    answer = Client(base).post("message/send", CALLS[3][1] | {"news": {"articles": "none"}})
    assert (answer["errcode"], answer["errmsg"].split(",")[0]) == (
        40058,
        "articles has a wrong type. invalid Request Parameter",
    )
