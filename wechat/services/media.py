"""What a robot sends beside words: the picture of a message, and the whole of a text that is too long. Source: page 91770."""

import base64
import hashlib
import logging
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from fta.lib import http
from notify.message import Message, cut, size
from wechat.services.payloads import TEXT_BYTES, Payload

logger = logging.getLogger(__name__)

IMAGE_BYTES = 2 * 1024 * 1024
FILE_BYTES = 20 * 1024 * 1024
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # all that a robot takes: PNG and JPG


@dataclass(frozen=True)
class Whole:
    """A long text as a file, and the short message that goes before it."""

    head: Message
    name: str
    raw: bytes


def picture(message: Message) -> Payload | None:
    """Return the picture of a message as a robot's image; None where there is none that a robot takes.

    What cannot be fetched must not hold back the words: the message is sent without it.
    """
    if not message.picture.startswith(("http://", "https://")):
        return None
    try:
        raw = http.request("GET", message.picture, max_bytes=IMAGE_BYTES).body
    except http.HttpError as error:
        logger.warning("Unable to fetch the picture of a message: %s", error)
        return None
    if not raw.startswith(_SIGNATURES):
        return None
    checksum = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    return {"msgtype": "image", "image": {"base64": base64.b64encode(raw).decode(), "md5": checksum}}


def whole(message: Message) -> Whole | None:
    """Return a text that is too long for one message as a file with its beginning; None for a text that fits."""
    text = message.text.strip()
    if size(text) <= TEXT_BYTES:
        return None
    note = "\n" + _("…… 全文见附件。")
    head = replace(message, form="text", text=cut(text, TEXT_BYTES - size(note)) + note)
    return Whole(head, "message.txt", text.encode()[:FILE_BYTES])
