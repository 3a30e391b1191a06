"""OpenSSH's server on a free loopback port, with keys of its own, for whoever runs the tests."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/sbin")

_CONFIGURATION = """
Port {port}
{addresses}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PrintMotd no
MaxStartups 200
"""


@dataclass
class Server:
    """A server that lets the current user in by one key."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path, *more: str) -> "Server":
        """Start one on 127.0.0.1 and `more` addresses (some 15 at most); it listens when this returns."""
        for name in ("host", "user", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        listening = "\n".join(f"ListenAddress {address}" for address in ("127.0.0.1", *more))
        (folder / "conf").write_text(_CONFIGURATION.format(port=port, folder=folder, addresses=listening))
        with suppress(OSError):  # only root's server wants it
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [str(SSHD), "-D", "-e", "-f", str(folder / "conf")]
        with (folder / "log").open("wb") as log:
            server = cls(folder, port, subprocess.Popen(command, stderr=log))
        server._wait()
        return server

    def stop(self) -> None:
        """End it, with the connections that it serves."""
        self.process.terminate()
        self.process.wait()

    def drop(self) -> None:
        """Kill the processes that serve its connections."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if stat.read_text().rpartition(")")[2].split()[1] == str(self.process.pid):
                    os.kill(int(stat.parent.name), signal.SIGKILL)

    def key(self, name: str) -> str:
        """Return the text of a key: host.pub, user, other, …"""
        return (self.folder / name).read_text()

    def host(self, **changed: Any) -> dict[str, Any]:
        """Return the record of this host in a plan."""
        record = {"id": 1, "ip": "127.0.0.1", "name": "ssh-1", "connection": "ssh", "host_key": self.key("host.pub")}
        return {**record, "ssh_user": getpass.getuser(), "ssh_port": self.port, **changed}

    def log(self) -> str:
        """Return what the server said."""
        return (self.folder / "log").read_text()

    def _wait(self) -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"sshd did not start: {self.log()}")
