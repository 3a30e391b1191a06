"""The simulator answers as the WeCom server does: tokens, people, menus, login and faults."""

from collections.abc import Iterator

import pytest
import requests

from tests.wechat.entry_stub import CORP, SECRET
from tests.wechat.simulated import APP, OTHER, Client, Clock, texts
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
