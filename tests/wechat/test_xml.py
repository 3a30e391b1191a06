"""Callback bodies: what is read, and what is refused before anything vouches for it."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat.crypto import CallbackRefused
from wechat.xml import MAX_BYTES, Envelope, Message, parse_envelope, parse_message

DATA = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
PLAIN = {v["id"]: v["expect"]["plaintext"] for v in DATA["vectors"] if v["expect"].get("plaintext")}
LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><xml><Encrypt>&c;</Encrypt></xml>'
)
EVENTS = [("gen-enter-agent", "enter_agent", ""), ("gen-click", "click", "PENDING")]
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><Encrypt>&f;</Encrypt></xml>'


def code_of(body: bytes) -> int:
    with pytest.raises(CallbackRefused) as caught:
        parse_envelope(body)
    return caught.value.code


def test_it_reads_an_xml_envelope_in_any_order() -> None:
    body = "<xml><AgentID>218</AgentID><Encrypt><![CDATA[QUJD]]></Encrypt><ToUserName>ww1</ToUserName></xml>"
    assert parse_envelope(body.encode()) == Envelope("ww1", "218", "QUJD")


def test_it_reads_a_json_envelope() -> None:
    body = b'{"tousername": "ww1", "encrypt": "QUJD", "agentid": 218}'
    assert parse_envelope(body) == Envelope("ww1", "218", "QUJD")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<xml>",
        b"<xml><Encrypt></Encrypt></xml>",
        b"<xml><ToUserName>ww1</ToUserName></xml>",
        b"<xml><Encrypt>QUJD</Encrypt><Encrypt>QUJE</Encrypt></xml>",
        b"<xml><Encrypt>QUJD</Encrypt><encrypt>QUJE</encrypt></xml>",
        '<?xml version="1.0" encoding="gb18030"?><xml><Encrypt>密文</Encrypt></xml>'.encode("gb18030"),
        LAUGHS.encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?>' + LAUGHS.encode(),
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE x><xml><Encrypt>QUJD</Encrypt></xml>',
        b"<!DOCTYPE xml><xml><Encrypt>QUJD</Encrypt></xml>",
        LAUGHS.encode(),
        OUTSIDE.encode(),
        b"{",
        b"[]",
        b'{"encrypt": ["QUJD"]}',
        b'{"encrypt": "QUJD", "encrypt": "QUJE"}',
        b'{"a": ' + b"[" * 60_000,
        b'{"agentid": ' + b"9" * 5_000 + b', "encrypt": "QUJD"}',
        b"<xml>" + b"<a>" * 20_000,
        b"<xml><Encrypt>" + b"A" * MAX_BYTES + b"</Encrypt></xml>",
    ],
)
def test_it_refuses_every_other_envelope(body: bytes) -> None:
    assert code_of(body) == CallbackRefused.PARSE


def test_it_refuses_an_entity_bomb_at_once() -> None:
    began = time.perf_counter()
    assert code_of(LAUGHS.encode()) == CallbackRefused.PARSE
    assert time.perf_counter() - began < 0.05


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda b: b"<xml>" + b + b"</xml>"))
def test_it_never_fails_otherwise_on_random_bytes(body: bytes) -> None:
    try:
        outcome = len(parse_envelope(body).encrypt)
    except CallbackRefused as refused:
        outcome = refused.code
    assert outcome == CallbackRefused.PARSE or outcome > 0


def test_it_reads_a_text_message() -> None:
    message = parse_message(PLAIN["official-post"])
    assert (message.from_user, message.content, message.msg_type) == ("mycreate", "hello", "text")
    assert (message.msg_id, message.create_time, message.agent_id) == ("4561255354251345929", 1409659813, "218")
    assert (message.event, message.selected) == ("", {})


def test_it_reads_a_text_that_speaks_of_document_types() -> None:
    typed = "<!DOCTYPE x> <!ENTITY y>"
    assert parse_message(f"<xml><Content><![CDATA[{typed}]]></Content></xml>").content == typed


def test_it_reads_a_card_event() -> None:
    assert parse_message(PLAIN["gen-template-card-event-button"]) == Message(
        to_user="wx5823bf96d3bd56c7",
        from_user="zhangsan",
        create_time=1700000000,
        msg_type="event",
        agent_id="218",
        event="template_card_event",
        event_key="approve:A1024",
        task_id="alert-A1024@1",
        card_type="button_interaction",
        response_code="RC0001",
        selected={"silence": ["1h"]},
    )


@pytest.mark.parametrize(("vector", "event", "key"), EVENTS)
def test_it_reads_an_event(vector: str, event: str, key: str) -> None:
    message = parse_message(PLAIN[vector])
    assert (message.msg_type, message.event, message.event_key) == ("event", event, key)


def test_it_reads_other_spellings_of_a_tag_and_lowers_the_event() -> None:
    message = parse_message("<xml><AgentId>7</AgentId><Event>LOCATION</Event><Latitude>1</Latitude></xml>")
    assert (message.agent_id, message.event, message.from_user) == ("7", "location", "")


def test_it_reads_a_json_message() -> None:
    message = parse_message('{"FromUserName": "LiSi", "MsgType": "text", "Content": "同意", "CreateTime": 5}')
    assert (message.from_user, message.content, message.create_time) == ("LiSi", "同意", 5)


def test_it_reads_questions_without_an_answer() -> None:
    item = "<SelectedItem><QuestionKey>q</QuestionKey></SelectedItem>"
    assert parse_message(f"<xml><SelectedItems>{item}</SelectedItems></xml>").selected == {"q": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "\ud800",
        LAUGHS,
        OUTSIDE,
        "<xml><FromUserName>a</FromUserName><FromUserName>b</FromUserName></xml>",
        "<xml><CreateTime>soon</CreateTime></xml>",
        '{"CreateTime": "soon"}',
    ],
)
def test_it_refuses_every_other_message(text: str) -> None:
    with pytest.raises(CallbackRefused) as caught:
        parse_message(text)
    assert caught.value.code == CallbackRefused.PARSE
