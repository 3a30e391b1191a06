"""HTTP 回调 against a real server on loopback."""

import json
import socket
import threading
from typing import Any

import pytest

from fta.healing.runners import RUNNERS
from tests.fta.runners.conftest import STEP_KEY, run
from tests.fta.runners.payloads import HOSTILE
from tests.fta.runners.sink import Sink


def test_it_sends_a_request_that_the_target_can_tell_from_a_second_one(sink: Sink) -> None:
    body = {"ip": "${ip}", "list": ["${execution.id}", 3]}
    outcome = run("http", {"url": f"{sink.url}/restart", "body": body}, {"ip": "10.0.0.1", "execution.id": "7"})
    assert (outcome.state, outcome.result) == ("succeeded", {"status": 200, "json": {"ok": True}})
    seen = sink.seen[0]
    assert (seen.method, seen.path, json.loads(seen.body)) == ("POST", "/restart", {"ip": "10.0.0.1", "list": ["7", 3]})
    assert seen.headers["Idempotency-Key"] == str(STEP_KEY)
    assert seen.headers["X-Heal-Fence"] == "3"


def test_a_body_may_be_json_written_as_text_or_plain_text(sink: Sink) -> None:
    run("http", {"url": sink.url, "body": '{"content": "${content}"}'}, {"content": 'a", "admin": "1'})
    run("http", {"url": sink.url, "body": "[${severity}] 处理", "method": "PUT"}, {"severity": "critical"})
    assert json.loads(sink.seen[0].body) == {"content": 'a", "admin": "1'}
    assert (sink.seen[1].method, sink.seen[1].body.decode()) == ("PUT", "[critical] 处理")


def test_no_hostile_value_changes_the_shape_of_a_body(sink: Sink) -> None:
    for value in HOSTILE[::3]:
        run("http", {"url": sink.url, "body": {"a": {"b": ["${labels.a}"]}}}, {"labels.a": value})
        assert json.loads(sink.seen[-1].body) == {"a": {"b": [value]}}


def test_values_in_the_url_are_quoted(sink: Sink) -> None:
    values = {"labels.a": "../admin?x=1&y#z %2f", "params.q": "值"}
    run("http", {"url": f"{sink.url}/host/${{labels.a}}?q=${{params.q}}"}, values)
    assert sink.seen[0].path == "/host/..%2Fadmin%3Fx%3D1%26y%23z%20%252f?q=%E5%80%BC"


@pytest.mark.parametrize("value", ["..", ".", "%2e%2e"])
def test_a_value_cannot_climb_in_the_path(sink: Sink, value: str) -> None:
    outcome = run("http", {"url": f"{sink.url}/a/${{labels.a}}/b"}, {"labels.a": value})
    assert outcome.state == "failed" if value != "%2e%2e" else sink.seen[0].path == "/a/%252e%252e/b"
    assert value == "%2e%2e" or sink.seen == []


def test_line_ends_from_an_alert_cannot_forge_a_header(sink: Sink) -> None:
    params = {"url": sink.url, "headers": {"X-Host": "${labels.instance}"}}
    outcome = run("http", params, {"labels.instance": "a\r\nX-Admin: 1"})
    assert (outcome.state, outcome.outcome, outcome.retryable, sink.seen) == ("failed", "not_sent", False, [])
    run("http", params, {"labels.instance": "web-11"})
    assert sink.seen[0].headers["X-Host"] == "web-11"


def test_secrets_are_taken_by_name_and_cut_out_of_the_answer(sink: Sink) -> None:
    secrets = {"token": "tok-canary-0123456789", "password": "pw-canary-0123456789"}
    sink.body = json.dumps({"echo": secrets["token"], "nul": "\0x", "inf": 1}).encode().replace(b"1}", b"1e999}")
    bearer = {"url": sink.url, "auth": {"type": "bearer", "secret": "token"}, "secret_headers": {"X-Key": "password"}}
    basic = {"url": sink.url, "auth": {"type": "basic", "username": "fta", "secret": "password"}}
    outcome = run("http", bearer, raw_secrets=secrets)
    run("http", basic, raw_secrets=secrets)
    assert sink.seen[0].headers["Authorization"] == "Bearer tok-canary-0123456789"
    assert sink.seen[0].headers["X-Key"] == "pw-canary-0123456789"
    assert sink.seen[1].headers["Authorization"] == "Basic ZnRhOnB3LWNhbmFyeS0wMTIzNDU2Nzg5"
    assert "canary" not in outcome.output
    assert outcome.result["json"] == {"echo": "••••••••", "nul": "x", "inf": None}


def test_a_secret_that_the_package_does_not_have_is_named(sink: Sink) -> None:
    outcome = run("http", {"url": sink.url, "auth": {"type": "bearer", "secret": "token"}})
    assert (outcome.state, sink.seen) == ("failed", [])
    assert "token" in outcome.error


@pytest.mark.parametrize(
    ("status", "success", "state"),
    [
        (200, None, "succeeded"),
        (204, None, "succeeded"),
        (302, None, "failed"),
        (500, None, "failed"),
        (202, {"status": [200]}, "failed"),
        (404, {"status": [200, 404]}, "succeeded"),
        (200, {"jmespath": "code == `0`"}, "succeeded"),
        (200, {"jmespath": "code"}, "succeeded"),
        (200, {"jmespath": "code == `1`"}, "failed"),
        (200, {"jmespath": "absent"}, "failed"),
        (200, {"jmespath": "abs(name)"}, "failed"),
    ],
)
def test_it_judges_by_status_and_expression(sink: Sink, status: int, success: Any, state: str) -> None:
    sink.status, sink.body = status, b'{"code": 0, "name": "x"}'
    params = {"url": sink.url} | ({"success": success} if success else {})
    outcome = run("http", params)
    assert (outcome.state, outcome.result["status"]) == (state, status)
    assert bool(outcome.error) is (state == "failed")


def test_a_redirect_is_not_followed(sink: Sink) -> None:
    sink.status, sink.headers = 302, {"Location": "http://169.254.169.254/latest"}
    assert run("http", {"url": sink.url}).state == "failed"
    assert len(sink.seen) == 1


@pytest.mark.parametrize(("policy", "state", "retryable"), [("once", "unknown", False), ("idempotent", "failed", True)])
def test_without_an_answer_the_policy_decides(sink: Sink, policy: str, state: str, retryable: bool) -> None:
    sink.behaviour = "drop"
    outcome = run("http", {"url": sink.url}, policy=policy)
    assert (outcome.state, outcome.outcome, outcome.retryable) == (state, "no_answer", retryable)


def test_what_was_not_sent_may_be_tried_again(settings: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.FTA_HTTP_ALLOW = ["127.0.0.0/8"]
    outcome = run("http", {"url": f"http://127.0.0.1:{port}/"})
    assert (outcome.state, outcome.outcome, outcome.retryable) == ("failed", "not_sent", True)


def test_a_refused_destination_names_the_remedy_and_is_not_tried_again(sink: Sink, settings: Any) -> None:
    settings.FTA_HTTP_ALLOW = []
    outcome = run("http", {"url": "http://${ip}:" + f"{sink.port}/"}, {"ip": "127.0.0.1"})
    assert (outcome.state, outcome.retryable, sink.seen) == ("failed", False, [])
    assert "FTA_HTTP_ALLOW" in outcome.error


def test_a_ghost_sends_nothing(sink: Sink) -> None:
    lost = threading.Event()
    lost.set()
    assert (run("http", {"url": sink.url}, lost=lost).state, sink.seen) == ("unknown", [])


@pytest.mark.parametrize("shown", [1, 10, 20])
def test_a_cut_shows_no_part_of_a_secret(sink: Sink, shown: int) -> None:
    secret = "tok-canary-0123456789"
    sink.headers, sink.body = {"Content-Type": "text/plain"}, b"x" * (8192 - shown) + secret.encode() + b"y" * 99
    auth = {"type": "bearer", "secret": "token"}
    outcome = run("http", {"url": sink.url, "auth": auth}, raw_secrets={"token": secret})
    assert outcome.output.partition("\n")[0] == "x" * (8192 - shown)


def test_a_long_answer_is_cut(sink: Sink) -> None:
    sink.headers, sink.body = {"Content-Type": "text/plain"}, b"x" * 20_000
    outcome = run("http", {"url": sink.url})
    assert (outcome.state, outcome.result) == ("succeeded", {"status": 200})
    assert len(outcome.output) < 8300


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"url": "ftp://a.example/"},
        {"url": "http://${labels.host}/"},
        {"url": "https://a.${content}.example/"},
        {"url": "${content}"},
        {"url": "http://a.example/", "method": "TRACE"},
        {"url": "http://a.example/", "headers": ["X"]},
        {"url": "http://a.example/", "body": '{"a": ${ip}}'},
        {"url": "http://a.example/", "auth": {"type": "digest"}},
        {"url": "http://a.example/", "auth": {"type": "bearer", "token": "plain"}},
        {"url": "http://a.example/", "success": {"status": ["2xx"]}},
        {"url": "http://a.example/", "success": {"jmespath": "a ["}},
        {"url": "http://a.example/", "verify": False},
    ],
)
def test_it_names_what_is_wrong_with_a_node(params: Any) -> None:
    assert RUNNERS["http"].validate(params)


def test_a_whole_url_may_be_a_parameter() -> None:
    assert RUNNERS["http"].validate({"url": "${params.hook}/${labels.a}"}) == []
