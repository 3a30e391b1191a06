"""What an operator is told about a code of WeCom."""

import pytest

from wechat.errors import WecomError, explain, seen_ip

REFUSED = (
    "not allow to access from your ip, hint: [1700000000], from ip: 203.0.113.7, "
    "more info at https://open.work.weixin.qq.com/devtool/query?e=60020"
)


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (-1, "retry"),
        (40014, "token"),
        (42001, "token"),
        (40001, "admin"),
        (60020, "admin"),
        (45009, "wait"),
        (81013, "data"),
        (42014, "data"),
        (40029, "login"),
        (99999999, "data"),
    ],
)
def test_it_explains_a_code(errcode: int, kind: str) -> None:
    info = WecomError(errcode, "text").info
    assert info == explain(errcode)
    assert (info.kind, bool(info.meaning), bool(info.remedy)) == (kind, True, True)


@pytest.mark.parametrize("errcode", [48002, 60011])
def test_a_group_chat_asks_for_the_whole_company_in_sight(errcode: int) -> None:
    for api, wanted in (("appchat/send", "根部门"), ("appchat/create", "根部门"), ("user/get", "相关成员或部门")):
        said = WecomError(errcode, "no privilege", api).info
        assert wanted in f"{said.meaning}{said.remedy}"
        assert said.kind == "admin"


def test_it_says_where_a_trusted_address_is_entered() -> None:
    assert "企业可信IP" in str(explain(60020).remedy)


@pytest.mark.parametrize(
    ("errmsg", "address"),
    [(REFUSED, "203.0.113.7"), ("x, from ip: 2001:db8::1, more", "2001:db8::1"), ("invalid access_token", "")],
)
def test_it_finds_the_address_that_wecom_saw(errmsg: str, address: str) -> None:
    assert seen_ip(errmsg) == address
