"""Every published and derived vector, and what a forger might try beyond them."""

import base64
import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from wechat.crypto import CallbackRefused, Crypto
from wechat.xml import parse_envelope

DATA = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
KEY = DATA["accounts"]["official"]["encoding_aes_key"]
WORDS = st.text(st.characters(blacklist_categories=["Cs"]))


def crypto_of(vector: dict[str, Any]) -> Crypto:
    """Make the receiver that a vector is for."""
    account = DATA["accounts"][vector["account"]] | vector.get("config_override", {})
    return Crypto(account["token"], account["encoding_aes_key"], account["receive_id"])


def receive(vector: dict[str, Any]) -> str:
    """Receive a vector as the entry does."""
    crypto, query = crypto_of(vector), vector["query"]
    names = (query["msg_signature"], query["timestamp"], query["nonce"])
    if vector["kind"] == "url_verify":
        return crypto.decrypt(*names, query["echostr"])
    return crypto.decrypt(*names, parse_envelope(vector["body"].encode()).encrypt)


def vectors(*kinds: str, ok: bool) -> list[Any]:
    chosen = [v for v in DATA["vectors"] if v["kind"] in kinds and v["expect"]["ok"] is ok]
    return [pytest.param(v, id=v["id"]) for v in chosen]


def sealed(packed: bytes) -> str:
    """Encrypt bytes that the encoder would never make, with the right key."""
    key = base64.b64decode(KEY + "=")
    return base64.b64encode(AES.new(key, AES.MODE_CBC, key[:16]).encrypt(packed)).decode()


def refusal(crypto: Crypto, encrypt: str) -> int:
    """Sign a ciphertext rightly and return the code it is refused with."""
    with pytest.raises(CallbackRefused) as caught:
        crypto.decrypt(crypto.sign("1", "2", encrypt), "1", "2", encrypt)
    return caught.value.code


@pytest.fixture
def crypto() -> Crypto:
    return Crypto("QDG6eK", KEY, "wx5823bf96d3bd56c7")


@pytest.mark.parametrize("vector", vectors("url_verify", "callback_post", ok=True))
def test_it_opens_every_good_vector(vector: dict[str, Any]) -> None:
    assert receive(vector) == vector["expect"]["plaintext"]


@pytest.mark.parametrize("vector", vectors("url_verify", "callback_post", ok=False))
def test_it_refuses_every_bad_vector_with_the_official_code(vector: dict[str, Any]) -> None:
    with pytest.raises(CallbackRefused) as caught:
        receive(vector)
    assert caught.value.code == vector["expect"]["error"]


@pytest.mark.parametrize("vector", vectors("encrypt_reply", ok=True))
def test_it_seals_byte_for_byte_like_the_published_replies(vector: dict[str, Any]) -> None:
    given_, expect = vector["input"], vector["expect"]
    args = (given_["plaintext"], given_["timestamp"], given_["nonce"], given_["random_ascii"].encode())
    assert crypto_of(vector).encrypt(*args) == (expect["encrypt"], expect["msg_signature"])
    reply, wanted = fromstring(crypto_of(vector).reply_xml(*args)), fromstring(expect["xml"])
    assert {e.tag: e.text for e in reply} == {e.tag: e.text for e in wanted}


def test_it_uses_every_vector() -> None:
    used = [*vectors("url_verify", "callback_post", ok=True), *vectors("url_verify", "callback_post", ok=False)]
    assert len(used) + len(vectors("encrypt_reply", ok=True)) == len(DATA["vectors"])


def test_it_refuses_a_flip_of_any_byte(crypto: Crypto) -> None:
    encrypt, signature = crypto.encrypt("<xml>同意</xml>", "1", "2")
    for position in range(len(encrypt)):
        other = "A" if encrypt[position] != "A" else "B"
        forged = encrypt[:position] + other + encrypt[position + 1 :]
        with pytest.raises(CallbackRefused) as caught:
            crypto.decrypt(signature, "1", "2", forged)
        assert caught.value.code == CallbackRefused.SIGNATURE


@pytest.mark.parametrize("pad", [b"\x00" * 32, b"\x21" * 33, b"\xff" * 32, b"\x01" * 31 + b"\x20", b"\x03\x02\x03"])
def test_it_refuses_a_wrong_padding(crypto: Crypto, pad: bytes) -> None:
    body = (b"r" * 16 + (5).to_bytes(4, "big") + b"hello" + b"wx5823bf96d3bd56c7").ljust(96 - len(pad), b"x") + pad
    assert refusal(crypto, sealed(body)) == CallbackRefused.BUFFER


@pytest.mark.parametrize("length", [2**31, 2**32 - 1, 1000, 44])
def test_it_refuses_a_length_beyond_the_message(crypto: Crypto, length: int) -> None:
    body = b"r" * 16 + length.to_bytes(4, "big") + b"hello" + b"wx5823bf96d3bd56c7"
    assert refusal(crypto, sealed(body + b"\x15" * 21)) == CallbackRefused.BUFFER


def test_it_refuses_a_length_that_moves_the_receiver(crypto: Crypto) -> None:
    body = b"r" * 16 + (0).to_bytes(4, "big") + b"hello" + b"wx5823bf96d3bd56c7"
    assert refusal(crypto, sealed(body + b"\x15" * 21)) == CallbackRefused.RECEIVE_ID


@pytest.mark.parametrize(
    ("encrypt", "code"),
    [("", -40007), ("QUJD", -40007), ("QUJ", -40010), ("同意", -40010), ("QUJD\n", -40010), ("Q" * 64, -40008)],
)
def test_it_refuses_what_is_no_ciphertext(crypto: Crypto, encrypt: str, code: int) -> None:
    assert refusal(crypto, encrypt) == code


def test_it_refuses_a_message_that_is_only_padding(crypto: Crypto) -> None:
    assert refusal(crypto, sealed(b"\x20" * 32)) == CallbackRefused.BUFFER


def test_it_refuses_a_message_that_is_not_utf8(crypto: Crypto) -> None:
    body = b"r" * 16 + (5).to_bytes(4, "big") + b"\xff" * 5 + b"wx5823bf96d3bd56c7"
    assert refusal(crypto, sealed(body + b"\x15" * 21)) == CallbackRefused.BUFFER


@pytest.mark.parametrize("signature", ["", "同意", "\ud800", "0" * 40])
def test_it_refuses_a_signature_of_any_shape(crypto: Crypto, signature: str) -> None:
    encrypt, _signature = crypto.encrypt("hello", "1", "2")
    with pytest.raises(CallbackRefused) as caught:
        crypto.decrypt(signature, "1", "2", encrypt)
    assert caught.value.code == CallbackRefused.SIGNATURE


def test_it_refuses_values_that_cannot_be_signed(crypto: Crypto) -> None:
    with pytest.raises(CallbackRefused) as caught:
        crypto.decrypt("0" * 40, "1", "\ud800", "QUJD")
    assert caught.value.code == CallbackRefused.SHA1


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "A", KEY[:-1] + "+", KEY[:-1] + "\n", KEY[:-1] + "键"])
def test_it_refuses_a_key_of_another_shape(key: str) -> None:
    with pytest.raises(CallbackRefused) as caught:
        Crypto("token", key, "corp")
    assert caught.value.code == CallbackRefused.AES_KEY


@given(plaintext=WORDS, nonce=WORDS, random16=st.binary(min_size=16, max_size=16))
def test_it_opens_what_it_seals(plaintext: str, nonce: str, random16: bytes) -> None:
    crypto = Crypto("QDG6eK", KEY, "wx5823bf96d3bd56c7")
    encrypt, signature = crypto.encrypt(plaintext, "1700000000", nonce, random16)
    assert crypto.decrypt(signature, "1700000000", nonce, encrypt) == plaintext
    with pytest.raises(CallbackRefused):
        Crypto("QDG6eK", KEY, "another-corp").decrypt(signature, "1700000000", nonce, encrypt)


@given(garbage=st.binary(min_size=1, max_size=12).map(lambda part: part * 16))
def test_it_never_fails_otherwise_on_garbage_with_a_right_signature(garbage: bytes) -> None:
    crypto = Crypto("QDG6eK", KEY, "wx5823bf96d3bd56c7")
    assert refusal(crypto, base64.b64encode(garbage).decode()) in {-40005, -40008}
