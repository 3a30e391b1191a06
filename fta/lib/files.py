"""Files that only the portal's own user may read."""

from contextlib import suppress
from pathlib import Path

_ONLY_MINE = 0o600


def keep_private(path: Path) -> None:
    """Make a database file that no other user of the machine can read, and close one that others could.

    SQLite gives what it keeps beside it (-wal, -shm) the mode of the file itself, but for what is there already.
    """
    with suppress(OSError):  # a file of somebody else's, or on a disk without modes: opening it says what is wrong
        path.touch(mode=_ONLY_MINE)
        for each in (path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))):
            if each.exists():
                each.chmod(_ONLY_MINE)
