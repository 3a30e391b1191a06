"""A stand-in for the portal's entry, for tests of the simulator alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from wechat.crypto import CallbackRefused, Crypto
from wechat.xml import Message, parse_envelope, parse_message

CORP = "wwdemo0123456789ab"
SECRET = "app-secret"
TOKEN = "callbacktoken"
AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


@dataclass
class Entry:
    """What arrived, what was refused, and what to answer."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answer: Callable[[Message], str] = lambda message: ""
    delay: threading.Event | None = None
    crypto: Crypto = field(default_factory=lambda: Crypto(TOKEN, AES_KEY, CORP))

    def seal(self, plaintext: str) -> str:
        """Return a passive reply."""
        return self.crypto.reply_xml(plaintext, "1700000000", "nonce")

    def receive(self, query: dict[str, list[str]], body: bytes) -> tuple[int, str]:
        """Receive one callback as the portal does: 403 for whatever does not hold."""
        names = (query["msg_signature"][0], query["timestamp"][0], query["nonce"][0])
        try:
            if not body:
                return 200, self.crypto.decrypt(*names, query["echostr"][0])
            message = parse_message(self.crypto.decrypt(*names, parse_envelope(body).encrypt))
        except CallbackRefused as refused:
            self.refused.append(refused.code)
            return 403, ""
        self.messages.append(message)
        if self.delay:
            self.delay.wait(5)
        return (self.statuses.pop(0) if self.statuses else 200), self.answer(message)


@contextmanager
def serving() -> Iterator[Entry]:
    """Serve an entry on loopback."""
    entry = Entry()

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = entry.receive(parse_qs(urlsplit(self.path).query), body)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())
            except OSError:
                self.close_connection = True  # the simulator gave up waiting

        do_GET = do_POST = _respond

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    entry.url = f"http://127.0.0.1:{server.server_address[1]}/wechat/entry/"
    yield entry
    server.shutdown()
    server.server_close()
    thread.join()
