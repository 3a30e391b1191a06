"""The simulator answers as the WeCom server does: tokens, messages, limits, cards, robots, chats, contacts."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.wechat.entry_stub import AES_KEY, CORP, SECRET, TOKEN
from wechat.simulator.config import App, Config
from wechat.simulator.server import start
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


def texts(world: World, userid: str) -> list[str]:
    return [bubble.body["content"] for bubble in world.inboxes[userid]]


def test_it_issues_the_same_token_while_it_runs(base: str, client: Client, clock: Clock) -> None:
    assert client.token
    assert Client(base).token == client.token
    clock.now += 7201
    assert Client(base).token != client.token


def test_it_issues_a_token_to_a_post_and_spells_the_lifetime_for_grafana(base: str) -> None:
    url = f"{base}/cgi-bin/gettoken?corpid={CORP}&corpsecret={SECRET}"
    answer = requests.post(url, timeout=5).json()
    assert (answer["errcode"], answer["expires_in"], answer["expire_in"]) == (0, 7200, 7200)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"corpid": CORP, "corpsecret": "wrong"}, 40001),
        ({"corpid": "wwother", "corpsecret": SECRET}, 40013),
        ({"corpid": CORP}, 41004),
        ({"corpsecret": SECRET}, 41002),
    ],
)
def test_it_refuses_a_token(client: Client, query: dict[str, str], code: int) -> None:
    answer = client.get("gettoken", **query)
    assert answer["errcode"] == answer["code"] == code
    assert (
        f"from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e={code}" in answer["errmsg"]
    )


def test_it_blocks_a_caller_after_many_wrong_secrets(client: Client, world: World) -> None:
    codes = [client.get("gettoken", corpid=CORP, corpsecret="wrong")["errcode"] for _try in range(21)]
    assert codes == [40001] * 20 + [45009]
    assert world.wrong_secrets == 20


def test_it_takes_a_token_only_from_the_query(base: str, client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.token}"}
    answer = requests.get(f"{base}/cgi-bin/getcallbackip", headers=headers, timeout=5).json()
    assert answer["errcode"] == 41001
    assert client.read("getcallbackip") == {"errcode": 0, "errmsg": "ok", "ip_list": ["127.0.0.1"]}


def test_it_tells_an_unknown_token_from_an_expired_one(client: Client, clock: Clock) -> None:
    assert client.get("getcallbackip", access_token="unknown")["errcode"] == 40014
    clock.now += 7201
    assert client.read("getcallbackip")["errcode"] == 42001


def test_it_answers_404_for_an_unknown_path(base: str) -> None:
    assert requests.get(f"{base}/cgi-bin/no/such", timeout=5).status_code == 404


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


def test_it_describes_members_departments_and_the_application(client: Client) -> None:
    assert client.read("user/get", userid="LISI")["name"] == "李四"
    assert client.read("user/get", userid="nobody")["errcode"] == 60111
    assert [d["id"] for d in client.read("department/simplelist")["department_id"]] == [1, 2]
    assert [d["name"] for d in client.read("department/list", id="2")["department"]] == ["运维部"]
    assert [m["userid"] for m in client.read("user/simplelist", department_id="2")["userlist"]] == ["zhaoliu"]
    agent = client.read("agent/get", agentid="1000002")
    assert (agent["close"], len(agent["allow_userinfos"]["user"])) == (0, 4)
    assert client.read("agent/get", agentid="1000003")["errcode"] == 301002


def test_it_keeps_a_menu(client: Client) -> None:
    assert client.read("menu/get", agentid="1000002")["errcode"] == 46003
    menu = {"button": [{"type": "view", "name": "审批列表", "url": "http://a/"}]}
    assert client.post("menu/create", menu, agentid="1000002")["errcode"] == 0
    assert client.read("menu/get", agentid="1000002")["button"] == menu["button"]
    assert client.post("menu/create", {"button": menu["button"] * 4}, agentid="1000002")["errcode"] == 40016
    assert client.read("menu/delete", agentid="1000002")["errcode"] == 0
    assert client.read("menu/get", agentid="1000002")["errcode"] == 46003


def test_it_takes_a_file(base: str, client: Client) -> None:
    url = f"{base}/cgi-bin/media/upload?type=file&access_token={client.token}"
    assert requests.post(url, files={"media": ("a.txt", b"hello")}, timeout=5).json()["media_id"]
    assert requests.post(url, files={"media": ("a.txt", b"")}, timeout=5).json()["errcode"] == 44001
    url = f"{base}/cgi-bin/webhook/upload_media?type=file&key=none"
    assert requests.post(url, files={"media": ("a.txt", b"hello")}, timeout=5).json()["errcode"] == 93000


def login(base: str, **more: str) -> requests.Response:
    query = {"appid": CORP, "redirect_uri": "http://127.0.0.1:9/wechat/oauth/?a=1", "state": "s1", "agentid": "1000002"}
    cookies = {"sim_member": "lisi"}
    url = f"{base}/connect/oauth2/authorize"
    return requests.get(url, params=query | more, cookies=cookies, allow_redirects=False, timeout=5)


def test_it_logs_the_holder_of_the_phone_in_once(client: Client, base: str) -> None:
    target = login(base).headers["Location"]
    assert target.startswith("http://127.0.0.1:9/wechat/oauth/?a=1&code=")
    assert target.endswith("&state=s1")
    code = target.split("code=")[1].split("&")[0]
    assert client.read("auth/getuserinfo", code=code) == {"errcode": 0, "errmsg": "ok", "userid": "lisi"}
    assert client.read("auth/getuserinfo", code=code)["errcode"] == 40029


def test_it_refuses_a_code_after_five_minutes_and_of_another_application(
    base: str, client: Client, clock: Clock
) -> None:
    code = login(base).headers["Location"].split("code=")[1].split("&")[0]
    assert Client(base, OTHER.secret).read("auth/getuserinfo", code=code)["errcode"] == 40029
    clock.now += 301
    assert client.read("user/getuserinfo", code=code)["errcode"] == 40029


def test_it_answers_the_older_login_call(base: str, client: Client) -> None:
    code = login(base, member="wangwu").headers["Location"].split("code=")[1].split("&")[0]
    assert client.read("user/getuserinfo", code=code)["UserId"] == "wangwu"


def test_it_asks_who_logs_in_and_refuses_a_wrong_request(base: str) -> None:
    url = f"{base}/wwlogin/sso/login?appid={CORP}&redirect_uri=http://127.0.0.1:9/&state=s"
    page = requests.get(url, timeout=5)
    assert (page.status_code, "以谁的身份登录" in page.text, "member=lisi" in page.text) == (200, True, True)
    assert login(base, appid="other").status_code == 400
    assert login(base, redirect_uri="javascript:alert(1)").status_code == 400


def faults(base: str, **changes: object) -> None:
    assert requests.post(f"{base}/sim/fault", json=changes, timeout=5).status_code == 200


def test_it_fails_as_told(base: str, client: Client, world: World) -> None:
    faults(base, untrusted_ip=True)
    assert client.text()["errcode"] == 60020
    faults(base, untrusted_ip=False, next_errcodes=[-1, 45009], next_http_statuses=[502])
    url = f"{base}/cgi-bin/message/send?access_token={client.token}"
    assert requests.post(url, json={}, timeout=5).status_code == 502
    assert [client.text()["errcode"] for _message in range(3)] == [-1, 45009, 0]
    faults(base, next_token_expired=True)
    assert [client.text()["errcode"], client.text()["errcode"]] == [42001, 40014]
    assert texts(world, "lisi") == ["你好"]


def test_it_delivers_before_a_slow_answer(base: str, client: Client, world: World) -> None:
    faults(base, slow_seconds=0.4)
    body = {"touser": "lisi", "agentid": 1000002, "msgtype": "text", "text": {"content": "slow"}}
    url = f"{base}/cgi-bin/message/send?access_token={client.token}"
    with pytest.raises(requests.Timeout):
        requests.post(url, json=body, timeout=0.1)
    assert world.wait_until(lambda w: texts(w, "lisi") == ["slow"])


def test_it_refuses_an_unknown_fault_and_a_page_of_another_origin(base: str, world: World) -> None:
    assert requests.post(f"{base}/sim/fault", json={"nonsense": True}, timeout=5).status_code == 400
    assert requests.post(f"{base}/sim/fault", json={"duplicate": 1}, timeout=5).status_code == 400
    headers = {"Origin": "http://evil.example"}
    assert requests.post(f"{base}/sim/reset", headers=headers, timeout=5).status_code == 403
    assert world.faults.duplicate is False


def test_it_shows_and_forgets_what_happened(base: str, client: Client) -> None:
    client.text()
    state = requests.get(f"{base}/sim/state", timeout=5).json()
    assert state["members"]["lisi"][0]["body"] == {"content": "你好"}
    assert [call["name"] for call in state["calls"]] == ["gettoken", "message/send"]
    assert requests.post(f"{base}/sim/reset", timeout=5).status_code == 200
    assert requests.get(f"{base}/sim/state", timeout=5).json()["members"]["lisi"] == []
    assert client.text()["errcode"] == 40014
