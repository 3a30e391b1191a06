"""The journal of local scripts: one directory for a step's key, made before the start, with the exit code when it ended.

mkdir is atomic: of two workers that hold the same step, one a ghost, a single one starts the script. The exit code is written
by the script's own wrapper, so it is there even when the worker died in the meantime.
"""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self
from uuid import UUID

from django.conf import settings


class AlreadyStarted(Exception):
    """The script of this key was started before; `journal` knows what became of it."""

    def __init__(self, journal: "Journal") -> None:
        super().__init__(journal.home.name)
        self.journal = journal


def _root() -> Path:
    return Path(settings.VAR_DIR) / "journal"


def forget_older(moment: datetime) -> None:
    """Remove this machine's lasting journals that nobody has written in since `moment`."""
    root = _root()
    for home in root.iterdir() if root.is_dir() else ():
        if home.stat().st_mtime < moment.timestamp():
            shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Journal:
    """The directory of one run; only its owner can look into it."""

    home: Path
    lasting: bool  # stays behind as the proof that the script was started

    @classmethod
    def open(cls, key: UUID, lasting: bool) -> Self:
        """Make the directory. Raises AlreadyStarted for a lasting one that exists, OSError when it cannot be made."""
        if not lasting:
            return cls(Path(tempfile.mkdtemp(prefix="fta-step-")), lasting=False)
        root = _root()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal = cls(root / str(key), lasting=True)
        try:
            journal.home.mkdir(mode=0o700)
        except FileExistsError:
            raise AlreadyStarted(journal) from None
        return journal

    @property
    def verdict(self) -> str:
        """Return how the script ended: its exit code, the word that `close` wrote, or '' when nobody knows (yet)."""
        try:
            return (self.home / "rc").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def output(self, limit: int) -> bytes:
        """Return at most `limit` bytes of what the script printed."""
        try:
            with (self.home / "output").open("rb") as file:
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def close(self, verdict: str, output: str) -> None:
        """Keep no more than the cleaned output and the verdict; a journal that need not last goes altogether.

        The verdict that the script's wrapper has written stands; '' says that nobody knows.
        """
        if not self.lasting:
            self.discard()
            return
        if verdict and not self.verdict:
            (self.home / "rc.worker").write_text(verdict, encoding="utf-8")
            (self.home / "rc.worker").rename(self.home / "rc")
        (self.home / "output").write_text(output, encoding="utf-8")
        (self.home / "script").unlink(missing_ok=True)
        shutil.rmtree(self.home / "cwd", ignore_errors=True)

    def discard(self) -> None:
        """Forget a run that never started."""
        shutil.rmtree(self.home, ignore_errors=True)
