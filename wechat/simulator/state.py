"""The things that a simulated corp holds in memory."""

from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

Json = dict[str, Any]


class Refused(Exception):
    """The simulated server answers a call with an error code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


@dataclass
class Faults:
    """What is to go wrong. Those named `next_…` hit one call and are gone."""

    untrusted_ip: bool = False
    over_frequency: bool = False
    next_token_expired: bool = False
    next_token_invalid: bool = False
    next_errcodes: list[int] = field(default_factory=list)
    next_http_statuses: list[int] = field(default_factory=list)
    disabled_robots: list[str] = field(default_factory=list)
    slow_seconds: float = 0.0
    agent_closed: bool = False
    server_error: bool = False
    silent_drop: bool = False
    duplicate: bool = False
    reorder: bool = False
    wrong_signature: bool = False
    wrong_corp: bool = False

    def set(self, changes: Json) -> None:
        """Turn faults on or off by name. Raises Refused for an unknown name or a value of another type."""
        known = {item.name for item in fields(self)}
        for name, value in changes.items():
            kind = type(getattr(self, name)) if name in known else None
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                raise Refused(40058, f"no fault {name} with such a value")
            setattr(self, name, value)


@dataclass
class Token:
    """An access token of one application."""

    value: str
    agent_id: int
    expires_at: float
    invalid: bool = False


@dataclass
class Card:
    """A template card as one member sees it now."""

    task_id: str
    msgid: str
    agent_id: int
    body: Json
    locked: bool = False
    replaced: str = ""
    pressed: str = ""


@dataclass
class Bubble:
    """One entry of a conversation; `sender` is a userid, or "" for the application or robot."""

    id: int
    at: float
    sender: str
    msgtype: str
    body: Json
    msgid: str = ""
    card: Card | None = None
    recalled: bool = False


@dataclass
class ResponseCode:
    """The right to update a card once."""

    code: str
    agent_id: int
    msgid: str
    userids: list[str]
    issued_at: float
    used: bool = False


@dataclass
class LoginCode:
    """The right to learn once who logged in."""

    code: str
    agent_id: int
    userid: str
    issued_at: float
    used: bool = False


@dataclass
class Sent:
    """A message that was sent, for recall and for the duplicate check."""

    msgid: str
    agent_id: int
    sent_at: float
    answer: Json


@dataclass
class Conversation:
    """A robot's group or a group chat made by an application."""

    key: str
    name: str
    bubbles: list[Bubble] = field(default_factory=list)
    sent_at: deque[float] = field(default_factory=deque)
    owner: str = ""
    members: list[str] = field(default_factory=list)
    agent_id: int = 0


@dataclass
class Call:
    """One line of the log: a call of the portal ("in") or a callback to it ("out")."""

    id: int
    at: float
    direction: str
    name: str
    note: str = ""
    detail: str = ""
    result: int = 0

    @property
    def good(self) -> bool:
        """Return whether the other side was content."""
        return self.result == 0 or 200 <= self.result < 300
