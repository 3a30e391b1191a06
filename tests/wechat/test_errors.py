"""What an operator is told about a code of WeCom."""

import re

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


# The codes that the vendor's page of errors (90313) gives an application, a robot and a group chat which send messages.
LISTED = (
    -1, 6000, 40001, 40003, 40007, 40008, 40013, 40014, 40029, 40033, 40039, 45034, 40056, 40058, 40063, 40066, 40068, 40091,
    41001, 41011, 41033, 42001, *range(42014, 42052), 60140, 44001, 44004, 45002, 45008, 45009, 45033, 48002, 48005, 48006, 50001,
    50003, 60031, 60011, 60020, 60111, 81013, 82001, 82002, 82003, 82004, 85005, 40050, 86001, 86003, 86004, 86005, 86006,
    86007, 86008, 86207, 86215, 86216, 93000, 93004, 93008, 301002, 301007,
)  # fmt: skip
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize("errcode", LISTED)
def test_each_listed_code_has_a_meaning_and_a_remedy_of_its_own(errcode: int) -> None:
    info, unlisted = explain(errcode), explain(99999999)
    for words, otherwise in ((info.meaning, unlisted.meaning), (info.remedy, unlisted.remedy)):
        assert CHINESE.search(str(words))
        assert words != otherwise
