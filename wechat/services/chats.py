"""Group chats that the application made (appchat): kept as their channel says, or read back into it. Source: page 90245."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from notify.transports.base import Acted, Refused
from wechat.client import Client
from wechat.errors import WecomError

_NAME = 50  # characters of a chat's name
_MISSING = (86001, 86003, 40050)


def made(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that makes the chat of a channel."""
    members = [str(userid) for userid in config.get("members") or []]
    wanted = {"name": name[:_NAME], "owner": config.get("owner") or members[0], "userlist": members}
    return {**wanted, **({"chatid": config["chat_id"]} if config.get("chat_id") else {})}


def push(client: Client, name: str, config: Mapping[str, Any]) -> Acted:
    """Make the chat, or give the one that there is the channel's name, owner and members."""
    if not config.get("members"):
        raise Refused(_("没有填写成员，无法建群。"), remedy=_("填写成员并保存，或先“读取群的现状”。"))
    found = _read(client, config)
    if found is None:
        answer = client.chat_create(made(name, config))
        chat_id = str(answer.get("chatid") or config.get("chat_id") or "")
        return Acted({**config, "chat_id": chat_id}, _("已建群“%(name)s”，%(count)d 人。") % _figures(name, config))
    wanted, present = made(name, config), [str(userid) for userid in found.get("userlist") or []]
    named, there = (
        {userid.casefold() for userid in each} for each in (wanted["userlist"], present)
    )  # WeCom knows no case
    change = {
        "chatid": config["chat_id"],
        "name": wanted["name"],
        "owner": wanted["owner"],
        "add_user_list": [userid for userid in wanted["userlist"] if userid.casefold() not in there],
        "del_user_list": [userid for userid in present if userid.casefold() not in named],
    }
    client.chat_update({key: value for key, value in change.items() if value})
    return Acted(config, _("已更新群“%(name)s”，%(count)d 人。") % _figures(name, config))


def pull(client: Client, config: Mapping[str, Any]) -> Acted:
    """Take the owner and the members of the chat that there is."""
    found = _read(client, config)
    if found is None:
        raise Refused(_("没有找到这个群聊。"), remedy=_("核对群聊 ID；只能沿用本应用建的群。"))
    kept = {**config, "owner": str(found.get("owner") or ""), "members": [str(each) for each in found["userlist"]]}
    said = _("已读取：群名“%(name)s”，%(count)d 人。") % _figures(str(found.get("name") or ""), kept)
    return Acted(kept, said)


def _read(client: Client, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not config.get("chat_id"):
        return None
    try:
        info: Mapping[str, Any] = client.chat_get(str(config["chat_id"])).get("chat_info") or {}
    except WecomError as error:
        if error.errcode in _MISSING:
            return None
        raise
    return info if info.get("userlist") else None


def _figures(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "count": len(config["members"])}
