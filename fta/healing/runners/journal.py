"""The journal of scripts: what a worker asks of the host on which a script runs (see journal.sh, which keeps it there).

An entry stands for one start of a step. The host lets the script of an entry begin at most once, ends it when its time is over,
and knows how it ended: a worker that comes later reads that and never starts it again.
"""

import base64
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self, cast, get_args

_WRAPPER = (Path(__file__).parent / "journal.sh").read_text(encoding="utf-8")
CALL = ("/bin/sh", "-c", 'eval "$1"', "fta-journal", _WRAPPER)
_SECONDS = 30.0  # for an answer; a host takes a second by intention, when the script runs on

Word = Literal["pending", "running", "ended", "timeout", "stopped", "lost", "never"]
OPEN: frozenset[Word] = frozenset({"pending", "running"})


class Refused(Exception):
    """The host cannot keep a journal, or could not take the script; nothing was started. The text is the host's."""


class Foreign(Exception):
    """The folder is not the one in which the entry was made, so it says nothing about it."""


class BadAnswer(Exception):
    """What came back is not the journal's answer: the host does something else in place of the command."""


class Target(Protocol):
    """A host, and how its commands are run."""

    @property
    def root(self) -> str:
        """Return the folder of its journal; relative to the home of the user who runs scripts there."""

    @property
    def contained(self) -> bool:
        """Tell whether a script may not use up the host, and must leave no process behind."""

    def call(self, command: Sequence[str], given: bytes, seconds: float) -> bytes:
        """Run a command and return its standard output. Raises ssh.NotReached, ssh.Interrupted."""

    def close(self) -> None:
        """Hang up. What runs on the host goes on."""


@dataclass(frozen=True)
class Entry:
    """The place of one start: the identity of the journal on the host, and the name of the entry in it."""

    journal: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` has written."""
        journal, _, name = text.partition("/")
        return cls(journal, name)

    def __str__(self) -> str:
        return f"{self.journal}/{self.name}"


@dataclass(frozen=True)
class Report:
    """What the host says about an entry. Of the output: the next piece of its beginning, and its end as far as it is apart."""

    word: Word
    code: int  # of the script's end
    head: bytes
    tail: bytes
    total: int  # bytes that the script has written


class Journal:
    """The journal of one host."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def open(self, name: str) -> Entry:
        """Make the journal unless it is there, and return the place of an entry that is yet to be made. Raises Refused."""
        answer, _ = self._ask("open", str(uuid.uuid4()))
        if len(answer) != 2 or answer[0] != "open":
            raise BadAnswer(answer)
        return Entry(answer[1], name)

    def start(self, entry: Entry, seconds: int, files: Mapping[str, bytes]) -> Report:
        """Start the script that the files describe (see journal.sh), unless the entry is there. Raises Refused, Foreign."""
        files = {**files, "contained": b""} if self.target.contained else files
        lines = [f"{name} {base64.b64encode(content).decode()}\n" for name, content in files.items()]
        return self._report("start", entry, str(seconds), given="".join([*lines, "end\n"]).encode())

    def read(self, entry: Entry, offset: int) -> Report:
        """Return what is known, with the output from `offset` on; waits a second at most for the end."""
        return self._report("read", entry, str(offset))

    def ask(self, entry: Entry, offset: int) -> Report:
        """As `read`; an entry that has not begun by now never will."""
        return self._report("ask", entry, str(offset))

    def stop(self, entry: Entry, offset: int) -> Report:
        """As `ask`; a script that runs is ended first."""
        return self._report("stop", entry, str(offset))

    def close(self, entry: Entry) -> None:
        """Drop the output of an entry that has ended; how it ended stays."""
        self._ask("close", entry.journal, entry.name)

    def _report(self, verb: str, entry: Entry, number: str, given: bytes = b"") -> Report:
        answer, body = self._ask(verb, entry.journal, entry.name, number, given=given)
        if len(answer) != 4 or answer[0] not in get_args(Word) or not all(each.isdigit() for each in answer[1:]):
            raise BadAnswer(answer)
        code, part, total = (int(each) for each in answer[1:])
        return Report(cast(Word, answer[0]), code, body[:part], body[part:], total)

    def _ask(self, verb: str, *words: str, given: bytes = b"") -> tuple[list[str], bytes]:
        said = self.target.call([*CALL, self.target.root, verb, *words], given, _SECONDS)
        # A login script may print something first.
        _, mark, rest = said.partition(b"fta-journal ")
        line, end, body = rest.partition(b"\n")
        if not mark or not end:
            raise BadAnswer(said[:200])
        answer = line.decode(errors="replace").split()
        if answer[:1] == ["refused"]:
            raise Refused(" ".join(answer[1:]))
        if answer == ["foreign"]:
            raise Foreign
        return answer, body
