"""The simulated corp: who is in it, what was sent, what is to go wrong. Everything is in memory and thread safe."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from itertools import count

from wechat.crypto import Crypto
from wechat.simulator.config import App, Config, Member
from wechat.simulator.state import (
    Bubble,
    Call,
    Conversation,
    Faults,
    Json,
    LoginCode,
    Refused,
    ResponseCode,
    Sent,
    Token,
)

LOG_LENGTH = 500


class World:
    """One corp. Hold `lock` while reading or changing several things; `clock` gives epoch seconds."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.clock = clock
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self.version = 0
        # The portal remembers a message's identity for 90 days, so numbers must not start again with the process.
        self._ids = count(time.time_ns() // 1000)
        self.reset()

    def reset(self) -> None:
        """Forget everything that happened since the start."""
        with self.lock:
            config = self.config
            self.faults = Faults()
            self.tokens: dict[str, Token] = {}
            self.wrong_secrets = 0
            self.inboxes: dict[str, list[Bubble]] = {member.userid: [] for member in config.members}
            self.dropped: list[Bubble] = []  # accepted, and never shown to the member it was for
            self.reached_at: dict[tuple[int, str], deque[float]] = {}
            self.sends_at: deque[float] = deque()
            self.sent: dict[str, Sent] = {}
            self.duplicates: dict[str, Sent] = {}
            self.task_ids: set[tuple[int, str]] = set()
            self.response_codes: dict[str, ResponseCode] = {}
            self.login_codes: dict[str, LoginCode] = {}
            self.robots = {key: Conversation(key, name) for key, name in config.robots.items()}
            self.chats = {
                chat.chat_id: Conversation(
                    chat.chat_id,
                    chat.name,
                    owner=chat.owner,
                    members=list(chat.members),
                    agent_id=config.apps[0].agent_id,
                )
                for chat in config.chats
            }
            self.media: dict[str, str] = {}  # the name of each uploaded file, by its media id
            self.menus: dict[int, list[Json]] = {}
            if config.menu:
                self.menus[config.apps[0].agent_id] = [dict(button) for button in config.menu]
            self.held: list[Callable[[], object]] = []
            self.calls: deque[Call] = deque(maxlen=LOG_LENGTH)
            self.touch()

    def touch(self) -> None:
        """Tell the pages and whoever waits that something changed."""
        with self._changed:
            self.version += 1
            self._changed.notify_all()

    def wait_until(self, happened: Callable[["World"], bool], seconds: float = 5.0) -> bool:
        """Wait for something to happen; return whether it did. For tests."""
        with self._changed:
            return self._changed.wait_for(lambda: happened(self), seconds)

    def next_id(self) -> int:
        """Return a number that was never given out before."""
        with self.lock:
            return next(self._ids)

    def clear_conversations(self) -> None:
        """Empty every conversation and the log, keeping tokens, menus and faults."""
        with self.lock:
            for conversation in (*self.robots.values(), *self.chats.values()):
                conversation.bubbles.clear()
            for inbox in (*self.inboxes.values(), self.dropped):
                inbox.clear()
            self.calls.clear()
            self.touch()

    # people and applications

    def app(self, agent_id: object) -> App:
        """Return the application of an agent id, a number or numeric string. Raises Refused(40056)."""
        for app in self.config.apps:
            if str(agent_id) == str(app.agent_id):
                return app
        raise Refused(40056, "invalid agentid")

    def member(self, userid: str) -> Member | None:
        """Return a member; userids are compared without case, as the vendor does."""
        wanted = userid.strip().casefold()
        return next((m for m in self.config.members if m.userid.casefold() == wanted), None)

    def crypto(self, app: App) -> Crypto:
        """Return the callback cipher of an application."""
        return Crypto(app.token, app.aes_key, self.config.corp_id)

    # log

    def record(self, direction: str, name: str, note: str = "", detail: str = "", result: int = 0) -> Call:
        """Write a line of the log and return it."""
        with self.lock:
            call = Call(self.next_id(), self.clock(), direction, name, note, detail, result)
            self.calls.append(call)
            self.touch()
            return call

    # tokens

    def issue_token(self, app: App) -> Token:
        """Return the running token of an application, or a new one."""
        now = self.clock()
        with self.lock:
            if self.config.reuse_tokens:
                for token in self.tokens.values():
                    if token.agent_id == app.agent_id and not token.invalid and token.expires_at > now:
                        return token
            token = Token(secrets.token_urlsafe(48), app.agent_id, now + self.config.token_seconds)
            self.tokens[token.value] = token
            return token

    def app_of_token(self, value: str | None) -> App:
        """Return the application that a token speaks for. Raises Refused(41001, 40014 or 42001)."""
        if not value:
            raise Refused(41001, "access_token missing")
        with self.lock:
            token = self.tokens.get(value)
            if token is None or token.invalid or self.faults.next_token_invalid:
                self.faults.next_token_invalid = False
                self.tokens.pop(value, None)
                raise Refused(40014, "invalid access_token")
            if token.expires_at <= self.clock() or self.faults.next_token_expired:
                self.faults.next_token_expired = False
                self.tokens.pop(value, None)
                raise Refused(42001, "access_token expired")
            return self.app(token.agent_id)

    # rights that work once

    def issue_response_code(self, agent_id: int, msgid: str, userids: list[str]) -> str:
        """Return a fresh right to update a card."""
        code = secrets.token_urlsafe(24)
        with self.lock:
            self.response_codes[code] = ResponseCode(code, agent_id, msgid, userids, self.clock())
        return code

    def issue_login_code(self, agent_id: int, userid: str) -> str:
        """Return a fresh login code."""
        code = secrets.token_urlsafe(32)
        with self.lock:
            self.login_codes[code] = LoginCode(code, agent_id, userid, self.clock())
        return code

    def snapshot(self) -> Json:
        """Return everything a test may want to see, as JSON."""
        with self.lock:
            return {
                "version": self.version,
                "faults": asdict(self.faults),
                "members": {userid: [asdict(b) for b in bubbles] for userid, bubbles in self.inboxes.items()},
                "robots": {key: [asdict(b) for b in robot.bubbles] for key, robot in self.robots.items()},
                "chats": {
                    key: {
                        "name": chat.name,
                        "owner": chat.owner,
                        "members": list(chat.members),
                        "messages": [asdict(b) for b in chat.bubbles],
                    }
                    for key, chat in self.chats.items()
                },
                "menus": {str(agent): menu for agent, menu in self.menus.items()},
                "calls": [asdict(call) for call in self.calls],
                "held_callbacks": len(self.held),
            }
