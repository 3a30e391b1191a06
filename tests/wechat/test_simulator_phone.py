"""The phone: what members do reaches the portal's entry encrypted, spoilt when told so, and shows on the page."""

import inspect
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fta.lib import http
from tests.wechat.entry_stub import AES_KEY, CORP, SECRET, TOKEN, Entry, serving
from wechat.simulator.config import App, Config, DemoAlert, GroupChat
from wechat.simulator.server import start
from wechat.simulator.world import World

BUTTONS = [{"text": "同意", "style": 1, "key": "TY:1"}, {"text": "详情", "type": 1, "url": "http://127.0.0.1:9/todo/"}]
CHOICE = {"question_key": "silence", "title": "静默", "option_list": [{"id": "1h", "text": "一小时"}]}
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "<b>重启</b> game-01"},
    "horizontal_content_list": [{"keyname": "主机", "value": "127.0.0.1"}],
    "button_selection": CHOICE,
    "button_list": BUTTONS,
    "task_id": "t1",
    "action_menu": {"desc": "更多", "action_list": [{"text": "静默", "key": "mute"}]},
}
OAUTH = f"https://open.weixin.qq.com/connect/oauth2/authorize?appid={CORP}&redirect_uri=http%3A%2F%2F127.0.0.1%2F"


@pytest.fixture
def entry() -> Iterator[Entry]:
    with serving() as stub:
        yield stub


@pytest.fixture
def world(entry: Entry) -> World:
    app = App(secret=SECRET, token=TOKEN, aes_key=AES_KEY, callback_url=entry.url)
    menu = ({"type": "view", "name": "审批列表", "url": OAUTH}, {"type": "click", "name": "待办数", "key": "PENDING"})
    chats = (GroupChat("FTAALERTS", "告警群", "lisi", ("lisi", "wangwu")),)
    alerts = (DemoAlert("发一条示例告警", entry.url, '{"a": 1}', {"X-Secret": "s"}),)
    return World(Config(apps=(app,), menu=menu, chats=chats, demo_alerts=alerts, callback_seconds=0.3))


@pytest.fixture
def base(world: World) -> Iterator[str]:
    address, stop = start(world)
    yield address
    stop()


def hook(base: str, name: str, **body: Any) -> dict[str, Any]:
    response = requests.post(f"{base}/sim/{name}", json=body, timeout=10)
    answer: dict[str, Any] = response.json()
    return answer | {"status": response.status_code}


def statuses(base: str, text: str = "TY 1_0") -> list[int]:
    return [attempt["status"] for attempt in hook(base, "say", userid="lisi", text=text)["attempts"]]


def send_card(base: str, world: World) -> dict[str, Any]:
    token = world.issue_token(world.config.apps[0]).value
    body = {"touser": "lisi|wangwu", "agentid": 1000002, "msgtype": "template_card", "template_card": CARD}
    answer: dict[str, Any] = requests.post(
        f"{base}/cgi-bin/message/send?access_token={token}", json=body, timeout=5
    ).json()
    assert answer["errcode"] == 0
    return answer


def page(base: str, **query: str) -> str:
    response = requests.get(f"{base}/", params=query, timeout=5)
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == "default-src 'self'"
    return response.text


def act(base: str, view: str, /, **form: str) -> requests.Response:
    return requests.post(f"{base}/page/{view}/", data=form, allow_redirects=False, timeout=10)


def test_it_pushes_a_text(base: str, world: World, entry: Entry) -> None:
    assert statuses(base, "TY 1_0 ]]> 好") == [200]
    message = entry.messages[0]
    assert (message.from_user, message.content, message.msg_type) == ("lisi", "TY 1_0 ]]> 好", "text")
    assert (message.to_user, message.agent_id, bool(message.msg_id)) == (CORP, "1000002", True)
    assert [(call.direction, call.result) for call in world.calls] == [("out", 200)]


def test_it_pushes_a_pressed_button_with_a_fresh_code(base: str, world: World, entry: Entry) -> None:
    sent = send_card(base, world)
    hook(base, "tap", userid="lisi", task_id="t1", key="TY:1", selected={"silence": ["1h"]})
    event = entry.messages[0]
    assert (event.event, event.event_key, event.task_id) == ("template_card_event", "TY:1", "t1")
    assert (event.card_type, event.selected) == ("button_interaction", {"silence": ["1h"]})
    assert event.response_code != sent["response_code"]
    token = world.issue_token(world.config.apps[0]).value
    update = {"userids": ["lisi"], "response_code": event.response_code, "button": {"replace_name": "已同意"}}
    url = f"{base}/cgi-bin/message/update_template_card?access_token={token}"
    assert requests.post(url, json=update, timeout=5).json()["errcode"] == 0
    assert hook(base, "tap", userid="lisi", task_id="t1", key="TY:1")["status"] == 400
    assert hook(base, "tap", userid="wangwu", task_id="t1", key="TY:1")["status"] == 200


def test_it_refuses_a_button_that_is_not_there(base: str, world: World, entry: Entry) -> None:
    send_card(base, world)
    assert hook(base, "tap", userid="lisi", task_id="t1", key="BH:1")["status"] == 400
    assert hook(base, "tap", userid="zhaoliu", task_id="t1", key="TY:1")["status"] == 400
    assert hook(base, "tap", userid="nobody", task_id="t1", key="TY:1")["status"] == 400
    assert entry.messages == []


def test_it_pushes_menu_clicks_and_entering(base: str, world: World, entry: Entry) -> None:
    send_card(base, world)
    hook(base, "tap", userid="lisi", task_id="t1", key="mute")
    hook(base, "menu-click", userid="lisi", key="PENDING")
    hook(base, "menu-click", userid="lisi", key=OAUTH)
    hook(base, "enter", userid="lisi")
    events = [(message.event, message.event_key) for message in entry.messages]
    assert events == [
        ("template_card_menu_event", "mute"),
        ("click", "PENDING"),
        ("view", OAUTH),
        ("enter_agent", ""),
    ]
    assert hook(base, "menu-click", userid="lisi", key="NONE")["status"] == 400


def test_it_tries_three_times(base: str, entry: Entry) -> None:
    entry.statuses = [500, 500]
    assert statuses(base) == [500, 500, 200]
    assert len({message.msg_id for message in entry.messages}) == 1
    entry.statuses = [500] * 9
    assert statuses(base) == [500] * 3


def test_it_gives_up_waiting(base: str, world: World, entry: Entry) -> None:
    entry.delay = threading.Event()
    assert statuses(base) == [0, 0, 0]
    entry.delay.set()
    assert [call.result for call in world.calls] == [-1, -1, -1]


def test_it_spoils_the_signature_and_the_corp(base: str, entry: Entry) -> None:
    hook(base, "fault", wrong_signature=True)
    assert statuses(base) == [403] * 3
    hook(base, "fault", wrong_signature=False, wrong_corp=True)
    assert statuses(base) == [403] * 3
    assert entry.refused == [-40001] * 3 + [-40005] * 3
    assert entry.messages == []


def test_it_delivers_copies_and_out_of_order(base: str, entry: Entry) -> None:
    hook(base, "fault", duplicate=True)
    assert statuses(base, "one") == [200] * 3
    assert len({message.msg_id for message in entry.messages}) == 1
    hook(base, "fault", duplicate=False, reorder=True)
    assert statuses(base, "two") == []
    assert statuses(base, "three") == [200]
    assert [message.content for message in entry.messages] == ["one"] * 3 + ["three", "two"]


def reply(entry: Entry, sender: str = CORP, receiver: str = "lisi", inner: str = "") -> None:
    inner = inner or "<MsgType>text</MsgType><Content>收到</Content>"
    xml = f"<xml><ToUserName>{receiver}</ToUserName><FromUserName>{sender}</FromUserName>{inner}</xml>"
    entry.answer = lambda message: entry.seal(xml)


def notes(base: str) -> list[str]:
    return [attempt["note"] for attempt in hook(base, "say", userid="lisi", text="hi")["attempts"]]


def test_it_shows_a_passive_reply(base: str, world: World, entry: Entry) -> None:
    reply(entry)
    assert notes(base) == [""]
    assert [(b.sender, b.body["content"]) for b in world.inboxes["lisi"]] == [("lisi", "hi"), ("", "收到")]


def test_it_shows_a_passive_update_of_a_button(base: str, world: World, entry: Entry) -> None:
    send_card(base, world)
    reply(entry, inner="<MsgType>update_button</MsgType><Button><ReplaceName>已同意</ReplaceName></Button>")
    hook(base, "tap", userid="lisi", task_id="t1", key="TY:1")
    card = world.inboxes["lisi"][0].card
    assert card is not None
    assert (card.locked, card.replaced) == (True, "已同意")


def test_it_notices_a_wrong_passive_reply(base: str, world: World, entry: Entry) -> None:
    reply(entry, sender="lisi", receiver=CORP)
    assert "没有对调" in notes(base)[0]
    entry.answer = lambda message: "hello"
    assert "不是 XML" in notes(base)[0]
    entry.answer = lambda message: entry.seal("<xml/>").replace("TimeStamp", "Timestamp")
    assert "-40001" in notes(base)[0]
    assert [b.sender for b in world.inboxes["lisi"]] == ["lisi"] * 3


def test_it_checks_the_callback_url(base: str, entry: Entry) -> None:
    assert hook(base, "check")["passed"] is True
    entry.crypto.token = "another"
    assert hook(base, "check")["passed"] is False


def test_it_shows_the_phone(base: str, world: World) -> None:
    send_card(base, world)
    html = page(base, member="lisi")
    assert "&lt;b&gt;重启&lt;/b&gt; game-01" in html
    assert "<b>重启</b>" not in html
    assert 'name="key" value="TY:1"' in html
    assert 'href="http://127.0.0.1:9/todo/"' in html
    assert all(
        name in html
        for name in ("李四", "应用消息", "值班一群", "告警群", "审批列表", "60020 IP 不可信", "message/send")
    )
    assert "style=" not in html
    assert "告警群" not in page(base, member="zhaoliu")


def test_it_acts_by_plain_forms(base: str, world: World, entry: Entry) -> None:
    send_card(base, world)
    assert act(base, "say", member="lisi", text="待办").headers["Location"] == "/?member=lisi&tab=app"
    act(base, "tap", member="lisi", task_id="t1", key="TY:1", **{"q:silence": "1h"})
    assert [message.content or message.event_key for message in entry.messages] == ["待办", "TY:1"]
    assert entry.messages[1].selected == {"silence": ["1h"]}
    act(base, "tap", member="lisi", task_id="t1", key="NONE")
    assert world.calls[-1].result == 42017
    act(base, "fault", name="slow_seconds")
    assert world.faults.slow_seconds > inspect.signature(http.request).parameters["timeout"].default[1]
    act(base, "fault", name="slow_seconds")
    act(base, "fault", name="nonsense")
    assert world.faults.slow_seconds == 0.0
    act(base, "clear")
    assert (world.inboxes["lisi"], list(world.calls)) == ([], [])
    assert requests.get(f"{base}/page/clear/", timeout=5).status_code == 405


def test_it_opens_a_menu_link_with_its_own_login(base: str, entry: Entry) -> None:
    target = act(base, "menu", member="lisi", button="0").headers["Location"]
    assert target.startswith(f"/connect/oauth2/authorize?appid={CORP}")
    assert act(base, "menu", member="lisi", button="1").headers["Location"] == "/?member=lisi&tab=app"
    assert act(base, "menu", member="lisi", button="9").headers["Location"] == "/?member=lisi&tab=app"
    assert [message.event for message in entry.messages] == ["view", "click"]


def test_it_posts_the_demo_alert(base: str, world: World, entry: Entry) -> None:
    assert "发一条示例告警" in page(base)
    entry.receive = lambda query, body: (202, body.decode())  # type: ignore[method-assign]
    act(base, "alert", alert="0")
    assert (world.calls[-1].result, world.calls[-1].note) == (202, '{"a": 1}')
    act(base, "alert", alert="9")
    assert len(world.calls) == 1


def test_it_sends_a_part_only_when_it_changed(base: str, world: World) -> None:
    send_card(base, world)
    found = re.search(r'hx-get="(/page/live/chat/[^"]+)"', page(base, member="lisi"))
    assert found
    url = base + found.group(1).replace("&amp;", "&")
    assert requests.get(url, timeout=5).status_code == 204
    hook(base, "say", userid="lisi", text="新消息")
    assert "新消息" in requests.get(url, timeout=5).text
    assert requests.get(f"{base}/page/live/nonsense/", timeout=5).status_code == 404


def test_it_shows_what_was_in_a_callback(base: str, world: World) -> None:
    statuses(base)
    html = page(base, member="lisi", only="callback", call=str(world.calls[-1].id))
    assert "&lt;Content&gt;TY 1_0&lt;/Content&gt;\n" in html


def test_it_serves_its_style_and_nothing_else(base: str) -> None:
    assert requests.get(f"{base}/static/simulator/simulator.css", timeout=5).status_code == 200
    assert requests.get(f"{base}/static/simulator/none.css", timeout=5).status_code == 404
    assert requests.get(f"{base}/static/..%2f..%2fmanage.py", timeout=5).status_code == 404


@pytest.mark.parametrize("key", ["robot:demo1", "chat:FTAALERTS"])
def test_it_shows_groups(base: str, world: World, key: str) -> None:
    token = world.issue_token(world.config.apps[0]).value
    body = {"chatid": "FTAALERTS", "msgtype": "markdown", "markdown": {"content": "**告警** [看](javascript:x)"}}
    name = "webhook/send?key=demo1" if key == "robot:demo1" else f"appchat/send?access_token={token}"
    assert requests.post(f"{base}/cgi-bin/{name}", json=body, timeout=5).json()["errcode"] == 0
    bold = '<span class="bold">告警</span>'
    assert bold in (html := page(base, member="lisi", tab=key))
    assert 'href="#">看</a>' in html
    assert bold not in page(base, member="lisi", tab="app")
