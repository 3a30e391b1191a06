"""Reading of WeCom's callback bodies: the envelope around the ciphertext and the message inside it.

Both are parsed before anything vouches for them (the ciphertext that is signed stands inside the envelope), so no
document type, no entity and nothing larger than 64 KiB is let through.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from wechat.crypto import CallbackRefused

MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Envelope:
    """The outside of a callback; `agent_id` is absent from callbacks that belong to no application."""

    to_user: str
    agent_id: str
    encrypt: str


@dataclass(frozen=True)
class Message:
    """A member's message or event. `from_user` is as sent: compare it casefolded. `event` is lower case."""

    to_user: str = ""
    from_user: str = ""
    create_time: int = 0
    msg_type: str = ""
    msg_id: str = ""
    agent_id: str = ""
    event: str = ""
    event_key: str = ""
    task_id: str = ""
    card_type: str = ""
    response_code: str = ""
    content: str = ""
    selected: dict[str, list[str]] = field(default_factory=dict)


# Tags are matched in lower case: the vendor itself writes both AgentID and AgentId, and JSON packets have `tousername`.
_ENVELOPE = {"tousername": "to_user", "agentid": "agent_id", "encrypt": "encrypt"}
_MESSAGE = {
    "tousername": "to_user",
    "fromusername": "from_user",
    "createtime": "create_time",
    "msgtype": "msg_type",
    "msgid": "msg_id",
    "agentid": "agent_id",
    "event": "event",
    "eventkey": "event_key",
    "taskid": "task_id",
    "cardtype": "card_type",
    "responsecode": "response_code",
    "content": "content",
}


def parse_envelope(body: bytes) -> Envelope:
    """Return the envelope of a callback body, XML or JSON. Raises CallbackRefused(-40002) for anything else."""
    _root, found = _read(body, _ENVELOPE)
    if not found.get("encrypt"):
        raise _refused("no Encrypt")
    return Envelope(found.get("to_user", ""), found.get("agent_id", ""), found["encrypt"])


def parse_message(text: str) -> Message:
    """Return the decrypted message, XML or JSON. Raises CallbackRefused(-40002) for anything else."""
    try:
        root, found = _read(text.encode(), _MESSAGE)
        created = int(found.pop("create_time", "0") or "0")
    except ValueError as error:
        raise _refused("a value is not what its tag says") from error
    found["event"] = found.get("event", "").lower()
    return Message(**found, create_time=created, selected={} if root is None else _selected(root))


def _read(body: bytes, names: dict[str, str]) -> tuple[Element | None, dict[str, str]]:
    """Return the root (None for JSON) and the wanted values; a tag that appears twice is refused."""
    if len(body) > MAX_BYTES:
        raise _refused("the body is too large")
    try:
        if body[:1] == b"{":
            return None, _pick(_json_items(body), names)
        root = _tree(body.decode())
    # ParseError is a SyntaxError; what is not UTF-8 and the refusal of a document type are ValueErrors.
    except (ParseError, ValueError, RecursionError) as error:
        raise _refused("the body is neither XML nor JSON") from error
    return root, _pick(((child.tag, (child.text or "").strip()) for child in root), names)


def _tree(text: str) -> Element:
    """Return the root of a text that has no document type."""
    # Without this word there is no document type and so no entity, and the parser in C, which always takes a str for
    # what it is and heeds no declared encoding, is safe and three times as fast. A member may type the word, though.
    if "<!DOCTYPE" in text:
        return fromstring(text, forbid_dtd=True)
    return ElementTree.fromstring(text)  # noqa: S314


def _json_items(body: bytes) -> list[tuple[str, str]]:
    items: list[tuple[str, object]] = json.loads(body, object_pairs_hook=list)
    return [(name, str(value)) for name, value in items if isinstance(value, str | int)]


def _pick(items: Iterable[tuple[str, str]], names: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag, value in items:
        name = names.get(tag.lower())
        if name is None:
            continue
        if name in found:
            raise _refused("a tag appears twice")
        found[name] = value
    return found


def _selected(root: Element) -> dict[str, list[str]]:
    """Return the options chosen on a card by question; an option list may be empty or missing."""
    items = root.find("SelectedItems")
    if items is None:
        return {}
    return {
        (item.findtext("QuestionKey") or "").strip(): [
            (option.text or "").strip() for option in item.iterfind("OptionIds/OptionId")
        ]
        for item in items.iterfind("SelectedItem")
    }


def _refused(reason: str) -> CallbackRefused:
    return CallbackRefused(CallbackRefused.PARSE, reason)
