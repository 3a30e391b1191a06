"""Runs a script on this machine: its own session, a small environment, limits, and nothing of it left behind."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fta.healing.runners.arguments import environment
from fta.healing.runners.journal import Journal
from fta.lib.types import JSON

OUTPUT_LIMIT = 64 * 1024
_POLL = 0.02  # seconds
_ASK = 1.0  # seconds between two questions whether a person stopped it
_DRAIN = 0.5  # seconds for the last output, once the script has ended
_GRACE = 15  # seconds after which the wrapper ends a script whose worker is gone

# $1 the journal, $2 the seconds it may take, the rest the command. The wrapper, and not the worker, writes the exit code and
# keeps the time, so both hold when the worker is killed. Output over the limit is read and dropped: the script does not stall
# or die of it. The last line takes along whatever the script has left in its process group.
WRAPPER = f"""
home=$1; limit=$2; shift 2
ulimit -c 0; ulimit -t "$limit"; ulimit -n 256; ulimit -v 2097152; ulimit -f 2097152
( sleep "$limit"; kill -KILL 0 ) </dev/null >/dev/null 2>&1 &
cd "$home/cwd" || exit 126
{{ "$@"; echo $? >"$home/rc.wrapper"; mv "$home/rc.wrapper" "$home/rc"; }} 2>&1 |
  {{ (ulimit -f {OUTPUT_LIMIT // 512 + 1}; exec cat >"$home/output"); cat >/dev/null; }}
kill -KILL 0
"""


@dataclass(frozen=True)
class Command:
    """A script ready to be started; `secrets` are arguments too, but may be of any form."""

    script: str
    interpreter: Sequence[str]
    arguments: Mapping[str, JSON]
    secrets: Mapping[str, str]
    extra: Mapping[str, str]  # further environment variables

    @property
    def environment(self) -> dict[str, str]:
        """Return the whole environment of the script; nothing of the portal's own is in it."""
        base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
        return base | dict(self.extra) | environment(self.arguments) | environment(self.secrets)

    def write(self, journal: Journal) -> list[str]:
        """Write the script into the journal and return the command that runs it."""
        path = journal.home / "script"
        path.touch(mode=0o600)
        path.write_text(self.script, encoding="utf-8")
        (journal.home / "cwd").mkdir(mode=0o700)
        return [*self.interpreter, str(path)]


def start(command: Command, journal: Journal, timeout: float) -> "subprocess.Popen[bytes]":
    """Start the command; its input has no name, so that nothing else can read it. Raises OSError when it did not start."""
    argv = command.write(journal)
    limit = str(int(timeout) + _GRACE)
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps({**command.arguments, **command.secrets}, ensure_ascii=False).encode())
        given.seek(0)
        return subprocess.Popen(
            ["/bin/sh", "-c", WRAPPER, "fta-step", str(journal.home), limit, *argv],
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=command.environment,
            start_new_session=True,
        )


def watch(
    process: "subprocess.Popen[bytes]",
    journal: Journal,
    timeout: float,
    lost: Callable[[], bool],
    cancelled: Callable[[], bool],
) -> str:
    """Wait for the end and return how it came: the exit code, or "timeout", "lost", "cancelled", "killed"."""
    try:
        return _verdict(process, journal, timeout, lost, cancelled)
    finally:
        _kill(process)


def _verdict(
    process: "subprocess.Popen[bytes]",
    journal: Journal,
    timeout: float,
    lost: Callable[[], bool],
    cancelled: Callable[[], bool],
) -> str:
    until = time.monotonic() + timeout
    ask_at = time.monotonic() + _ASK
    while not (verdict := journal.verdict):
        if process.poll() is not None:
            return journal.verdict or "killed"
        if lost():
            return "lost"
        now = time.monotonic()
        if now >= until:
            return "timeout"
        if now >= ask_at:
            if cancelled():
                return "cancelled"
            ask_at = now + _ASK
        time.sleep(_POLL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_DRAIN)
    return verdict


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole group; until the wrapper is reaped its id cannot belong to somebody else."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
