"""The pages of the gateway's clients: made, changed and watched by administrators, and by nobody else."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fta.lib.secrets import digest
from fta.models import AuditEntry, Person
from tests.wechat.test_gateway import FROM_ALERTMANAGER, SECRET, send, token
from wechat.models import GatewayCall, GatewayClient
from wechat.services import gateway

pytestmark = pytest.mark.django_db
URL = "/doc/wechat_config/gateway/"
NEW = {
    "name": "alertmanager",
    "corp_id": "portal",
    "agent_id": "7",
    "gateway_secret": SECRET,
    "per_minute": "3",
    "enabled": "on",
}


@pytest.fixture
def boss(client: Client, admin: Person) -> Client:
    client.force_login(admin.user)
    return client


@pytest.fixture
def prometheus() -> GatewayClient:
    return GatewayClient.objects.create(
        name="prometheus", corp_id="portal", agent_id=7, secret_digest=digest(SECRET), per_minute=3
    )


def refused(client: Client, **changes: Any) -> list[str]:
    answer = client.post(f"{URL}new/", NEW | changes)
    assert answer.status_code == 422
    return list(answer.context["form"].errors)


def test_a_client_that_was_made_there_gets_its_token(boss: Client) -> None:
    answer = boss.post(f"{URL}new/", NEW)
    row = GatewayClient.objects.get()
    assert answer["Location"] == f"{URL}{row.pk}/"
    assert token(Client())["errcode"] == 0
    page = boss.get(answer["Location"]).content.decode()
    for value in ("/wecom/cgi-bin/", "corp_id: portal", 'agent_id: "7"'):
        assert value in page
    assert SECRET not in page
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor, entry.data["secret_changed"]) == ("wechat.gateway_add", "boss", True)
    assert SECRET not in str(entry.data)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "prometheus"}, "name"),
        ({"corp_id": "公司"}, "corp_id"),
        ({"agent_id": "0"}, "agent_id"),
        ({"agent_id": "9" * 30}, "agent_id"),
        ({"gateway_secret": ""}, "gateway_secret"),
        ({"gateway_secret": "short"}, "gateway_secret"),
        ({"gateway_secret": "with a blank in it here"}, "gateway_secret"),
        ({"per_minute": "0"}, "per_minute"),
    ],
)
def test_it_says_which_field_is_wrong(
    boss: Client, prometheus: GatewayClient, changes: dict[str, str], field: str
) -> None:
    assert refused(boss, **changes) == [field]
    assert GatewayClient.objects.get() == prometheus


def test_it_hands_out_a_secret_before_anything_is_saved(boss: Client) -> None:
    page = boss.post(f"{URL}new/", {**NEW, "generate": "gateway_secret"}).content.decode()
    made = re.search(r'name="gateway_secret" value="([A-Za-z0-9]{40})"', page)
    assert made
    assert 'value="alertmanager"' in page
    assert not GatewayClient.objects.exists()
    boss.post(f"{URL}new/", NEW | {"gateway_secret": made[1]})
    assert token(Client(), secret=made[1])["errcode"] == 0


def test_a_new_secret_ends_the_old_one_and_its_tokens(boss: Client, prometheus: GatewayClient) -> None:
    access = token(Client())["access_token"]
    url, fresh = f"{URL}{prometheus.pk}/", "another-secret-of-forty"
    boss.post(url, NEW | {"name": "prometheus", "gateway_secret": ""})  # an empty one stays
    assert token(Client())["errcode"] == 0
    boss.post(url, NEW | {"name": "prometheus", "gateway_secret": fresh})
    assert token(Client())["errcode"] == 40001
    assert token(Client(), secret=fresh)["errcode"] == 0
    assert send(Client(), access, FROM_ALERTMANAGER)["errcode"] == 40014
    told = list(AuditEntry.objects.order_by("id").values_list("verb", "data__changed"))
    assert told == [("wechat.gateway_change", {})], "nothing but the secret was changed"


@pytest.mark.parametrize("how", ["off", "archived"])
def test_one_that_is_switched_off_or_archived_gets_nothing(boss: Client, prometheus: GatewayClient, how: str) -> None:
    access, url = token(Client())["access_token"], f"{URL}{prometheus.pk}/"
    if how == "off":
        boss.post(url, {name: value for name, value in NEW.items() if name not in ("enabled", "gateway_secret")})
    else:
        boss.post(f"{url}archive/")
        assert boss.get(url).status_code == 404
    assert token(Client())["errcode"] == 40013
    assert send(Client(), access, FROM_ALERTMANAGER)["errcode"] == 40014
    assert AuditEntry.objects.count() == 1


def test_it_lists_clients_with_what_came_of_their_calls(boss: Client, prometheus: GatewayClient) -> None:
    other = GatewayClient.objects.create(name="grafana", corp_id="portal", agent_id=8, per_minute=3, enabled=False)
    GatewayCall.objects.create(client=other, at=timezone.now(), errcode=45009, errmsg="api freq out of limit: <3>")
    access = token(Client())["access_token"]
    send(Client(), access, FROM_ALERTMANAGER)
    send(Client(), access, FROM_ALERTMANAGER | {"msgtype": "voice"})
    url = f"/wecom/cgi-bin/message/send?access_token={access}"
    for raw in (b"{not json", b" " * (gateway.MAX_BODY + 1)):
        assert Client().post(url, raw, "application/json").json()["errcode"] != 0
    call = GatewayCall.objects.get(errcode=0)

    page = boss.get(URL).content.decode()
    for word in ("prometheus", "grafana", "已停用", "收下 1 条", "拒绝 1 条", "45009 api freq out of limit: &lt;3&gt;"):
        assert word in page
    assert f"/deliveries/{call.delivery_ref}/" in page
    mine = boss.get(f"{URL}?client={prometheus.pk}").content.decode()
    for refused_with in ("40008", "47001", "45002"):
        assert refused_with in mine
    assert "45009" not in mine
    for odd in ("x", "-1", "9" * 40, "²"):
        assert boss.get(URL, {"client": odd}).status_code == 200


@pytest.mark.parametrize("path", ["", "new/", "1/"])
def test_it_is_for_administrators_only(client: Client, operator: Person, prometheus: GatewayClient, path: str) -> None:
    assert client.get(URL + path).status_code == 302
    client.force_login(operator.user)
    assert client.get(URL + path).status_code == 403
    assert client.post(f"{URL}new/", NEW).status_code == 403
    assert client.post(f"{URL}{prometheus.pk}/archive/").status_code == 403
    assert not GatewayClient.objects.filter(archived=True).exists()
