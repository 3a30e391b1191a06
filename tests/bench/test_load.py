"""The bench's own client and report: what they count is what happened."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench.client import percentile
from tests.bench.load import Client, Spec
from tests.bench.report import Figure, at_least, at_most, show

ITEM = '{"n": "@N@"}'


class Counting(ThreadingHTTPServer):
    """A server that keeps what it was sent and closes every third connection after its answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[str] = []
        self.paths: Counter[str] = Counter()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.paths[self.path] += 1
        self.send_response(202 if self.path != "/bad/" else 401)
        self.send_header("Content-Length", "2")
        if len(self.server.bodies) % 3 == 0:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Counting]:
    made = Counting()
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_it_counts_each_answer_once_and_numbers_every_alert(server: Counting) -> None:
    spec = Spec(
        server.server_port, "/x/", item=ITEM, per_request=3, listed=True, tag="t", connections=4, seconds=5, at_most=20
    )
    outcome = Client(spec).run()
    assert outcome.statuses == {"202": 20}
    assert outcome.good == len(outcome.milliseconds) == len(outcome.due_at) == 20
    assert outcome.broken == 0
    numbers = [alert["n"] for body in server.bodies for alert in json.loads(body)]
    assert sorted(numbers) == sorted(f"t-{n}" for n in range(60))


def test_it_keeps_the_rate_and_does_not_call_a_refusal_good(server: Counting) -> None:
    spec = Spec(server.server_port, "", requests=["/a/\none", "/bad/\ntwo"], connections=2, seconds=0.5, rate=20)
    outcome = Client(spec).run()
    assert server.paths == {"/a/": 5, "/bad/": 5}
    assert set(server.bodies) == {"one", "two"}
    assert outcome.good == 5


def test_it_says_met_and_missed_and_never_meets_a_limit_with_nothing() -> None:
    limits = (at_least("gate", 0.9, 0.8), at_most("goal", 3.0, 2.5), at_most("gate", percentile([], 0.5), 1))
    text = show([Figure("Part", "a figure", "0.9", limits)], "a machine")
    assert "gate ≥ 0.8×: met · goal ≤ 2.5×: MISSED · gate ≤ 1×: MISSED" in text
    assert "gates met: 1 of 2" in text
    assert "goals met: 0 of 1" in text
