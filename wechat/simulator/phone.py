"""What a member does on the phone: write, press a button, open a menu. Each becomes a callback."""

import re

from django.utils.translation import gettext as _

from wechat.simulator import cards
from wechat.simulator.config import App
from wechat.simulator.pusher import Attempt, push
from wechat.simulator.sending import add
from wechat.simulator.state import Bubble, Card, Json, Refused
from wechat.simulator.world import World

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _cdata(text: str) -> str:
    safe = _NOT_XML.sub("", text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{safe}]]>"


def _message(world: World, app: App, userid: str, kind: str, inner: str) -> str:
    return (
        f"<xml><ToUserName>{_cdata(world.config.corp_id)}</ToUserName><FromUserName>{_cdata(userid)}</FromUserName>"
        f"<CreateTime>{int(world.clock())}</CreateTime><MsgType>{_cdata(kind)}</MsgType>{inner}"
        f"<AgentID>{app.agent_id}</AgentID></xml>"
    )


def _event(world: World, app: App, userid: str, event: str, key: str, more: str = "") -> str:
    inner = f"<Event>{_cdata(event)}</Event><EventKey>{_cdata(key)}</EventKey>{more}"
    return _message(world, app, userid, "event", inner)


def _known(world: World, userid: str) -> str:
    member = world.member(userid)
    if member is None:
        raise Refused(60111, "userid not found")
    return member.userid


def say(world: World, app: App, userid: str, text: str) -> list[Attempt]:
    """Write a text to an application."""
    userid = _known(world, userid)
    with world.lock:
        bubble = add(world, world.inboxes[userid], userid, "text", {"content": text})
    inner = f"<Content>{_cdata(text)}</Content><MsgId>{bubble.id}</MsgId>"
    return push(world, app, userid, _message(world, app, userid, "text", inner), f"{userid} “{text}”")


def find_card(world: World, userid: str, task_id: str) -> tuple[Bubble, Card]:
    """Return the newest card of a task in a member's conversation. Raises Refused(42016)."""
    for bubble in reversed(world.inboxes[_known(world, userid)]):
        if bubble.card and bubble.card.task_id == task_id and not bubble.recalled:
            return bubble, bubble.card
    raise Refused(42016, "no such card")


def tap(
    world: World, userid: str, task_id: str, key: str, selected: dict[str, list[str]] | None = None
) -> list[Attempt]:
    """Press a button of a card. Raises Refused(42017) for a key that the card lacks or that is greyed out."""
    userid = _known(world, userid)
    with world.lock:
        _bubble, card = find_card(world, userid, task_id)
        if card.locked or key not in cards.keys(card.body):
            raise Refused(42017, "no such button, or it is greyed out")
        card.pressed = key
        app = world.app(card.agent_id)
        code = world.issue_response_code(card.agent_id, card.msgid, [userid])
        in_menu = key in [a.get("key") for a in (card.body.get("action_menu") or {}).get("action_list") or []]
        kind = str(card.body["card_type"])
    more = (
        f"<TaskId>{_cdata(task_id)}</TaskId><CardType>{_cdata(kind)}</CardType>"
        f"<ResponseCode>{_cdata(code)}</ResponseCode>{'' if in_menu else _selected(selected or {})}"
    )
    event = "template_card_menu_event" if in_menu else "template_card_event"
    note = _("{userid} 点按钮 {key}").format(userid=userid, key=key)
    return push(world, app, userid, _event(world, app, userid, event, key, more), note)


def _selected(selected: dict[str, list[str]]) -> str:
    items = [
        f"<SelectedItem><QuestionKey>{_cdata(question)}</QuestionKey><OptionIds>"
        + "".join(f"<OptionId>{_cdata(option)}</OptionId>" for option in options)
        + "</OptionIds></SelectedItem>"
        for question, options in selected.items()
    ]
    return f"<SelectedItems>{''.join(items)}</SelectedItems>"


def enter(world: World, app: App, userid: str) -> list[Attempt]:
    """Open the application."""
    userid = _known(world, userid)
    note = _("{userid} 进入应用").format(userid=userid)
    return push(world, app, userid, _event(world, app, userid, "enter_agent", ""), note)


def menu_buttons(world: World, app: App) -> list[Json]:
    """Return the buttons of the menu that make an event, submenus laid flat."""
    flat: list[Json] = []
    for button in world.menus.get(app.agent_id, []):
        flat += button.get("sub_button") or [button]
    return flat


def click_menu(world: World, app: App, userid: str, key: str) -> list[Attempt]:
    """Press a menu button, named by its key or URL. Raises Refused(46003) when the menu has no such button."""
    userid = _known(world, userid)
    for button in menu_buttons(world, app):
        if key and key in (button.get("key"), button.get("url")):
            note = _("{userid} 点菜单 {name}").format(userid=userid, name=button.get("name"))
            return push(world, app, userid, _event(world, app, userid, str(button["type"]), key, ""), note)
    raise Refused(46003, "menu no exist")
