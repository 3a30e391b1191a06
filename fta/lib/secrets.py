"""Seal secrets at rest, keep them out of logs, and sign what must not be rewritten in the database.

A sealed value reads `enc1:<key id>:<base64 of nonce | tag | ciphertext>`. The name of the column is authenticated with it, so a
value that was copied into another column does not open.
"""

import base64
import hashlib
import hmac
import logging
import os
import re
import threading
from functools import lru_cache

from Crypto.Cipher import AES
from django.conf import settings

PREFIX = "enc1"
MASK = "••••••••"


class SealBroken(ValueError):
    """A stored secret cannot be opened: its key is not among FTA_SECRET_KEYS, or the value was altered."""


@lru_cache(maxsize=32)
def _derive(key: str) -> tuple[str, bytes]:
    digest = hashlib.sha256(b"fta-seal:" + key.encode()).digest()
    return hashlib.sha256(b"fta-kid:" + digest).hexdigest()[:8], digest


def key_ids() -> list[str]:
    """Return the ids of the configured sealing keys, the sealing one first."""
    return [_derive(key)[0] for key in settings.FTA_SECRET_KEYS]


def seal(plain: str, context: str) -> str:
    """Encrypt `plain` for the column named by `context` with the first configured key."""
    kid, key = _derive(settings.FTA_SECRET_KEYS[0])
    nonce = os.urandom(12)
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    cipher.update(f"{context}|{kid}".encode())
    body, tag = cipher.encrypt_and_digest(plain.encode())
    return f"{PREFIX}:{kid}:{base64.b64encode(nonce + tag + body).decode()}"


def unseal(sealed: str, context: str) -> str:
    """Decrypt a value that `seal` made for the same context.

    Raises SealBroken when no configured key fits or the value was altered; never returns the ciphertext.
    """
    plain = _unsealed(sealed, context, tuple(settings.FTA_SECRET_KEYS))
    remember(plain)
    return plain


@lru_cache(maxsize=1024)
def _unsealed(sealed: str, context: str, configured: tuple[str, ...]) -> str:
    """Open a value once for all reads of its row: a channel is read for every message that goes to it."""
    try:
        prefix, kid, body = sealed.split(":", 2)
        raw = base64.b64decode(body, validate=True)
    except ValueError as error:
        raise SealBroken("The stored secret is not in the sealed format.") from error
    keys = dict(_derive(key) for key in configured)
    if prefix != PREFIX or kid not in keys:
        raise SealBroken(f"The stored secret was sealed with key {kid}, which is not in FTA_SECRET_KEYS.")
    cipher = AES.new(keys[kid], AES.MODE_GCM, nonce=raw[:12])
    cipher.update(f"{context}|{kid}".encode())
    try:
        return cipher.decrypt_and_verify(raw[28:], raw[12:28]).decode()
    except ValueError as error:
        raise SealBroken("The stored secret was altered or belongs to another column.") from error


def sign(text: str, context: str) -> str:
    """Return proof that a holder of the sealing key wrote `text` for `context`: `<key id>:<HMAC-SHA256 in hex>`."""
    return _signature(text, context, *_derive(settings.FTA_SECRET_KEYS[0]))


def is_signed(text: str, context: str, signature: object) -> bool:
    """Tell whether `signature` is what `sign` returned for the text and context under one of the configured keys."""
    made = [_signature(text, context, *_derive(key)) for key in settings.FTA_SECRET_KEYS]
    return any(hmac.compare_digest(str(signature), each) for each in made)


def _signature(text: str, context: str, kid: str, key: bytes) -> str:
    signed = hmac.new(hashlib.sha256(b"fta-sign:" + key).digest(), f"{context}|{text}".encode(), hashlib.sha256)
    return f"{kid}:{signed.hexdigest()}"


def digest(secret: str) -> str:
    """Return the SHA-256 of a credential of ours, the only form in which it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, stored: str) -> bool:
    """Compare a presented credential with its stored digest in constant time; an empty digest matches nothing."""
    return bool(stored) and hmac.compare_digest(digest(secret), stored)


def mask(value: str) -> str:
    """Return what a page may show of a secret: nothing for none, dots for some."""
    return MASK if value else ""


# --- Redaction by value: whatever secret this process has opened is cut out of its log lines ---------------------------

_known: set[str] = set()
_lock = threading.Lock()
_pattern: re.Pattern[str] | None = None
# Credentials that travel in URLs by the vendor's design: they are cut by name as well.
_URL_SECRET = re.compile(r"((?:\b(?:access_token|corpsecret)|[?&](?:key|secret|token))=)[^&\s\"']+", re.IGNORECASE)
# An alert source's secret may be the last part of the path; Django's log names the path of what was refused.
_PATH_SECRET = re.compile(r"(/intake/[a-z0-9_-]{1,32}/)[^/\n]{8,}")


def remember(*values: str) -> None:
    """Make `redact` cut these values from now on; values under 6 characters would cut ordinary words and are ignored."""
    global _pattern
    fresh = {value for value in values if len(value) >= 6} - _known
    if not fresh:
        return
    with _lock:
        _known.update(fresh)
        _pattern = None  # built anew for the next text that is redacted


def _known_pattern() -> re.Pattern[str]:
    global _pattern
    with _lock:
        if _pattern is None:
            longest_first = sorted(_known, key=len, reverse=True)
            _pattern = re.compile("|".join(re.escape(value) for value in longest_first))
        return _pattern


def redact(text: str) -> str:
    """Return `text` with every known secret value, and every credential in a URL, replaced by dots."""
    if _known:
        text = (_pattern or _known_pattern()).sub(MASK, text)
    return _PATH_SECRET.sub(rf"\1{MASK}", _URL_SECRET.sub(rf"\1{MASK}", text))


def without_part(text: str, *, begins: bool, ends: bool) -> str:
    """Return a redacted piece of a text without the part of a known secret on which it may begin or end.

    `begins` and `ends` say that the piece is the beginning, or the end, of its text: nothing is missing there.
    """
    for value in list(_known):
        parts = range(len(value) - 1, 0, -1)
        if not ends:
            text = text[: len(text) - next((size for size in parts if text.endswith(value[:size])), 0)]
        if not begins:
            text = text[next((size for size in parts if text.startswith(value[-size:])), 0) :]
    return text


class RedactFilter(logging.Filter):
    """Redact the finished message of every log record, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
