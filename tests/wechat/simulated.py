"""A simulated corp for tests: two applications, a clock that tests move, and a caller of the API."""

from typing import Any

import requests

from tests.wechat.entry_stub import AES_KEY, CORP, SECRET, TOKEN
from wechat.simulator.config import App
from wechat.simulator.world import World

APP = App(secret=SECRET, token=TOKEN, aes_key=AES_KEY, callback_url="http://127.0.0.1:9/entry/")
OTHER = App(agent_id=1000003, secret="other-secret", root_visible=False)
BUTTONS: list[dict[str, Any]] = [
    {"text": "同意", "style": 1, "key": "TY:1"},
    {"text": "驳回", "style": 2, "key": "BH:1"},
]


class Clock:
    """A clock that tests move."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """A caller of the API that holds its token."""

    def __init__(self, base: str, secret: str = SECRET) -> None:
        self.base = base
        self.token = self.get("gettoken", corpid=CORP, corpsecret=secret).get("access_token", "")

    def get(self, name: str, **query: str) -> dict[str, Any]:
        response = requests.get(f"{self.base}/cgi-bin/{name}", params=query, timeout=5)
        assert response.status_code == 200
        answer: dict[str, Any] = response.json()
        return answer

    def read(self, name: str, **query: str) -> dict[str, Any]:
        return self.get(name, access_token=self.token, **query)

    def post(self, name: str, body: object, **query: str) -> dict[str, Any]:
        params = {"access_token": self.token, **query}
        answer: dict[str, Any] = requests.post(
            f"{self.base}/cgi-bin/{name}", json=body, params=params, timeout=5
        ).json()
        return answer

    def text(self, content: str = "你好", **more: Any) -> dict[str, Any]:
        message = {"touser": "lisi", "agentid": 1000002, "msgtype": "text", "text": {"content": content}}
        return self.post("message/send", message | more)

    def card(self, task_id: str = "t1", touser: str = "lisi|wangwu", **more: Any) -> dict[str, Any]:
        card: dict[str, Any] = {"card_type": "button_interaction", "main_title": {"title": "重启"}}
        card |= {"task_id": task_id, "button_list": BUTTONS, **more}
        body = {"touser": touser, "agentid": 1000002, "msgtype": "template_card", "template_card": card}
        return self.post("message/send", body)


def texts(world: World, userid: str) -> list[str]:
    return [bubble.body["content"] for bubble in world.inboxes[userid]]
