"""The one door for HTTP, against a real server on loopback."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fta.lib import destinations, http
from fta.lib.http import AnswerTooLarge, DestinationRefused, InvalidRequest, NotSent, OutcomeUnknown
from tests.fta.runners.sink import Sink, serving


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    with serving() as server:
        settings.FTA_HTTP_ALLOW = [f"127.0.0.1:{server.port}"]
        yield server


def test_it_sends_and_returns_the_answer(sink: Sink) -> None:
    sink.status = 503
    answer = http.request(
        "post", sink.url + "/a?b=1", headers={"X-Who": "值班"}, json={"ip": "10.0.0.1"}, params={"c": "2"}
    )
    assert (answer.status, answer.json(), answer.headers["content-type"]) == (503, {"ok": True}, "application/json")
    seen = sink.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/a?b=1&c=2", b'{"ip": "10.0.0.1"}')
    assert seen.headers["Host"] == f"127.0.0.1:{sink.port}"
    assert seen.headers["Content-Type"] == "application/json"


def test_it_sends_text_and_files(sink: Sink) -> None:
    http.request("POST", sink.url, data="处理完毕")
    http.request("POST", sink.url, files={"media": ("a.txt", b"hello", "text/plain")})
    assert sink.seen[0].body.decode() == "处理完毕"
    assert b'filename="a.txt"' in sink.seen[1].body


def test_it_reads_text_in_the_declared_encoding(sink: Sink) -> None:
    sink.headers, sink.body = {"Content-Type": "text/plain; charset=gbk"}, "失败".encode("gbk")
    assert http.request("GET", sink.url).text == "失败"
    with pytest.raises(ValueError):
        http.request("GET", sink.url).json()


def test_it_does_not_follow_redirects(sink: Sink) -> None:
    sink.status, sink.headers = 302, {"Location": f"{sink.url}/canary"}
    assert http.request("GET", sink.url).status == 302
    assert [seen.path for seen in sink.seen] == ["/"]


def test_it_ignores_proxies_of_the_environment(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert http.request("GET", sink.url).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "１２７.0.0.1",
        "①②⑦.⓪.⓪.①",
        "0",
    ],
)
def test_it_refuses_an_inner_address_however_it_is_written(sink: Sink, settings: Any, host: str) -> None:
    settings.FTA_HTTP_ALLOW = []
    with pytest.raises(NotSent):
        http.request("GET", f"http://{host}:{sink.port}/")
    assert sink.seen == []


@pytest.mark.parametrize(
    "host", ["0xA9FEA9FE", "169.254.169.254", "10.1.2.3", "100.64.0.1", "[64:ff9b::7f00:1]", "[fe80::1]"]
)
def test_it_refuses_special_ranges_and_names_the_remedy(settings: Any, host: str) -> None:
    settings.FTA_HTTP_ALLOW = []
    with pytest.raises(DestinationRefused, match="FTA_HTTP_ALLOW") as error:
        http.request("GET", f"http://{host}/latest/?token=canary")
    assert error.value.outcome == "not_sent"
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("224.0.0.1", False),
        ("192.0.0.192", False),
        ("198.18.0.1", False),
        ("2002:7f00::1", False),
        ("2001:0:1::1", False),
        ("::ffff:8.8.8.8", False),
        ("fc00::1", False),
        ("255.255.255.255", False),
    ],
)
def test_it_tells_public_addresses_from_others(settings: Any, address: str, public: bool) -> None:
    settings.FTA_HTTP_ALLOW = []
    assert destinations.permitted("a.example", 80, [address]) == ([address] if public else [])
    assert destinations.permitted("a.example", 80, [address], trusted=True) == [address]


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        ("hooks.corp", True),
        ("HOOKS.corp:8080", True),
        ("hooks.corp:8081", False),
        ("10.0.0.0/8", True),
        ("10.9.9.9", True),
        ("10.9.9.9:8080", True),
        ("10.9.9.9:80", False),
        ("11.0.0.0/8", False),
        ("evilhooks.corp", False),
    ],
)
def test_it_reads_the_allow_list(settings: Any, entry: str, allowed: bool) -> None:
    settings.FTA_HTTP_ALLOW = [entry]
    assert bool(destinations.permitted("hooks.corp", 8080, ["10.9.9.9"])) is allowed


def test_it_dials_the_address_that_it_judged(sink: Sink, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers with a public address first and with loopback afterwards reaches loopback never."""
    settings.FTA_HTTP_ALLOW = []
    answers = iter([["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]])
    dialled: list[str] = []

    def refuse(target: tuple[str, int], timeout: float) -> socket.socket:
        dialled.append(target[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(http, "resolve", lambda host, port: next(answers))
    monkeypatch.setattr(destinations, "_may_dial", lambda address, port: str(address) == "192.0.2.1")
    monkeypatch.setattr(http.socket, "create_connection", refuse)
    with pytest.raises(NotSent):
        http.request("GET", f"http://rebind.test:{sink.port}/")
    assert (dialled, sink.seen) == (["192.0.2.1"], [])
    with pytest.raises(DestinationRefused):
        http.request("GET", f"http://rebind.test:{sink.port}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1/",
        "http://a.example@127.0.0.1/",
        "http://user:pw@127.0.0.1/",
        "http://a.example\\@127.0.0.1/",
        "http://127.0.0.1/\r\nX: 1",
        "http://127.0.0.1 /",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.1/",
        "http://",
        "http://127.0.0.1:99999/",
        "",
    ],
)
def test_it_refuses_a_malformed_url(settings: Any, url: str) -> None:
    settings.FTA_HTTP_ALLOW = ["127.0.0.0/8"]
    with pytest.raises(InvalidRequest):
        http.request("GET", url)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "1\r\nX-B: 2"), ("X-A", "1\n"), ("X A", "1"), ("X-A\r\n", "1"), ("Host", "evil"), ("", "1")],
)
def test_it_refuses_a_header_that_could_forge_another(sink: Sink, name: str, value: str) -> None:
    with pytest.raises(InvalidRequest):
        http.request("GET", sink.url, headers={name: value})
    assert sink.seen == []


def test_a_refused_connection_was_not_sent(settings: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.FTA_HTTP_ALLOW = ["127.0.0.1"]
    with pytest.raises(NotSent) as error:
        http.request("POST", f"http://127.0.0.1:{port}/secret-path")
    assert error.value.outcome == "not_sent"
    assert "secret-path" not in str(error.value)


def test_a_name_without_an_address_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror

    monkeypatch.setattr(http, "resolve", fail)
    with pytest.raises(NotSent, match=r"nowhere\.test"):
        http.request("GET", "http://nowhere.test/")


@pytest.mark.parametrize("behaviour", ["hang", "drop", "drip"])
def test_a_request_without_a_whole_answer_is_unknown(sink: Sink, behaviour: str) -> None:
    sink.behaviour = behaviour
    with pytest.raises(OutcomeUnknown) as error:
        http.request("POST", sink.url, timeout=(1.0, 0.3))
    assert error.value.outcome == "unknown"
    assert len(sink.seen) == 1


def test_an_answer_over_the_limit_is_refused(sink: Sink) -> None:
    sink.body = b"x" * 2000
    with pytest.raises(AnswerTooLarge):
        http.request("GET", sink.url, max_bytes=1000)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_it_verifies_certificates(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hooks.test -addext subjectAltName=DNS:hooks.test"
    )
    subprocess.run(
        [*make.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
    )
    settings.FTA_HTTP_ALLOW = ["127.0.0.1"]
    known = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with serving(tls=tmp_path) as sink:
        monkeypatch.setattr(http, "resolve", lambda host, port: ["127.0.0.1"])
        url = f"https://hooks.test:{sink.port}/"
        with pytest.raises(NotSent):
            http.request("GET", url)
        monkeypatch.setattr(http, "tls_context", lambda: known)
        with pytest.raises(NotSent):
            http.request("GET", f"https://other.test:{sink.port}/")
        assert sink.seen == []
        assert http.request("GET", url).status == 200
        assert sink.seen[0].headers["Host"] == f"hooks.test:{sink.port}"
