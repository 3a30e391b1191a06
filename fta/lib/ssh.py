"""The one door for SSH: only a host whose public key is pinned, no agent, nothing of this machine's own SSH configuration.

Errors say what is known of the effect: `NotReached` (the host was sent no command) or `Interrupted` (it was, and no whole answer
came).
"""

import asyncio
import contextlib
import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncssh
from django.utils.translation import gettext as _

asyncssh.set_log_level(logging.WARNING)  # it tells every command otherwise

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS = 10
MAX_ANSWER = 1024 * 1024  # bytes; what a host says beyond that breaks the call


class SshError(Exception):
    """A command that got no whole answer; the text is for people."""


class NotReached(SshError):
    """No connection came about, so nothing was sent. `again` says whether trying again may help."""

    def __init__(self, text: str, *, again: bool) -> None:
        super().__init__(text)
        self.again = again


class Interrupted(SshError):
    """The command was sent, at least in part, and no whole answer came."""


class InvalidKey(ValueError):
    """The text is no key that can be used; the message says why, for people."""


def public_key(line: str) -> asyncssh.SSHKey:
    """Read a host's public key in the form of a line of ssh-keyscan or of a .pub file. Raises InvalidKey."""
    words = line.split()
    start = next((number for number, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-"))), None)
    try:
        if start is None or len(line.strip().splitlines()) != 1:
            raise ValueError
        return asyncssh.import_public_key(" ".join(words[start : start + 2]))
    except (asyncssh.KeyImportError, ValueError) as error:
        raise InvalidKey(_("应为一行 OpenSSH 公钥，如 ssh-ed25519 AAAA…")) from error


def fingerprint(line: str) -> str:
    """Return the SHA-256 of a host's public key as ssh-keygen -l shows it, '' for no key that can be read."""
    try:
        return public_key(line).get_fingerprint() if line else ""
    except InvalidKey:
        return ""


def private_key(text: str) -> asyncssh.SSHKey:
    """Read a private key. Raises InvalidKey, also for one that a passphrase protects."""
    try:
        return asyncssh.import_private_key(text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        if "passphrase" in str(error).lower():
            raise InvalidKey(_("私钥不能带口令；凭据在门户里已经加密保存")) from error
        raise InvalidKey(_("不是 OpenSSH 或 PEM 格式的私钥")) from error


@dataclass
class Connection:
    """One host and how to sign in to it; connects at the first call and again after a break. For one thread."""

    host: str  # an address of the inventory
    port: int
    user: str
    host_key: str
    key: str = field(default="", repr=False)  # a private key; or else:
    password: str = field(default="", repr=False)
    _loop: asyncio.Runner = field(default_factory=asyncio.Runner, repr=False)
    _link: asyncssh.SSHClientConnection | None = field(default=None, repr=False)

    def call(self, command: Sequence[str], given: bytes, seconds: float) -> bytes:
        """Run a command with `given` on its standard input and return what it wrote to its standard output.

        `seconds` is how long the answer may take. Raises NotReached, Interrupted.
        """
        if self._link is None or self._link.is_closed():
            self._link = self._loop.run(self._connected())
        try:
            return self._loop.run(asyncio.wait_for(_answer(self._link, shlex.join(command), given), seconds))
        except (asyncssh.Error, OSError, TimeoutError, EOFError) as error:
            self._drop()
            raise Interrupted(_("与 %s 的 SSH 连接中断") % self.host) from error

    def close(self) -> None:
        """Hang up. What runs on the host goes on."""
        self._drop()
        self._loop.close()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abort()
            self._link = None

    async def _connected(self) -> asyncssh.SSHClientConnection:
        try:
            return await asyncio.wait_for(self._connect(*self._keys()), CONNECT_SECONDS + 1)
        except asyncssh.HostKeyNotVerifiable as error:
            text = _("主机 %s 出示的公钥与固定的不一致，没有登录；请核实主机是否被更换或冒充")
            raise NotReached(text % self.host, again=False) from error
        except asyncssh.PermissionDenied as error:
            raise NotReached(
                _("主机 %(host)s 拒绝 %(user)s 登录") % {"host": self.host, "user": self.user}, again=False
            ) from error
        except asyncssh.KeyExchangeFailed as error:
            text = _("与主机 %s 没有共同的加密方式或公钥类型")
            raise NotReached(text % self.host, again=False) from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            text = _("连不上 %(host)s 的 %(port)s 端口")
            raise NotReached(text % {"host": self.host, "port": self.port}, again=True) from error

    def _keys(self) -> tuple[asyncssh.SSHKey, list[asyncssh.SSHKey]]:
        """Return the pinned key and those to sign in with. Raises NotReached when there is none, or one that is none."""
        try:
            pinned = public_key(self.host_key)
        except InvalidKey as error:
            text = _("主机 %(host)s 没有固定公钥，或公钥不合法：%(why)s")
            raise NotReached(text % {"host": self.host, "why": error}, again=False) from error
        try:
            return pinned, [private_key(self.key)] if self.key else []
        except InvalidKey as error:
            raise NotReached(_("凭据不能使用：%s") % error, again=False) from error

    async def _connect(self, pinned: asyncssh.SSHKey, keys: list[asyncssh.SSHKey]) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            self.host,
            self.port,
            username=self.user,
            known_hosts=([pinned], [], []),
            client_keys=keys or None,
            password=None if keys else self.password,
            preferred_auth="publickey" if keys else "password,keyboard-interactive",
            config=None,
            agent_path=None,
            agent_forwarding=False,
            gss_host=None,
            gss_auth=False,
            gss_kex=False,
            compression_algs=None,
            connect_timeout=CONNECT_SECONDS,
            login_timeout=CONNECT_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
        )


async def _answer(link: asyncssh.SSHClientConnection, command: str, given: bytes) -> bytes:
    process = await link.create_process(command, encoding=None, stderr=asyncssh.DEVNULL)
    async with process:
        with contextlib.suppress(BrokenPipeError):  # a command that needs no input may be done before it has come
            process.stdin.write(given)
            process.stdin.write_eof()
        parts: list[bytes] = []
        left = MAX_ANSWER
        while left > 0 and (part := await process.stdout.read(min(left, 65536))):
            parts.append(part)
            left -= len(part)
        if left <= 0:
            raise EOFError("The host says too much.")
    return b"".join(parts)
