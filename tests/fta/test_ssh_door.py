"""The door for SSH: what it signs in with, against a server that takes a password."""

import asyncio
import threading
from collections.abc import Iterator

import asyncssh
import pytest

from fta.lib import ssh

KEY = asyncssh.generate_private_key("ssh-ed25519")


class Clerk(asyncssh.SSHServer):
    """Lets `ops` in by a password, and remembers what was tried."""

    tried: list[str]

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.tried.append("key")
        return False

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.tried.append(password)
        return (username, password) == ("ops", "right-password")


@pytest.fixture
def port() -> Iterator[int]:
    Clerk.tried = []
    loop = asyncio.new_event_loop()
    served = loop.run_until_complete(
        asyncssh.create_server(
            Clerk, "127.0.0.1", 0, server_host_keys=[KEY], process_factory=lambda process: process.exit(0)
        )
    )
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield served.get_port()
    loop.call_soon_threadsafe(served.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def connection(port: int, password: str) -> ssh.Connection:
    pinned = KEY.export_public_key().decode()
    return ssh.Connection("127.0.0.1", port, "ops", pinned, password=password)


def test_it_signs_in_by_the_password_alone(port: int) -> None:
    link = connection(port, "right-password")
    try:
        assert link.call(["true"], b"", 10) == b""
    finally:
        link.close()
    assert Clerk.tried == ["right-password"]


def test_a_wrong_password_is_tried_once_and_sends_nothing(port: int) -> None:
    link = connection(port, "wrong-password")
    try:
        with pytest.raises(ssh.NotReached) as error:
            link.call(["true"], b"", 10)
    finally:
        link.close()
    assert Clerk.tried == ["wrong-password"]
    assert not error.value.again
    assert "wrong-password" not in f"{error.value} {link!r}"


def test_it_reads_keys_in_the_forms_in_which_people_have_them() -> None:
    line = KEY.export_public_key().decode().strip()
    for given in (line, f"10.0.0.1 {line}", f"{line} root@web-01\n"):
        assert ssh.public_key(given).get_fingerprint() == KEY.get_fingerprint() == ssh.fingerprint(given)
    for wrong in ("", "ssh-ed25519", "AAAA", f"{line}\n{line}"):
        with pytest.raises(ssh.InvalidKey):
            ssh.public_key(wrong)
        assert ssh.fingerprint(wrong) == ""
