"""Picking members: WeCom's address book and the portal's own people."""

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from fta.models import Person
from notify.models import Channel
from tests.wechat.conftest import Corp

URL = "/wechat/members/search/"


@pytest.fixture
def page(admin: Person) -> Client:
    cache.clear()
    client = Client()
    client.force_login(admin.user)
    return client


def test_it_finds_members_by_name_and_account(corp: Corp, page: Client, operator: Person) -> None:
    some = corp.world.config.members[1]
    for text in (some.name, some.userid.upper()):
        shown = page.get(URL, {"q": text, "to": "id_to_user"}).content.decode()
        assert f'data-add="{some.userid}" data-to="id_to_user"' in shown
    assert corp.calls("department/simplelist") == 1  # kept for a while
    assert "没有找到" in page.get(URL, {"q": "nobody-of-this-name"}).content.decode()
    assert page.get(URL).content == b""


def test_it_searches_the_portal_when_wecom_is_away(corp: Corp, page: Client, operator: Person) -> None:
    object.__setattr__(corp.world.config, "trusted_ips", ("127.0.0.2",))
    shown = page.get(URL, {"q": "lisi"}).content.decode()
    assert 'data-add="lisi"' in shown
    assert "60020" in shown


def test_the_page_of_a_channel_has_the_picker_where_members_are_named(page: Client, operator: Person) -> None:
    for kind, field in (("wecom_app", "id_to_user"), ("wecom_chat", "id_members"), ("email", "")):
        shown = page.get(reverse("notify:channel-new", args=[kind])).content.decode()
        assert (f"{URL}?to={field}" in shown) == bool(field)
    channel = Channel.objects.create(name="x", kind="wecom_app", config={"to_user": ["lisi"]})
    assert URL in page.get(reverse("notify:channel", args=[channel.pk])).content.decode()
    client = Client()
    client.force_login(operator.user)
    assert client.get(URL, {"q": "lisi"}).status_code == 403
