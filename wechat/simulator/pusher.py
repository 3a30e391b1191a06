"""Callbacks to the portal's real entry: encrypted, limited to five seconds, tried three times, and spoilt on request.

Source: the vendor's pages on receiving messages (90930, 90238).
"""

import secrets
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring
from django.utils.translation import gettext as _

from wechat.crypto import CallbackRefused, Crypto
from wechat.simulator.config import App
from wechat.simulator.sending import add
from wechat.simulator.world import World

ATTEMPTS = 3
COPIES = 3
NO_ANSWER = -1
ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Attempt:
    """One delivery; the status is 0 when there was no answer in time. `note` says what is wrong with a reply."""

    status: int
    body: str
    note: str = ""


def push(world: World, app: App, userid: str, plaintext: str, note: str) -> list[Attempt]:
    """Deliver a message or event of a member and return every attempt; none when no callback is configured."""
    if not app.callback_url:
        return []

    def deliver() -> list[Attempt]:
        copies = COPIES if world.faults.duplicate else 1
        return [attempt for _copy in range(copies) for attempt in _deliver(world, app, userid, plaintext, note)]

    with world.lock:
        if world.faults.reorder and not world.held:
            world.held.append(deliver)
            world.record("out", "entry", _("{note}，已扣下，排到下一条之后").format(note=note), plaintext)
            return []
        held = list(world.held)
        world.held.clear()
    attempts = deliver()
    for late in held:
        late()
    return attempts


def _deliver(world: World, app: App, userid: str, plaintext: str, note: str) -> list[Attempt]:
    attempts: list[Attempt] = []
    while len(attempts) < ATTEMPTS:
        attempt = _attempt(world, app, userid, plaintext)
        attempts.append(attempt)
        line = _("第 {n} 次：{note}").format(n=len(attempts), note=note)
        world.record("out", "entry", f"{line} {attempt.note}".strip(), plaintext, attempt.status or NO_ANSWER)
        if attempt.status == 200 or (attempt.status and not world.config.retry_refused_callbacks):
            break
    return attempts


def _attempt(world: World, app: App, userid: str, plaintext: str) -> Attempt:
    """Send one copy; each has its own nonce and ciphertext, as the vendor's retries do."""
    faults = world.faults
    corp_id = "wwanothercorp00000" if faults.wrong_corp else world.config.corp_id
    timestamp, nonce = str(int(world.clock())), secrets.token_hex(8)
    sealed, signature = Crypto(app.token, app.aes_key, corp_id).encrypt(plaintext, timestamp, nonce)
    if faults.wrong_signature:
        signature = "0" * len(signature)
    query = {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}
    body = (
        f"<xml><ToUserName><![CDATA[{world.config.corp_id}]]></ToUserName><AgentID><![CDATA[{app.agent_id}]]></AgentID>"
        f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    )
    status, answer = _call(app.callback_url, query, body, world.config.callback_seconds)
    problem = _take_reply(world, app, userid, answer) if status == 200 else ""
    return Attempt(status, answer, problem)


def _call(url: str, query: dict[str, str], body: str | None, seconds: float) -> tuple[int, str]:
    """Return the status and body of the portal's answer, or 0 and the reason."""
    target = urlsplit(url)
    kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
    connection = kind(target.hostname or "", target.port, timeout=seconds)
    path = f"{target.path or '/'}?{'&'.join(filter(None, (target.query, urlencode(query))))}"
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, body.encode(), {"Content-Type": "text/xml"})
        response = connection.getresponse()
        return response.status, response.read(ANSWER_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def _take_reply(world: World, app: App, userid: str, answer: str) -> str:
    """Show a passive reply to the member and return what is wrong with it, or ""."""
    if answer.strip() in ("", "success"):
        return ""
    try:
        envelope = fromstring(answer, forbid_dtd=True)
        sealed, signature, timestamp, nonce = (
            envelope.findtext(tag) or "" for tag in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")
        )
        reply = fromstring(world.crypto(app).decrypt(signature, timestamp, nonce, sealed), forbid_dtd=True)
    except CallbackRefused as refused:
        return _("被动回复无效：{reason}").format(reason=refused)
    except (ParseError, ValueError):
        return _("被动回复不是 XML")
    sender, receiver = reply.findtext("FromUserName") or "", reply.findtext("ToUserName") or ""
    if sender != world.config.corp_id or receiver.casefold() != userid.casefold():
        return _("被动回复的收发双方没有对调")
    return _show_reply(world, userid, reply)


def _show_reply(world: World, userid: str, reply: Element) -> str:
    kind = reply.findtext("MsgType")
    with world.lock:
        inbox = world.inboxes[userid]
        if kind == "text":
            add(world, inbox, "", "text", {"content": reply.findtext("Content") or ""})
            return ""
        pressed = [bubble.card for bubble in inbox if bubble.card and bubble.card.pressed]
        if kind == "update_button" and pressed:
            pressed[-1].locked = True
            pressed[-1].replaced = reply.findtext("Button/ReplaceName") or ""
            world.touch()
            return ""
    return _("模拟器不显示 {kind} 类的被动回复").format(kind=kind)


def check_url(world: World, app: App) -> bool:
    """Check the callback URL as saving it in the vendor's console does; return whether it passed."""
    timestamp, nonce, word = str(int(world.clock())), secrets.token_hex(8), str(secrets.randbits(62))
    echostr, signature = world.crypto(app).encrypt(word, timestamp, nonce)
    query = {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": echostr}
    began = time.monotonic()
    status, answer = _call(app.callback_url, query, None, world.config.check_seconds)
    passed = status == 200 and answer == word
    took = round((time.monotonic() - began) * 1000)
    note = _("URL 校验通过，{ms} 毫秒") if passed else _("URL 校验未通过，{ms} 毫秒")
    world.record("out", "entry", note.format(ms=took), answer[:500], status or NO_ANSWER)
    return passed
