"""The README's tables tell of all that there is: settings, sources, nodes, ways to notify."""

import re
from pathlib import Path

from django.conf import settings

from fta.healing.runners import RUNNERS
from fta.intake.sources import PARSERS

ROOT = Path(__file__).resolve().parents[1]
READ = {
    "fta/settings.py": r"(?:env(?:\.\w+)?|secret)\(\s*\"([A-Z_]+)\"",
    "deploy/gunicorn.conf.py": r"environ\.get\(\"([A-Z_]+)\"",
    "fta/management/commands/ensure_admin.py": r"secret\(\"([A-Z_]+)\"",
}


def test_every_setting_is_in_the_table_and_no_other() -> None:
    read = {name for path, pattern in READ.items() for name in re.findall(pattern, (ROOT / path).read_text())}
    rows = re.findall(r"^\| (`[A-Z_`、]+`) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert read == {name.strip("`") for row in rows for name in row.split("、")}


def test_every_source_node_and_way_has_a_row() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [f"| `POST /intake/{kind}/`" for kind in PARSERS]
    rows += [f"| `{kind}` {runner.label} |" for kind, runner in RUNNERS.items()]
    rows += [f"| `{kind}` |" for kind in settings.NOTIFY_TRANSPORTS]
    assert [row for row in rows if row not in text] == []
