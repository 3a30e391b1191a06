"""What the page shows: who holds the phone, what is on it, what went over the wire."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.template.loader import render_to_string
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _

from wechat.simulator.config import App, Member
from wechat.simulator.phone import menu_buttons
from wechat.simulator.server import SimulatorRequest
from wechat.simulator.state import Bubble, Faults, Json
from wechat.simulator.views.oauth import COOKIE
from wechat.simulator.world import World

Context = dict[str, Any]
PARTS = ("people", "chat", "calls")
LONGEST_LOG = 60
PAUSE_SECONDS = 300
SLOW_SECONDS = 15.0  # more than a caller waits: the portal 10 s
# Addresses of the vendor that this server answers itself.
VENDOR_HOSTS = ("open.weixin.qq.com", "login.work.weixin.qq.com", "open.work.weixin.qq.com")


@dataclass(frozen=True)
class Entry:
    """A bubble with what its template needs."""

    bubble: Bubble
    at: datetime
    pause: bool
    mine: bool
    name: str


@dataclass(frozen=True)
class Tab:
    """One tab of the phone."""

    key: str
    label: str


@dataclass(frozen=True)
class Switch:
    """One fault that the page turns on and off."""

    name: str
    label: str
    note: str
    on: bool


def moment(at: float) -> datetime:
    """Return epoch seconds in the portal's zone."""
    return datetime.fromtimestamp(at, tz=get_current_timezone())


def local(url: object) -> str:
    """Return where a link of a message or menu leads from this page; what is no web address leads nowhere."""
    target = urlsplit(str(url or ""))
    if target.hostname in VENDOR_HOSTS:
        return f"{target.path}?{target.query}"
    return str(url) if target.scheme in ("http", "https") else "#"


def holder(request: SimulatorRequest) -> Member:
    """Return the member whose phone is shown."""
    world = request.world
    asked = request.POST.get("member") or request.GET.get("member") or request.COOKIES.get(COOKIE, "")
    return world.member(asked) or world.config.members[0]


def context_of(request: SimulatorRequest) -> Context:
    """Return everything that the page and its live parts show."""
    world, member, app = request.world, holder(request), request.world.config.apps[0]
    with world.lock:
        tabs = [Tab("app", _("应用消息")), *(Tab(f"robot:{r.key}", r.name) for r in world.robots.values())]
        tabs += [Tab(f"chat:{c.key}", c.name) for c in world.chats.values() if member.userid in c.members]
        asked = request.GET.get("tab", "app")
        tab = asked if asked in {item.key for item in tabs} else "app"
        return {
            "config": world.config,
            "app": app,
            "member": member,
            "tabs": tabs,
            "tab": tab,
            "query": f"member={member.userid}&tab={tab}",
            "people": [(person, _waiting(world, person)) for person in world.config.members],
            "entries": _entries(world, member, tab, app),
            "menu": [(number, b["name"]) for number, b in enumerate(menu_buttons(world, app))],
            "switches": switches(world.faults),
            "switched_on": sum(switch.on for switch in switches(world.faults)),
            **_log(request),
        }


def _waiting(world: World, member: Member) -> int:
    """Return how many cards still wait for a member's press."""
    inbox = world.inboxes[member.userid]
    return sum(bool(b.card and b.card.body.get("button_list") and not b.card.locked) for b in inbox)


def _bubbles(world: World, member: Member, tab: str) -> list[Bubble]:
    kind, _colon, key = tab.partition(":")
    if kind == "robot":
        return world.robots[key].bubbles
    return world.chats[key].bubbles if kind == "chat" else world.inboxes[member.userid]


def _entries(world: World, member: Member, tab: str, app: App) -> list[Entry]:
    entries: list[Entry] = []
    last = 0.0
    for bubble in _bubbles(world, member, tab):
        mine = bubble.sender == member.userid
        name = member.name if mine else app.name
        entries.append(Entry(bubble, moment(bubble.at), bubble.at - last > PAUSE_SECONDS, mine, name))
        last = bubble.at
    return entries


def _log(request: SimulatorRequest) -> Context:
    only = request.GET.get("only") == "callback"
    calls = [call for call in reversed(request.world.calls) if call.direction == "out" or not only][:LONGEST_LOG]
    wanted = request.GET.get("call", "")
    picked = next((call for call in calls if str(call.id) == wanted), None)
    return {
        "only": only,
        "calls": [(call, moment(call.at)) for call in calls],
        "picked": picked,
        "picked_at": moment(picked.at) if picked else None,
    }


def switches(faults: Faults) -> list[Switch]:
    """Return the faults that the page offers; the rest is for tests."""
    return [
        Switch("untrusted_ip", _("60020 IP 不可信"), _("所有发送都被拒"), faults.untrusted_ip),
        Switch("over_frequency", _("45009 频率超限"), _("一分钟内第 31 条起拒绝"), faults.over_frequency),
        Switch("next_token_expired", _("42001 令牌过期"), _("下一次调用"), faults.next_token_expired),
        Switch("duplicate", _("回调重复三次"), _("同一 MsgId"), faults.duplicate),
        Switch("reorder", _("回调乱序"), _("扣下一条，排到下一条之后"), faults.reorder),
        Switch("wrong_signature", _("签名错误"), _("应得到 403"), faults.wrong_signature),
        Switch("wrong_corp", _("企业 ID 错误"), _("应得到 403"), faults.wrong_corp),
        Switch("agent_closed", _("50003 应用停用"), _("发送被拒"), faults.agent_closed),
        Switch("server_error", _("HTTP 500"), _("发送不成功，会再试"), faults.server_error),
        Switch("silent_drop", _("静默丢弃"), _("应答 0，手机上没有"), faults.silent_drop),
        Switch("slow_seconds", _("应答慢 15 秒"), _("门户等 10 秒就放弃：结果未知"), faults.slow_seconds > 0),
    ]


def changes_of(faults: Faults, name: str) -> Json:
    """Return what turning a switch over changes; nothing for an unknown name."""
    for switch in switches(faults):
        if switch.name == name:
            on: object = not switch.on
            return {name: SLOW_SECONDS if on else 0.0} if name == "slow_seconds" else {name: on}
    return {}


def render_part(part: str, context: Context) -> tuple[str, str]:
    """Return a live part of the page and its mark, by which a poll learns that nothing changed."""
    inner = render_to_string(f"simulator/_{part}.html", context)
    mark = f"{zlib.crc32(inner.encode()):08x}"
    return render_to_string("simulator/_live.html", context | {"part": part, "inner": inner, "mark": mark}), mark
