"""A mail server on loopback: it keeps what it takes and refuses what it is told to."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


@dataclass
class Letter:
    """One mail as the server took it, and whom its envelope names."""

    sender: str
    to: list[str]
    message: EmailMessage

    def part(self, kind: str) -> str:
        """Return the text of one part: plain or html."""
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content())


class Smtp(socketserver.ThreadingTCPServer):
    """Answers of its own: `refused` by receiver, `end` after a mail's last line; "" hangs up instead."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.letters: list[Letter] = []
        self.refused: dict[str, str] = {}
        self.end = "250 taken"
        super().__init__(("127.0.0.1", port), _Talk)

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self.server_address[1])


class _Talk(socketserver.StreamRequestHandler):
    server: Smtp

    def handle(self) -> None:
        sender, to = "", list[str]()
        self._say("220 stand-in")
        while line := self.rfile.readline().decode().strip():
            verb, address = line[:4].upper(), line.partition("<")[2].partition(">")[0]
            if verb == "MAIL":
                sender, to = address, []
            if verb == "RCPT" and address not in self.server.refused:
                to.append(address)
            if verb == "DATA" and not self._take(sender, to):
                return
            if verb != "DATA":
                self._say(self.server.refused.get(address, "250 ok") if verb == "RCPT" else "250 ok")
            if verb == "QUIT":
                return

    def _take(self, sender: str, to: list[str]) -> bool:
        self._say("354 go on")
        lines = list(iter(self.rfile.readline, b".\r\n"))
        raw = b"".join(line[1:] if line.startswith(b"..") else line for line in lines)
        if self.server.end.startswith("2") or not self.server.end:
            message = cast(EmailMessage, message_from_bytes(raw, policy=policy.default))
            self.server.letters.append(Letter(sender, list(to), message))
        if self.server.end:
            self._say(self.server.end)
        return bool(self.server.end)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def running(port: int = 0) -> Iterator[Smtp]:
    """Run the server."""
    server = Smtp(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
