"""The simulator takes messages as the WeCom server does: receivers, sizes, limits, cards, robots and group chats."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.wechat.simulated import APP, BUTTONS, OTHER, Client, Clock, texts
from wechat.simulator.config import Config
from wechat.simulator.server import start
from wechat.simulator.world import World


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    return World(Config(apps=(APP, OTHER), tags={7: ("zhaoliu",)}), clock)


@pytest.fixture
def base(world: World) -> Iterator[str]:
    address, stop = start(world)
    yield address
    stop()


@pytest.fixture
def client(base: str) -> Client:
    return Client(base)


def test_it_delivers_a_text_and_names_bad_receivers_in_lower_case(client: Client, world: World) -> None:
    answer = client.text("同意 \u4f60", touser="LiSi | Nobody", toparty="2|99", totag="7")
    assert (answer["errcode"], answer["invaliduser"], answer["invalidparty"]) == (0, "nobody", "99")
    assert "response_code" not in answer
    assert texts(world, "lisi") == texts(world, "zhaoliu") == ["同意 你"]
    assert texts(world, "wangwu") == []


def test_it_delivers_to_all(client: Client, world: World) -> None:
    client.text(touser="@all")
    assert [texts(world, member.userid) for member in world.config.members] == [["你好"]] * 4


def test_it_serves_what_alertmanager_sends(base: str, client: Client, world: World) -> None:
    body = (
        rb'{"text":{"content":""},"toparty":"1","agentid":"1000002","safe":"0","msgtype":"markdown",'
        rb'"markdown":{"content":"A \u0026 \u003cb\u003e"}}' + b"\n"
    )
    url = f"{base}/cgi-bin/message/send?access_token={client.token}"
    assert requests.post(url, data=body, timeout=5).json()["errcode"] == 0
    assert texts(world, "lisi") == ["A & <b>"]


def test_it_cuts_a_long_text_between_characters(client: Client, world: World) -> None:
    assert client.text("长" * 1000)["errcode"] == 0
    assert texts(world, "lisi") == ["长" * 682]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"touser": ""}, 82001),
        ({"touser": "nobody"}, 81013),
        ({"agentid": ""}, 41011),
        ({"agentid": 5}, 40056),
        ({"agentid": 1000003}, 301002),
        ({"msgtype": "poem"}, 40008),
        ({"text": {"content": " "}}, 44004),
        ({"msgtype": "markdown", "markdown": {"content": "长" * 1000}}, 45002),
        ({"msgtype": "textcard", "textcard": {"title": "a", "url": "http://a"}}, 41033),
        ({"msgtype": "textcard", "textcard": {"title": "a", "description": "b", "url": "a"}}, 45034),
        ({"msgtype": "news", "news": {"articles": [{"title": "a", "url": "http://a"}] * 9}}, 45008),
        ({"touser": "|".join(f"u{number}" for number in range(1001))}, 40032),
        ({"toparty": "|".join(map(str, range(101)))}, 82002),
    ],
)
def test_it_refuses_a_message(client: Client, world: World, change: dict[str, Any], code: int) -> None:
    assert client.text(**change)["errcode"] == code
    assert world.inboxes["lisi"] == []


def test_it_refuses_a_body_that_is_no_json_object(base: str, client: Client) -> None:
    url = f"{base}/cgi-bin/message/send?access_token={client.token}"
    assert [requests.post(url, data=data, timeout=5).json()["errcode"] for data in (b"{", b"[]", b"")] == [40058] * 3
    assert requests.get(url, timeout=5).json()["errcode"] == 40058


def test_it_loses_what_is_over_a_members_limit_silently(client: Client, world: World, clock: Clock) -> None:
    assert [client.text()["errcode"] for _message in range(32)] == [0] * 32
    assert len(world.inboxes["lisi"]) == 30
    clock.now += 61
    client.text("later")
    assert texts(world, "lisi")[-1] == "later"


def test_it_delivers_a_checked_duplicate_once(client: Client, world: World, clock: Clock) -> None:
    first, again = client.text(enable_duplicate_check=1), client.text(enable_duplicate_check=1)
    assert first["msgid"] == again["msgid"]
    assert len(world.inboxes["lisi"]) == 1
    clock.now += 1801
    assert client.text(enable_duplicate_check=1)["msgid"] != first["msgid"]
    assert len(world.inboxes["lisi"]) == 2


def test_it_recalls_a_message_of_the_same_application_for_a_day(
    base: str, client: Client, world: World, clock: Clock
) -> None:
    msgid = client.text()["msgid"]
    assert Client(base, OTHER.secret).post("message/recall", {"msgid": msgid})["errcode"] == 40058
    assert client.post("message/recall", {"msgid": msgid})["errcode"] == 0
    assert world.inboxes["lisi"][0].recalled
    clock.now += 86401
    assert Client(base).post("message/recall", {"msgid": msgid})["errcode"] == 42052


def test_it_takes_a_task_id_once(client: Client, world: World) -> None:
    assert client.card()["response_code"]
    assert client.card()["errcode"] == 42014
    assert client.card("bad id")["errcode"] == 42014
    assert [len(world.inboxes[userid]) for userid in ("lisi", "wangwu", "zhaoliu")] == [1, 1, 0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"card_type": "poem"}, 42031),
        ({"main_title": {}}, 42033),
        ({"horizontal_content_list": [{"keyname": "a"}] * 7}, 42035),
        ({"horizontal_content_list": [{"value": "a"}]}, 42027),
        ({"horizontal_content_list": [{"keyname": "a", "type": 1}]}, 42028),
        ({"button_list": [{"key": "a"}]}, 42038),
        ({"button_list": [{"text": "a"}]}, 42039),
        ({"button_list": []}, 42038),
        ({"button_selection": {"option_list": [{"id": "1", "text": "a"}]}}, 42043),
        ({"button_selection": {"question_key": "q", "option_list": []}}, 42037),
        ({"card_type": "text_notice"}, 42045),
    ],
)
def test_it_refuses_a_malformed_card(client: Client, world: World, change: dict[str, Any], code: int) -> None:
    assert client.card(**change)["errcode"] == code
    assert world.inboxes["lisi"] == []


def test_it_refuses_a_card_that_calls_back_into_nothing(base: str) -> None:
    card: dict[str, Any] = {"card_type": "button_interaction", "main_title": {"title": "a"}, "task_id": "t"}
    card["button_list"] = BUTTONS
    body = {"touser": "lisi", "agentid": "1000003", "msgtype": "template_card", "template_card": card}
    assert Client(base, OTHER.secret).post("message/send", body)["errcode"] == 40058


def test_it_updates_a_card_once_for_everybody(client: Client, world: World) -> None:
    update = {"atall": 1, "agentid": 1000002, "response_code": client.card()["response_code"]}
    update["button"] = {"replace_name": "李四 已同意"}
    assert client.post("message/update_template_card", update) == {"errcode": 0, "errmsg": "ok", "invaliduser": []}
    cards = [world.inboxes[userid][0].card for userid in ("lisi", "wangwu")]
    assert [(card.locked, card.replaced) for card in cards if card] == [(True, "李四 已同意")] * 2
    assert client.post("message/update_template_card", update)["errcode"] == 60140


def test_it_replaces_a_card_for_those_named(client: Client, world: World) -> None:
    card = {
        "card_type": "text_notice",
        "main_title": {"title": "已驳回"},
        "card_action": {"type": 1, "url": "http://a"},
    }
    update = {"userids": ["LISI", "nobody"], "response_code": client.card()["response_code"], "template_card": card}
    assert client.post("message/update_template_card", update)["invaliduser"] == ["nobody"]
    mine, other = (world.inboxes[userid][0].card for userid in ("lisi", "wangwu"))
    assert mine is not None
    assert other is not None
    assert (mine.body["main_title"]["title"], mine.locked) == ("已驳回", True)
    assert (other.body["main_title"]["title"], other.locked) == ("重启", False)


def test_it_refuses_an_update_of_another_or_too_late(base: str, client: Client, clock: Clock) -> None:
    code = client.card()["response_code"]
    update = {"userids": ["zhaoliu"], "response_code": code, "button": {"replace_name": "x"}}
    assert client.post("message/update_template_card", update)["errcode"] == 82102
    assert Client(base, OTHER.secret).post("message/update_template_card", update)["errcode"] == 42015
    assert client.post("message/update_template_card", {"response_code": code, "atall": 1})["errcode"] == 40063
    clock.now += 72 * 3600 + 1
    assert Client(base).post("message/update_template_card", update | {"userids": ["lisi"]})["errcode"] == 60140


def robot_text(client: Client, key: str = "demo1", **more: Any) -> dict[str, Any]:
    return client.post("webhook/send", {"msgtype": "text", "text": {"content": "告警"}, **more}, key=key)


def test_it_delivers_to_a_robots_group_twenty_times_a_minute(client: Client, world: World, clock: Clock) -> None:
    assert [robot_text(client)["errcode"] for _message in range(21)] == [0] * 20 + [45009]
    assert len(world.robots["demo1"].bubbles) == 20
    assert robot_text(client, "demo2")["errcode"] == 0
    clock.now += 61
    assert robot_text(client)["errcode"] == 0


@pytest.mark.parametrize(
    ("key", "change", "code"),
    [
        ("nobody", {}, 93000),
        ("demo1", {"text": {"content": ""}}, 44004),
        ("demo1", {"text": {"content": "长" * 1000}}, 40058),
        ("demo1", {"msgtype": "markdown", "markdown": {"content": "长" * 1366}}, 40058),
        ("demo1", {"msgtype": "template_card", "template_card": {"card_type": "button_interaction"}}, 42031),
    ],
)
def test_it_refuses_a_robots_message(client: Client, world: World, key: str, change: dict[str, Any], code: int) -> None:
    assert robot_text(client, key, **change)["errcode"] == code
    assert world.robots["demo1"].bubbles == []


def test_it_makes_and_changes_a_group_chat(client: Client, world: World) -> None:
    made = {"name": "告警群", "owner": "lisi", "userlist": ["lisi", "wangwu"], "chatid": "FTAALERTS"}
    assert client.post("appchat/create", made)["chatid"] == "FTAALERTS"
    assert client.post("appchat/create", made)["errcode"] == 86215
    change = {"chatid": "FTAALERTS", "name": "新名", "add_user_list": ["zhaoliu"], "del_user_list": ["wangwu"]}
    assert client.post("appchat/update", change)["errcode"] == 0
    info = client.read("appchat/get", chatid="FTAALERTS")["chat_info"]
    assert (info["name"], info["owner"], info["userlist"]) == ("新名", "lisi", ["lisi", "zhaoliu"])
    sent = {"chatid": "FTAALERTS", "msgtype": "text", "text": {"content": "到群"}}
    assert client.post("appchat/send", sent)["msgid"]
    assert [bubble.body for bubble in world.chats["FTAALERTS"].bubbles] == [{"content": "到群"}]


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("create", {"userlist": ["lisi"]}, 86006),
        ("create", {"userlist": ["lisi", "nobody"]}, 86007),
        ("create", {"userlist": ["lisi", "wangwu"], "owner": "zhaoliu"}, 86207),
        ("create", {"userlist": ["lisi", "wangwu"], "chatid": "a-b"}, 86001),
        ("send", {"chatid": "none", "msgtype": "text", "text": {"content": "a"}}, 86003),
    ],
)
def test_it_refuses_a_group_chat(client: Client, world: World, name: str, body: dict[str, Any], code: int) -> None:
    assert client.post(f"appchat/{name}", body)["errcode"] == code
    assert world.chats == {}


def test_it_refuses_group_chats_to_an_application_that_not_all_can_see(base: str) -> None:
    body = {"userlist": ["lisi", "wangwu"]}
    assert Client(base, OTHER.secret).post("appchat/create", body)["errcode"] == 60011


def test_it_refuses_a_disabled_robot(client: Client, world: World) -> None:
    world.faults.disabled_robots = ["demo1"]
    assert [robot_text(client, key)["errcode"] for key in ("demo1", "demo2")] == [93004, 0]
