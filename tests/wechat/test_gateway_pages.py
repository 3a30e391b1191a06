"""The pages of the gateway's clients: administrators make, change and switch them, and read what came of their calls."""

from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.lib.secrets import digest
from fta.models import AuditEntry, Person
from notify.delivery import DeliveryKind
from notify.models import Delivery
from tests.wechat.conftest import Corp
from wechat.models import GatewayCall, GatewayClient, WecomApp
from wechat.services import gateway
from wechat.services.gateway_clients import mark_of

pytestmark = pytest.mark.django_db

FIELDS = {"name": "alertmanager", "corp_id": "portal", "agent_id": "7", "per_minute": "3"}
MESSAGE = {"touser": "lisi", "agentid": "7", "msgtype": "text", "text": {"content": "磁盘将满"}}
SECRET = "alertmanager-own-secret"


@pytest.fixture
def page(admin: Person) -> Client:
    return signed_in(admin)


@pytest.fixture
def tool() -> GatewayClient:
    return GatewayClient.objects.create(
        name="alertmanager", corp_id="portal", agent_id=7, per_minute=3, secret_digest=digest(SECRET)
    )


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def said(answer: Any) -> str:
    return str(answer.content.decode())


def url(name: str, *args: int) -> str:
    return reverse(f"wechat:{name}", args=args)


def gettoken(secret: str) -> Any:
    return Client().get(url("gateway-token"), {"corpid": "portal", "corpsecret": secret}).json()


def send(access_token: str, body: Any = MESSAGE) -> int:
    where = {"access_token": access_token}
    answer = Client().post(url("gateway-send"), body, "application/json", query_params=where)
    return int(answer.json()["errcode"])


def audited(verb: str) -> list[Any]:
    return list(AuditEntry.objects.filter(verb=verb).order_by("id").values_list("actor", "data"))


def test_a_client_is_made_and_its_secret_is_shown_once_and_works(app: WecomApp, page: Client) -> None:
    assert url("gateway-clients") in said(page.get(reverse("wechat:config")))
    assert "还没有客户端" in said(page.get(url("gateway-clients")))
    assert "保存并生成密钥" in said(page.get(url("gateway-client-new")))

    answer = page.post(url("gateway-client-new"), FIELDS)

    row, secret = GatewayClient.objects.get(), answer.context["secret"]
    assert (row.name, row.corp_id, row.agent_id, row.per_minute, row.enabled) == ("alertmanager", "portal", 7, 3, True)
    assert (answer.status_code, len(secret), row.secret_digest) == (200, 48, digest(secret))
    assert "no-store" in answer["Cache-Control"]
    example = yaml.safe_load(answer.context["paste"].alertmanager)["receivers"][0]["wechat_configs"][0]
    assert (example["api_url"], example["corp_id"]) == ("http://mycompany.com/wecom/cgi-bin/", "portal")
    assert (example["agent_id"], example["api_secret"]) == ("7", secret)
    assert said(answer).count(secret) == 2  # beside its button, and in the example
    assert send(gettoken(secret)["access_token"]) == 0

    later = said(page.get(url("gateway-client", row.pk)))
    assert (secret in later, row.secret_digest in later, "&lt;SECRET&gt;" in later) == (False, False, True)
    assert secret not in said(page.get(url("gateway-clients")))
    (told,) = audited("wechat.gateway_add")
    assert told[0] == "boss"
    assert (told[1]["name"], told[1]["changes"]["per_minute"], secret in str(told)) == (
        "alertmanager",
        [None, 3],
        False,
    )
    # The same page sent again makes no second client.
    assert (page.post(url("gateway-client-new"), FIELDS).status_code, GatewayClient.objects.count()) == (422, 1)


def test_a_client_is_changed_and_only_what_differs_is_audited(page: Client, tool: GatewayClient) -> None:
    mine = url("gateway-client", tool.pk)
    assert 'value="portal"' in said(page.get(mine))
    answer = page.post(mine, {**FIELDS, "agent_id": "8", "per_minute": "60"}, follow=True)
    assert "已保存“alertmanager”" in said(answer)
    tool.refresh_from_db()
    assert (tool.agent_id, tool.per_minute, tool.secret_digest) == (8, 60, digest(SECRET))
    changes = {"agent_id": [7, 8], "per_minute": [3, 60]}
    assert audited("wechat.gateway_change") == [("boss", {"name": "alertmanager", "changes": changes})]
    page.post(mine, {**FIELDS, "agent_id": "8", "per_minute": "60"})
    assert len(audited("wechat.gateway_change")) == 1


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "请填写名称"),
        ("name", "长" * 65, "名称最多 64 个字"),
        ("name", "a\0b", "不允许"),
        ("name", "grafana", "这个名称已被使用（可能是已归档的），请换一个"),
        ("corp_id", "", "请填写企业 ID"),
        ("corp_id", "企业", "不能有空格和中文"),
        ("corp_id", "a b", "不能有空格和中文"),
        ("corp_id", "x" * 65, "1 至 64 个"),
        ("agent_id", "", "请填写 AgentId"),
        ("agent_id", "七", "正整数，例如 7"),
        ("agent_id", "0", "正整数，例如 7"),
        ("agent_id", "9" * 30, "不超过 16 位"),
        ("per_minute", "0", "请停用这个客户端"),
        ("per_minute", "1e9", "填 1 至 100000"),
        ("per_minute", "99999999999999999999", "填 1 至 100000"),
    ],
)
def test_a_wrong_value_is_named_beside_its_field(
    page: Client, tool: GatewayClient, field: str, value: str, words: str
) -> None:
    GatewayClient.objects.create(name="grafana", corp_id="portal", agent_id=1, archived=True)
    for where in (url("gateway-client", tool.pk), url("gateway-client-new")):
        answer = page.post(where, {**FIELDS, "name": "another", field: value})
        shown = said(answer)
        assert (answer.status_code, list(answer.context["form"].errors)) == (422, [field])
        assert words in shown.split(f'id="id_{field}_error"')[1].split("</p>")[0]
    tool.refresh_from_db()
    assert (tool.name, tool.corp_id, tool.agent_id, tool.per_minute) == ("alertmanager", "portal", 7, 3)
    assert (GatewayClient.objects.count(), AuditEntry.objects.count()) == (2, 0)


def test_a_new_secret_ends_the_old_one_with_its_tokens(page: Client, tool: GatewayClient) -> None:
    access = gettoken(SECRET)["access_token"]
    seen = mark_of(tool)

    answer = page.post(url("gateway-client-secret", tool.pk), {"seen": seen})

    fresh = answer.context["secret"]
    assert fresh in said(answer)
    assert (gettoken(SECRET)["errcode"], send(access), gettoken(fresh)["errcode"]) == (40001, 40014, 0)
    assert audited("wechat.gateway_secret") == [("boss", {"name": "alertmanager"})]
    # A page that is sent again does not end the secret that was just copied.
    assert "密钥在这个页面打开之后已经换过" in said(
        page.post(url("gateway-client-secret", tool.pk), {"seen": seen}, follow=True)
    )
    assert "没有换" in said(page.post(url("gateway-client-secret", tool.pk), {"seen": "不"}, follow=True))
    assert (gettoken(fresh)["errcode"], len(audited("wechat.gateway_secret"))) == (0, 1)


def test_what_is_switched_off_is_refused_until_it_is_switched_on(page: Client, tool: GatewayClient) -> None:
    access = gettoken(SECRET)["access_token"]
    off = said(page.post(url("gateway-client-switch", tool.pk), {"on": "0"}, follow=True))
    assert "已停用“alertmanager”" in off
    assert (gettoken(SECRET)["errcode"], send(access)) == (40013, 40014)
    assert "已停用</span>" in said(page.get(url("gateway-clients")))
    page.post(url("gateway-client-switch", tool.pk), {"on": "1"})
    assert (gettoken(SECRET)["errcode"], send(access)) == (0, 0)
    changes = [data["changes"] for _actor, data in audited("wechat.gateway_change")]
    assert changes == [{"enabled": [True, False]}, {"enabled": [False, True]}]


def test_what_is_archived_is_refused_and_its_calls_stay(page: Client, tool: GatewayClient) -> None:
    access = gettoken(SECRET)["access_token"]
    assert send(access) == 0
    shown = said(page.post(url("gateway-client-archive", tool.pk), follow=True))
    assert "已归档“alertmanager”" in shown
    assert (gettoken(SECRET)["errcode"], send(access)) == (40013, 40014)
    assert 'alertmanager <span class="f-sub">已归档' in shown
    assert url("gateway-client", tool.pk) not in shown
    assert [page.get(url("gateway-client", tool.pk)).status_code, len(audited("wechat.gateway_archive"))] == [404, 1]


def test_the_log_tells_of_a_refused_call_and_of_one_that_was_sent(
    corp: Corp, page: Client, tool: GatewayClient
) -> None:
    access = gettoken(SECRET)["access_token"]
    assert [send(access), send(access, MESSAGE | {"agentid": "8"}), send(access, "[]")] == [0, 301002, 47001]
    too_large = MESSAGE | {"text": {"content": "x" * gateway.MAX_BODY}}
    assert send(access, too_large) == 45002
    (row,) = Delivery.objects.all()
    assert "待发" in said(page.get(url("gateway-clients")))
    DeliveryKind().do(row.pk)

    shown = said(page.get(url("gateway-clients")))

    assert "4 次" in shown.split("最近一小时")[2]
    assert "被拒 3" in shown
    assert "45002 消息太长" in shown  # the last refusal, beside the client
    log = shown.split('id="log"')[1]
    assert f'<a href="{reverse("notify:delivery", args=[row.pk])}">投递 #{row.pk}</a>' in log
    assert "已送达" in log
    assert "拒绝 301002：AgentId 不是这个客户端的" in log
    assert "把工具里的 AgentId 改成这个客户端的。" in log
    mine = said(page.get(url("gateway-client", tool.pk))).split("最近的请求")[1]
    assert ("touser=lisi" in mine, "拒绝 47001：请求不是 JSON 对象" in mine) == (True, True)

    other = GatewayClient.objects.create(name="grafana", corp_id="portal", agent_id=1)
    GatewayCall.objects.create(client=other, at=timezone.now(), errcode=45009, errmsg="api freq out of limit")
    for chosen, codes in (
        ({"refused": "1"}, [45009, 45002, 47001, 301002]),
        ({"client": tool.pk}, [45002, 47001, 301002, 0]),
        ({"client": tool.pk, "refused": "1"}, [45002, 47001, 301002]),
        ({"client": "²", "before": "y"}, [45009, 45002, 47001, 301002, 0]),
    ):
        calls = page.get(url("gateway-clients"), chosen).context["calls"]
        assert [each.call.errcode for each in calls] == codes


def test_a_delivery_that_was_cleared_away_is_said_so(page: Client, tool: GatewayClient) -> None:
    GatewayCall.objects.create(client=tool, at=timezone.now(), errcode=0, errmsg="ok", delivery_ref=999)
    assert "投递记录已清理" in said(page.get(url("gateway-clients")))


def test_it_says_that_nothing_can_be_sent_without_an_application(page: Client, app: WecomApp) -> None:
    assert "现在发不出去" not in said(page.get(url("gateway-clients")))
    WecomApp.objects.update(secret="")
    assert "现在发不出去" in said(page.get(url("gateway-clients")))


def test_others_see_nothing_and_change_nothing(operator: Person, stranger: Person, tool: GatewayClient) -> None:
    posts = ("gateway-client", "gateway-client-secret", "gateway-client-switch", "gateway-client-archive")
    for client in (signed_in(operator), signed_in(stranger)):
        for answer in (
            client.get(url("gateway-clients")),
            client.get(url("gateway-client-new")),
            client.get(url("gateway-client", tool.pk)),
            client.post(url("gateway-client-new"), {**FIELDS, "name": "mine"}),
            *(client.post(url(name, tool.pk), {**FIELDS, "seen": mark_of(tool), "name": "mine"}) for name in posts),
        ):
            assert (answer.status_code, "alertmanager" in said(answer)) == (403, False)
    visitor = Client().get(url("gateway-clients"))
    assert (visitor.status_code, visitor["Location"].split("?")[0]) == (302, reverse("login"))
    tool.refresh_from_db()
    assert (tool.name, tool.enabled, tool.archived, tool.secret_digest) == ("alertmanager", True, False, digest(SECRET))
    assert (GatewayClient.objects.count(), AuditEntry.objects.count()) == (1, 0)


def test_changes_are_posts_with_a_token_of_the_form(admin: Person, page: Client, tool: GatewayClient) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin.user)
    for name in ("gateway-client-secret", "gateway-client-switch", "gateway-client-archive"):
        assert page.get(url(name, tool.pk)).status_code == 405
        assert strict.post(url(name, tool.pk), {"seen": mark_of(tool)}).status_code == 403
    assert strict.post(url("gateway-client-new"), {**FIELDS, "name": "mine"}).status_code == 403
    assert page.get(url("gateway-client", 10**30)).status_code == 404
    assert (GatewayClient.objects.get(), AuditEntry.objects.count()) == (tool, 0)
