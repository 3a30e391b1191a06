"""A real HTTP server on loopback that keeps what it was sent and answers as told."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Sink:
    port: int
    scheme: str = "http"
    seen: list[Seen] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    body: bytes = b'{"ok": true}'
    behaviour: str = "answer"  # or hang, drop, drip
    answer: Callable[[Seen], tuple[int, dict[str, str], bytes]] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


def _handler(sink_of: list[Sink]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            return

        def _serve(self) -> None:
            sink = sink_of[0]
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sink.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body))
            if sink.behaviour == "drop":
                self.close_connection = True
                return
            if sink.answer:
                sink.status, sink.headers, sink.body = sink.answer(sink.seen[-1])
            if sink.behaviour == "hang":
                time.sleep(1.0)
            self.send_response(sink.status)
            for name, value in sink.headers.items():
                self.send_header(name, value)
            if sink.behaviour == "drip":
                self.end_headers()
                for _ in range(20):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)
                return
            self.send_header("Content-Length", str(len(sink.body)))
            self.end_headers()
            self.wfile.write(sink.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = _serve

    return Handler


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        return  # a client that hung up


@contextmanager
def serving(tls: Path | None = None) -> Iterator[Sink]:
    """Serve on a port of its own for the time of the block; over TLS with the cert.pem and key.pem of a folder."""
    holder: list[Sink] = []
    server = _Quiet(("127.0.0.1", 0), _handler(holder))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    holder.append(Sink(server.server_address[1], "https" if tls else "http"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield holder[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
