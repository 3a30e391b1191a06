"""Reach everybody with a message of an application, also those who are more than WeCom takes in one request (page 90236)."""

from collections.abc import Mapping, Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from wechat.client import Answer, Client
from wechat.errors import WecomError
from wechat.services.payloads import Payload

MOST_ACCOUNTS = 1000
NOBODY = 81013
# What the answer names, how people call it, and what to do about it.
_MISSED: Mapping[str, tuple[str | Promise, str | Promise]] = {
    "invaliduser": (
        _("没有送到账号 %(who)s。"),
        _("核对这些企业微信账号：要存在，并在管理后台加入该应用的“可见范围”。"),
    ),
    "invalidparty": (
        _("没有送到部门 %(who)s。"),
        _("核对通知服务里的部门 ID，并在管理后台把这些部门加入该应用的“可见范围”。"),
    ),
    "invalidtag": (
        _("没有送到标签 %(who)s。"),
        _("核对通知服务里的标签 ID；标签要允许该应用使用，其中的成员要在“可见范围”里。"),
    ),
    "unlicenseduser": (
        _("没有送到没有接口许可的账号 %(who)s。"),
        _("在管理后台给这些成员分配接口许可，或改用群机器人通知他们。"),
    ),
}
_GROUPS = ("invalidparty", "invalidtag")


def send_all(client: Client, address: Payload, parts: Sequence[Payload]) -> list[Answer]:
    """Send every part to every thousand of the accounts; departments and tags stand with the first.

    A thousand of whom WeCom knows none are missed as one who is unknown among others is. What was sent before another error is
    dropped by WeCom as a repeat when the whole is tried again.
    """
    addresses = _by_thousand(address)
    return [_send(client, to | part, len(addresses) > 1) for to in addresses for part in parts]


def missed(answers: Sequence[Answer]) -> dict[str, str]:
    """Return whom the answers name as not reached, each once: the parts of one text are answered alike."""
    found = {name: "|".join(str(answer.get(name) or "") for answer in answers) for name in _MISSED}
    return {name: "|".join(dict.fromkeys(filter(None, ids.split("|")))) for name, ids in found.items()}


def lacking(missed: Mapping[str, str]) -> tuple[str, str]:
    """Return in words whom a message did not reach, and what to do about each kind of them."""
    named = [(texts, "、".join(missed[name].split("|"))) for name, texts in _MISSED.items() if missed.get(name)]
    notes = [str(said) % {"who": who} for (said, _remedy), who in named]
    return "".join(notes), "".join(str(remedy) for (_said, remedy), _who in named)


def lacking_groups(missed: Mapping[str, str]) -> str:
    """Return in words which departments and tags a message did not reach, and the remedy: whole teams hear nothing."""
    return "".join(lacking({name: missed[name] for name in _GROUPS if missed.get(name)}))


def _by_thousand(address: Payload) -> list[Payload]:
    users = str(address.get("touser", "")).split("|")
    if len(users) <= MOST_ACCOUNTS:
        return [address]
    shared = {name: value for name, value in address.items() if name not in ("toparty", "totag")}
    starts = range(0, len(users), MOST_ACCOUNTS)
    return [
        (shared if start else address) | {"touser": "|".join(users[start : start + MOST_ACCOUNTS])} for start in starts
    ]


def _send(client: Client, payload: Payload, one_of_several: bool) -> Answer:
    try:
        return client.send(payload)
    except WecomError as error:
        if error.errcode != NOBODY or not one_of_several:
            raise
        return {"invaliduser": payload["touser"]}
