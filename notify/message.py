"""What is to be said, apart from how it is sent: the value between those who announce and the transports that carry.

A message is kept as JSON in its delivery, so that it is sent as it was decided, whatever changed since.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast, get_args

from django.utils.translation import gettext as _

Form = Literal["text", "markdown", "textcard", "news", "approval_card", "card_update", "plain"]
_MAX_PARTS = 4


@dataclass(frozen=True)
class Message:
    """One message. `plain` leaves the form to the transport; `data` is what only one transport understands."""

    form: Form
    title: str = ""
    text: str = ""
    url: str = ""
    picture: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    state: str = ""
    task_id: str = ""
    buttons: tuple[tuple[str, str, str], ...] = ()  # label, key, style
    mentions: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the message as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a message that `to_json` wrote; raises ValueError for a form that nobody knows."""
        if data.get("form") not in get_args(Form):
            raise ValueError(f"Unknown form of message: {data.get('form')!r}")
        facts = tuple((str(name), str(value)) for name, value in data.get("facts", ()))
        buttons = tuple((str(label), str(key), str(style)) for label, key, style in data.get("buttons", ()))
        rest = {name: data[name] for name in ("title", "text", "url", "picture", "state", "task_id") if name in data}
        return cls(
            form=cast(Form, data["form"]),
            facts=facts,
            buttons=buttons,
            mentions=tuple(data.get("mentions", ())),
            data=dict(data.get("data", {})),
            **rest,
        )


def as_text(message: Message) -> str:
    """Return a message in words: the title of a card stands above its text, that of any other message is in it already."""
    lines = [message.title, message.text] if message.form in ("textcard", "news") else [message.text]
    return "\n".join(line for line in map(str.strip, lines) if line) or message.title


def size(text: str) -> int:
    """Return the length in UTF-8 bytes, which is what WeCom counts."""
    return len(text.encode())


def cut(text: str, limit: int) -> str:
    """Return the longest beginning of the text that fits into `limit` bytes, never half a character."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[:limit].decode(errors="ignore")


def split(text: str, limit: int, link: str = "") -> list[str]:
    """Split a text at line ends into at most four parts of at most `limit` bytes each.

    What does not fit into four parts is left out in the open: the last part then ends with how much is missing and with
    `link`, where the whole can be read. A single line longer than a part is cut between characters.
    """
    parts: list[str] = []
    rest = text
    while rest and len(parts) < _MAX_PARTS:
        head = _head(rest, limit)
        parts.append(head.rstrip("\n"))
        rest = rest[len(head) :]
    if rest.strip():
        tail = "\n" + _("…… 还有 %(count)d 字未显示") % {"count": len(rest)}
        tail += _("，全文：%(link)s") % {"link": link} if link else ""
        parts[-1] = cut(parts[-1], limit - size(tail)) + tail
    return parts or [""]


def _head(text: str, limit: int) -> str:
    head = cut(text, limit)
    if len(head) == len(text):
        return head
    end = head.rfind("\n")
    return head[: end + 1] if end > 0 else head
