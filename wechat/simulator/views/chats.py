"""Group chats made by an application (appchat)."""

import re
import secrets

from wechat.simulator import sending
from wechat.simulator.config import App
from wechat.simulator.state import Conversation, Json, Refused
from wechat.simulator.views.endpoint import ApiCall, endpoint
from wechat.simulator.world import World

LEAST, MOST = 2, 2000
NAME = 50
_CHAT_ID = re.compile(r"[0-9A-Za-z]{1,32}")


def _may_chat(app: App) -> None:
    if not app.root_visible:
        raise Refused(60011, "no privilege to access/modify contact/party/agent")


def _members(world: World, userids: list[object]) -> list[str]:
    found = []
    for userid in userids:
        member = world.member(str(userid))
        if member is None:
            raise Refused(86007, "invalid chat member")
        found.append(member.userid)
    return list(dict.fromkeys(found))


def _owner(world: World, userid: object, members: list[str]) -> str:
    member = world.member(str(userid))
    if member is None or member.userid not in members:
        raise Refused(86207, "owner not in userlist")
    return member.userid


def _own(call: ApiCall, chat_id: str) -> Conversation:
    _may_chat(call.app)
    chat = call.world.chats.get(chat_id)
    if chat is None:
        raise Refused(86003, "chat not exist")
    if chat.agent_id != call.app.agent_id:
        raise Refused(86008, "chat of another agent")
    return chat


def _check_size(members: list[str]) -> None:
    if not LEAST <= len(members) <= MOST:
        raise Refused(86006, "invalid chat member count")


@endpoint("appchat/create", post=True)
def create(call: ApiCall) -> Json:
    """Make a group chat."""
    _may_chat(call.app)
    world, body = call.world, call.body
    members = _members(world, list(body.get("userlist") or []))
    _check_size(members)
    owner = _owner(call.world, body.get("owner") or members[0], members)
    chat_id = str(body.get("chatid") or secrets.token_hex(16))
    if not _CHAT_ID.fullmatch(chat_id):
        raise Refused(86001, "invalid chatid")
    if chat_id in world.chats:
        raise Refused(86215, "chatid existed")
    name = str(body.get("name") or "")[:NAME]
    world.chats[chat_id] = Conversation(chat_id, name, owner=owner, members=members, agent_id=call.app.agent_id)
    world.touch()
    return {"chatid": chat_id}


@endpoint("appchat/update", post=True)
def update(call: ApiCall) -> Json:
    """Rename a group chat or change who is in it."""
    body = call.body
    chat = _own(call, str(body.get("chatid", "")))
    gone = _members(call.world, list(body.get("del_user_list") or []))
    come = _members(call.world, list(body.get("add_user_list") or []))
    members = [userid for userid in dict.fromkeys([*chat.members, *come]) if userid not in gone]
    _check_size(members)
    owner = _owner(call.world, body.get("owner") or chat.owner, members)
    chat.members, chat.owner = members, owner
    chat.name = str(body.get("name") or chat.name)[:NAME]
    call.world.touch()
    return {}


@endpoint("appchat/get")
def get(call: ApiCall) -> Json:
    """Tell who is in a group chat."""
    chat = _own(call, call.query("chatid"))
    info = {"chatid": chat.key, "name": chat.name, "owner": chat.owner, "userlist": chat.members, "chat_type": 0}
    return {"chat_info": info}


@endpoint("appchat/send", post=True, sends=True)
def send(call: ApiCall) -> Json:
    """Send a message to a group chat."""
    chat = _own(call, str(call.body.get("chatid", "")))
    return {"msgid": sending.send_to_chat(call.world, chat, call.body)}
