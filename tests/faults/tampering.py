"""Somebody with a database console, who changes the plan of an execution that has done nothing yet.

The hosts and the interface tell the changed plan from the one that was frozen by what they are asked to do. How far the hash
is made to fit differs: not at all, in the execution alone, or wherever it stands. The portal's seal takes a key that the
database does not hold, so nobody who only writes there can forge it.
"""

import copy
import json
from pathlib import Path
from typing import Any

from fta.healing.canonical import sha256_of

STARTS, ENDS = "start", "end"  # what a script says on its host
CHANGED = "changed"  # what it says instead, and a call asks for, when the plan was changed

CONTENTS, HASH, EVERYWHERE = WAYS = ("contents", "contents and hash", "contents and every hash")

STATES = "('sleeping', 'held', 'ready', 'running')"
ATTEMPTS = "FROM fta_stepattempt a JOIN fta_steprun s ON s.id = a.step_id WHERE s.execution_id ="
# Those of which nothing was ever begun; it is asked again when they are locked.
UNBEGUN = f"""
SELECT e.id FROM fta_execution e
WHERE e.plan_sha256 <> '' AND e.state IN {STATES} AND NOT EXISTS (SELECT 1 {ATTEMPTS} e.id) ORDER BY e.id
"""
BEGUN = f"SELECT count(*) {ATTEMPTS} %s"
OPEN = f"SELECT plan::text FROM fta_execution WHERE id = %s AND state IN {STATES} FOR UPDATE"


def changed(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the plan with something else to do; its target says so."""
    other = copy.deepcopy(plan)
    for node in other["nodes"]:
        params = node["params"]
        if "script" in params:
            params["script"] = params["script"].replace(STARTS, CHANGED)
        else:
            params["body"] = {**params["body"], "ip": CHANGED}
    return other


def change(cursor: Any, execution: int, way: str, folder: Path) -> bool:
    """Rewrite the plan within the caller's transaction, unless it was before or a step has begun; tell whether it was done.

    The cursor may be psycopg's or Django's. A file in the folder names the execution and the hash that was forged for it.
    """
    # In the order in which the portal locks them: the execution, then its steps, whose claims are waited for.
    cursor.execute(OPEN, [execution])
    found = cursor.fetchone()
    cursor.execute("SELECT id FROM fta_steprun WHERE execution_id = %s ORDER BY id FOR UPDATE", [execution])
    cursor.execute(BEGUN, [execution])
    note = folder / f"changed-{execution}"
    if found is None or cursor.fetchone()[0] or note.exists():
        return False
    plan = changed(json.loads(found[0]))
    forged = "" if way == CONTENTS else sha256_of(plan)
    cursor.execute("UPDATE fta_execution SET plan = %s::jsonb WHERE id = %s", [json.dumps(plan), execution])
    if forged:
        cursor.execute("UPDATE fta_execution SET plan_sha256 = %s WHERE id = %s", [forged, execution])
    if way == EVERYWHERE:
        cursor.execute("UPDATE fta_steprun SET plan_sha256 = %s WHERE execution_id = %s", [forged, execution])
        cursor.execute("UPDATE approvals_approval SET plan_sha256 = %s WHERE execution_id = %s", [forged, execution])
    note.write_text(forged, encoding="utf-8")  # before the commit: what was changed is always written down
    return True


def changes(folder: Path) -> dict[int, str]:
    """Return the executions whose plan was changed, each with the hash that was forged for it, "" for none."""
    found = folder.glob("changed-*")
    return {int(path.name.partition("-")[2]): path.read_text(encoding="utf-8") for path in found}
