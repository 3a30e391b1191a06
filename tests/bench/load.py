"""The client: keep-alive connections in one process, with as little work of its own as Python allows.

Reads a Spec as JSON from standard input, prints an Outcome as JSON. `python -m tests.bench.load`
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spec:
    """What to send. `item` has @N@ where a number stands; `rate` 0 sends as fast as answers come, for `seconds`.

    `requests` are sent in turn in place of items, each a path, a line feed and a body. `tag` keeps two runs' numbers apart.
    """

    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    item: str = ""
    per_request: int = 1
    listed: bool = False
    requests: list[str] = field(default_factory=list)
    tag: str = ""
    connections: int = 16
    seconds: float = 1.0
    rate: float = 0.0
    at_most: int = 0


@dataclass
class Outcome:
    """What came back: answers by status, milliseconds of each, and when each request was due (epoch seconds)."""

    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    due_at: list[float] = field(default_factory=list)
    broken: int = 0

    @property
    def good(self) -> int:
        return sum(count for status, count in self.statuses.items() if status.startswith("2"))


class Line:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.began = 0.0
        self.buffer = b""
        self.socket = self._dial()

    def _dial(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def redial(self) -> None:
        self.socket.close()
        self.socket, self.buffer = self._dial(), b""

    def send(self, request: bytes, began: float) -> None:
        self.began, self.buffer = began, b""
        self.socket.sendall(request)

    def read(self) -> tuple[str, bool] | None:
        """Return status and whether the connection stays, once the whole answer is there. Raises OSError when it broke."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self.buffer += data
        head, mark, body = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return None
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return None
        return head[9:12].decode(), b"connection: close" not in lower


def bodies(spec: Spec) -> Iterator[str]:
    """Yield one body after another, each with numbers of its own."""
    number = 0
    while True:
        if spec.requests:
            yield spec.requests[number % len(spec.requests)]
            number += 1
            continue
        items = [spec.item.replace("@N@", f"{spec.tag}-{n}") for n in range(number, number + spec.per_request)]
        number += spec.per_request
        yield f"[{','.join(items)}]" if spec.listed else items[0]


def raw(spec: Spec, body: str) -> bytes:
    """Return the bytes of a request."""
    path, _, text = body.partition("\n") if spec.requests else (spec.path, "", body)
    data = text.encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in spec.headers.items())
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{spec.port}\r\nContent-Length: {len(data)}\r\n{head}\r\n"
    return start.encode() + data


class Client:
    """Drives the connections, closed loop or at a rate."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.bodies = bodies(spec)
        self.outcome = Outcome()
        self.statuses: Counter[str] = Counter()
        self.selector = selectors.DefaultSelector()
        self.idle: list[Line] = []
        self.sent = 0
        for _ in range(spec.connections):
            self._open(Line(spec.port))

    def run(self) -> Outcome:
        began = time.monotonic()
        end = began + self.spec.seconds
        while time.monotonic() < end and not self._enough():
            self._feed(began, end)
            self._collect(0.0005 if self.spec.rate else 0.05)
        wait = time.monotonic() + 10
        while len(self.idle) < self.spec.connections and time.monotonic() < wait:
            self._collect(0.05)
        self.outcome.seconds = time.monotonic() - began
        self.outcome.statuses = dict(self.statuses)
        return self.outcome

    def _enough(self) -> bool:
        return bool(self.spec.at_most) and self.sent >= self.spec.at_most

    def _feed(self, began: float, end: float) -> None:
        while self.idle and not self._enough():
            due = began + self.sent / self.spec.rate if self.spec.rate else time.monotonic()
            if due > time.monotonic() or due >= end:
                return
            self.outcome.due_at.append(time.time() - (time.monotonic() - due))
            self.sent += 1
            line = self.idle.pop()
            try:
                line.send(raw(self.spec, next(self.bodies)), due)
            except OSError:
                self._broke(line)

    def _collect(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            line: Line = key.data
            try:
                answer = line.read()
            except OSError:
                self._broke(line)
                continue
            if answer is None:
                continue
            self.outcome.milliseconds.append((time.monotonic() - line.began) * 1000)
            self.statuses[answer[0]] += 1
            if answer[1]:
                self.idle.append(line)
            else:
                self._again(line)

    def _broke(self, line: Line) -> None:
        if line.began and line not in self.idle:
            self.outcome.broken += 1
        self._again(line)

    def _again(self, line: Line) -> None:
        self.selector.unregister(line.socket)
        if line in self.idle:
            self.idle.remove(line)
        line.redial()
        self._open(line)

    def _open(self, line: Line) -> None:
        self.selector.register(line.socket, selectors.EVENT_READ, line)
        line.began = 0.0
        self.idle.append(line)


def main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    json.dump(asdict(Client(Spec(**given)).run()), sys.stdout)


if __name__ == "__main__":
    main()
