"""The README's table of settings is what the code reads from the environment."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READ = {
    "fta/settings.py": r"(?:env(?:\.\w+)?|secret)\(\s*\"([A-Z_]+)\"",
    "deploy/gunicorn.conf.py": r"environ\.get\(\"([A-Z_]+)\"",
    "fta/management/commands/ensure_admin.py": r"environ\.get\(\"([A-Z_]+)\"",
}


def test_every_setting_is_in_the_table_and_no_other() -> None:
    read = {name for path, pattern in READ.items() for name in re.findall(pattern, (ROOT / path).read_text())}
    rows = re.findall(r"^\| (`[A-Z_`、]+`) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert read == {name.strip("`") for row in rows for name in row.split("、")}
