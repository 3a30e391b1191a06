"""Signing, opening and sealing of WeCom callbacks.

Source: the vendor's pages on callback encryption (document paths 90930, 91144): SHA1 over the four sorted values,
AES-256-CBC with IV = key[:16], random(16) + length(4, big endian) + message + receiveid, padded to 32 bytes.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets

from Crypto.Cipher import AES

_KEY_SHAPE = re.compile(r"[A-Za-z0-9]{43}")
_PREFIX = 20  # 16 random bytes and the length
_PADS = tuple(bytes([n]) * n for n in range(33))


class CallbackRefused(Exception):
    """A callback is forged, damaged or not for us; the code is the one of the vendor's own libraries."""

    SIGNATURE = -40001
    PARSE = -40002
    SHA1 = -40003
    AES_KEY = -40004
    RECEIVE_ID = -40005
    ENCRYPT = -40006
    DECRYPT = -40007
    BUFFER = -40008
    BASE64 = -40010

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Crypto:
    """The callback secrets of one application.

    `receive_id` is the corp id for a corp's own application. Raises CallbackRefused(-40004) for a key of a wrong shape.
    """

    def __init__(self, token: str, encoding_aes_key: str, receive_id: str) -> None:
        if not _KEY_SHAPE.fullmatch(encoding_aes_key):
            raise CallbackRefused(CallbackRefused.AES_KEY, "EncodingAESKey is not 43 letters or digits")
        self.token = token
        self.receive_id = receive_id
        self._key = base64.b64decode(encoding_aes_key + "=")
        self._iv = self._key[:16]
        self._receive_id = receive_id.encode()

    def sign(self, timestamp: str, nonce: str, encrypt: str) -> str:
        """Return the signature, which covers the sorted values without any delimiter."""
        try:
            joined = "".join(sorted((self.token, timestamp, nonce, encrypt))).encode()
        except UnicodeEncodeError as error:  # a lone surrogate out of a JSON body
            raise CallbackRefused(CallbackRefused.SHA1, "a signed value is not text") from error
        return hashlib.sha1(joined, usedforsecurity=False).hexdigest()

    def decrypt(self, msg_signature: str, timestamp: str, nonce: str, encrypt: str) -> str:
        """Return the plaintext of a callback; of the URL check it is the text expected as the bare body.

        Nothing is decoded before the signature holds.
        """
        expected = self.sign(timestamp, nonce, encrypt)
        if not hmac.compare_digest(expected.encode(), msg_signature.encode(errors="replace")):
            raise CallbackRefused(CallbackRefused.SIGNATURE, "the signature does not match")
        try:
            sealed = binascii.a2b_base64(encrypt, strict_mode=True)
        except ValueError as error:
            raise CallbackRefused(CallbackRefused.BASE64, "the ciphertext is not base64") from error
        if not sealed or len(sealed) % 16:
            raise CallbackRefused(CallbackRefused.DECRYPT, "the ciphertext is not a number of blocks")
        return self._unpack(AES.new(self._key, AES.MODE_CBC, self._iv).decrypt(sealed))

    def _unpack(self, padded: bytes) -> str:
        pad = padded[-1]
        if not 1 <= pad <= 32 or not padded.endswith(_PADS[pad]):
            raise CallbackRefused(CallbackRefused.BUFFER, "the padding is wrong")
        end = len(padded) - pad
        stop = _PREFIX + int.from_bytes(padded[16:_PREFIX], "big")
        if end < _PREFIX or stop > end:
            raise CallbackRefused(CallbackRefused.BUFFER, "the length is wrong")
        if not hmac.compare_digest(padded[stop:end], self._receive_id):
            raise CallbackRefused(CallbackRefused.RECEIVE_ID, "the message is for another corp")
        try:
            return padded[_PREFIX:stop].decode()
        except UnicodeDecodeError as error:
            raise CallbackRefused(CallbackRefused.BUFFER, "the message is not UTF-8") from error

    def encrypt(self, plaintext: str, timestamp: str, nonce: str, random16: bytes | None = None) -> tuple[str, str]:
        """Return the ciphertext of a message and its signature; `random16` fixes the random part for a test."""
        message = plaintext.encode()
        head = secrets.token_bytes(16) if random16 is None else random16
        packed = head + len(message).to_bytes(4, "big") + message + self._receive_id
        packed += _PADS[32 - len(packed) % 32]
        sealed = base64.b64encode(AES.new(self._key, AES.MODE_CBC, self._iv).encrypt(packed)).decode()
        return sealed, self.sign(timestamp, nonce, sealed)

    def reply_xml(self, plaintext: str, timestamp: str, nonce: str, random16: bytes | None = None) -> str:
        """Return the body of a passive reply. The vendor spells the tag `TimeStamp`, unlike the query's name."""
        sealed, signature = self.encrypt(plaintext, timestamp, nonce, random16)
        return (
            f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        )
