"""Sending to members, robots' groups and group chats, and changing what was sent."""

import copy
import hashlib
import json
from collections import deque

from wechat.simulator import cards, payloads
from wechat.simulator.config import App
from wechat.simulator.state import Bubble, Card, Conversation, Json, Refused, Sent
from wechat.simulator.world import World

MOST_MEMBERS = 1000  # a message names; parties, tags and @all reach more
MEMBER_A_MINUTE = 30
MEMBER_AN_HOUR = 1000
ROBOT_A_MINUTE = 20
RESPONSE_CODE_SECONDS = 72 * 3600
RECALL_SECONDS = 24 * 3600
ROBOT_MARKDOWN_BYTES = 4096


def send(world: World, app: App, request: Json) -> Json:
    """Deliver a message of an application to members (message/send)."""
    if not request.get("agentid"):
        raise Refused(41011, "agentid missing")
    if world.app(request["agentid"]) is not app:
        raise Refused(301002, "not allow operate another agent with this accesstoken")
    body = payloads.check(request, payloads.APP_KINDS)
    userids, answer = _receivers(world, request)
    duplicate = _duplicate(world, app, request)
    if duplicate:
        return duplicate.answer
    card = body if request["msgtype"] == "template_card" else None
    if card is not None and cards.calls_back(card):
        _take_task_id(world, app, card)
    msgid = f"sim-{world.next_id()}"
    answer["msgid"] = msgid
    if card is not None and cards.calls_back(card):
        answer["response_code"] = world.issue_response_code(app.agent_id, msgid, userids)
    for userid in userids:
        shown = _within_limits(world, app, userid) and not world.faults.silent_drop
        view = Card(str(card.get("task_id", "")), msgid, app.agent_id, copy.deepcopy(card)) if card else None
        add(world, world.inboxes[userid] if shown else world.dropped, "", str(request["msgtype"]), body, msgid, view)
    world.sent[msgid] = sent = Sent(msgid, app.agent_id, world.clock(), answer)
    if request.get("enable_duplicate_check"):
        world.duplicates[_digest(app, request)] = sent
    return answer


def add(
    world: World,
    bubbles: list[Bubble],
    sender: str,
    msgtype: str,
    body: Json,
    msgid: str = "",
    card: Card | None = None,
) -> Bubble:
    """Append an entry to a conversation."""
    bubble = Bubble(world.next_id(), world.clock(), sender, msgtype, body, msgid, card)
    bubbles.append(bubble)
    world.touch()
    return bubble


def _ids(request: Json, name: str) -> list[str]:
    """Return the ids of a list joined by "|"; the vendor's own samples have blanks round the bar."""
    return [part.strip() for part in str(request.get(name) or "").split("|") if part.strip()]


def _receivers(world: World, request: Json) -> tuple[list[str], Json]:
    users, parties, tags = (_ids(request, name) for name in ("touser", "toparty", "totag"))
    if not users and not parties and not tags:
        raise Refused(82001, "no receiver")
    if len(users) > MOST_MEMBERS:
        raise Refused(40032, "invalid user list size")
    if "@all" in users:
        return list(world.inboxes), {}
    if len(parties) > 100 or len(tags) > 100:
        raise Refused(82002 if len(parties) > 100 else 82003, "too many parties or tags")
    found: dict[str, None] = {}
    bad: dict[str, list[str]] = {"invaliduser": [], "invalidparty": [], "invalidtag": []}
    for userid in users:
        member = world.member(userid)
        if member:
            found[member.userid] = None
        else:
            bad["invaliduser"].append(userid.lower())
    _expand(parties, {str(d.id): _people_of(world, d.id) for d in world.config.departments}, found, bad["invalidparty"])
    _expand(tags, {str(tag): list(people) for tag, people in world.config.tags.items()}, found, bad["invalidtag"])
    if not found:
        raise Refused(81013, "user & party & tag all invalid")
    return list(found), {name: "|".join(ids) for name, ids in bad.items() if ids}


def _people_of(world: World, department: int) -> list[str]:
    """Return the members of a department and of those under it."""
    inside = {department}
    for child in world.config.departments:
        if child.parent in inside:
            inside.add(child.id)
    return [member.userid for member in world.config.members if member.department in inside]


def _expand(ids: list[str], known: dict[str, list[str]], found: dict[str, None], bad: list[str]) -> None:
    for key in ids:
        if key in known:
            found.update(dict.fromkeys(known[key]))
        else:
            bad.append(key)


def _digest(app: App, request: Json) -> str:
    return hashlib.sha256(json.dumps([app.agent_id, request], sort_keys=True).encode()).hexdigest()


def _duplicate(world: World, app: App, request: Json) -> Sent | None:
    """Return the earlier message that the caller asked not to repeat."""
    if not request.get("enable_duplicate_check"):
        return None
    sent = world.duplicates.get(_digest(app, request))
    interval = min(int(request.get("duplicate_check_interval") or 1800), 14400)
    return sent if sent and world.clock() - sent.sent_at < interval else None


def _take_task_id(world: World, app: App, card: Json) -> None:
    if card["card_type"] in cards.INTERACTIVE and not app.callback_url:
        raise Refused(40058, "callback url of the app is not set")
    key = (app.agent_id, str(card["task_id"]))
    if key in world.task_ids:
        raise Refused(42014, "taskid has existed or empty or exceed max len")
    world.task_ids.add(key)


def _within_limits(world: World, app: App, userid: str) -> bool:
    """Return whether a member still gets messages of this application; what is over the limit is lost silently."""
    reached = world.reached_at.setdefault((app.agent_id, userid), deque())
    now = world.clock()
    while reached and reached[0] <= now - 3600:
        reached.popleft()
    if len(reached) >= MEMBER_AN_HOUR or sum(at > now - 60 for at in reached) >= MEMBER_A_MINUTE:
        return False
    reached.append(now)
    return True


def send_to_robot(world: World, key: str, request: Json) -> None:
    """Deliver a robot's message to its group (webhook/send)."""
    robot = world.robots.get(key)
    if robot is None:
        raise Refused(93000, "invalid webhook url")
    if key in world.faults.disabled_robots:
        raise Refused(93004, "robot disabled")
    now = world.clock()
    while robot.sent_at and robot.sent_at[0] <= now - 60:
        robot.sent_at.popleft()
    if len(robot.sent_at) >= ROBOT_A_MINUTE:
        raise Refused(45009, "api freq out of limit")
    body = payloads.check(request, payloads.ROBOT_KINDS, markdown_bytes=ROBOT_MARKDOWN_BYTES, robot=True)
    if request["msgtype"] == "text" and len(str(request["text"]["content"]).encode()) > payloads.TEXT_BYTES:
        raise Refused(40058, "text.content exceed max length 2048. invalid Request Parameter")
    if request["msgtype"] == "file" and str(body.get("media_id")) not in world.media:
        raise Refused(40007, "invalid media_id")
    if request["msgtype"] == "file":
        body = {**body, "name": world.media[str(body["media_id"])]}
    robot.sent_at.append(now)
    card = Card("", "", 0, copy.deepcopy(body)) if request["msgtype"] == "template_card" else None
    add(world, robot.bubbles, "", str(request["msgtype"]), body, card=card)


def send_to_chat(world: World, chat: Conversation, request: Json) -> str:
    """Deliver a message to a group chat and return its id (appchat/send)."""
    body = payloads.check(request, payloads.CHAT_KINDS)
    msgid = f"sim-{world.next_id()}"
    add(world, chat.bubbles, "", str(request["msgtype"]), body, msgid)
    return msgid


def update_card(world: World, app: App, request: Json) -> list[str]:
    """Replace a card or its buttons and return the userids that do not exist (message/update_template_card)."""
    right = world.response_codes.get(str(request.get("response_code", "")))
    if right is None or right.used or world.clock() - right.issued_at > RESPONSE_CODE_SECONDS:
        raise Refused(60140, "invalid response_code")
    if right.agent_id != app.agent_id or str(request.get("agentid", app.agent_id)) != str(app.agent_id):
        raise Refused(42015, "the task card belongs to another agent")
    button, card = request.get("button"), request.get("template_card")
    if card is None and not (button or {}).get("replace_name"):
        raise Refused(40063, "neither button nor template_card")
    if card is not None:
        card = cards.check(card)
    userids, bad = _card_holders(world, request, right.userids)
    right.used = True
    for userid in userids:
        for bubble in world.inboxes[userid]:
            if bubble.card and bubble.card.msgid == right.msgid:
                change_card(bubble.card, card, (button or {}).get("replace_name", ""))
    world.touch()
    return bad


def _card_holders(world: World, request: Json, receivers: list[str]) -> tuple[list[str], list[str]]:
    """Return who of the card's receivers is meant; here, unlike in message/send, the ids come as lists."""
    if request.get("atall"):
        return receivers, []
    listed = {"touser": "userids", "toparty": "partyids", "totag": "tagids"}
    userids, answer = _receivers(
        world, {to: "|".join(str(item) for item in request.get(name) or []) for to, name in listed.items()}
    )
    chosen = [userid for userid in userids if userid in receivers]
    if not chosen:
        raise Refused(82102, "target is not a receiver of the card")
    return chosen, [userid for userid in str(answer.get("invaliduser", "")).split("|") if userid]


def change_card(view: Card, card: Json | None, replace_name: str) -> None:
    """Show a card's new state to one member: another card, or the same one with its buttons greyed out."""
    if card is None:
        view.locked, view.replaced = True, replace_name
        return
    replaced = str(card.get("replace_text") or "")
    view.body, view.replaced = copy.deepcopy(card), replaced
    view.locked = bool(replaced) or not cards.calls_back(card)


def recall(world: World, app: App, msgid: str) -> None:
    """Take a message back (message/recall)."""
    sent = world.sent.get(msgid)
    if sent is None or sent.agent_id != app.agent_id:
        raise Refused(40058, "invalid msgid")
    if world.clock() - sent.sent_at > RECALL_SECONDS:
        raise Refused(42052, "msgid expired")
    for inbox in world.inboxes.values():
        for bubble in inbox:
            if bubble.msgid == msgid:
                bubble.recalled = True
    world.touch()
