"""Read what a run left behind, by SQL and from the interface."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from tests.faults.invariants import Asked, Call, Facts, Run, Step
from tests.faults.scenario import FaultStage
from tests.faults.tampering import ENDS, STARTS, changes

# Everything that still waits for somebody to do it.
OPEN = """
SELECT (SELECT count(*) FROM fta_inbox WHERE state = 'new')
     + (SELECT count(*) FROM fta_execution WHERE ended_at IS NULL)
     + (SELECT count(*) FROM fta_steprun WHERE state IN ('ready', 'running', 'waiting'))
     + (SELECT count(*) FROM approvals_approval WHERE state = 'pending')
     + (SELECT count(*) FROM notify_delivery WHERE state IN ('pending', 'sending'))
"""


# What each call is to ask for, by the configuration and the inventory: its plan may have been changed.
AGREED = """
SELECT s.idem_key::text, host(h.ip), e.id::text
FROM fta_steprun s JOIN fta_execution e ON e.id = s.execution_id JOIN fta_host h ON h.id = e.host_id
WHERE s.type = 'http'
"""
SUCCESSES = "SELECT step_id, count(*) FROM fta_stepattempt WHERE state = 'succeeded' GROUP BY 1"


def open_work(stage: FaultStage) -> int:
    """Return how many things wait to be done."""
    with psycopg.connect(stage.database.url) as link:
        return int(_rows(link, OPEN)[0][0])


def read(stage: FaultStage, acknowledged: Sequence[str], over: Sequence[str]) -> Facts:
    """Return the facts of a run that has come to rest."""
    audit = stage.manage("audit_verify", check=False)
    with psycopg.connect(stage.database.url) as link:
        keys = {str(key) for (key,) in _rows(link, "SELECT idem_key::text FROM fta_steprun WHERE type = 'script'")}
        found = Facts(
            acknowledged=list(acknowledged),
            over=list(over),
            unended=[row[0] for row in _rows(link, "SELECT external_id FROM fta_alert WHERE status <> 'resolved'")],
            stored=dict(_rows(link, "SELECT external_id, count(*) FROM fta_alert GROUP BY 1")),
            waiting=dict(_rows(link, "SELECT state, count(*) FROM fta_inbox GROUP BY 1")),
            runs=_of(
                Run,
                link,
                "SELECT id, alert_id, state, ended_at IS NOT NULL, needs_approval, plan_sha256 FROM fta_execution",
            ),
            steps=_of(Step, link, "SELECT id, execution_id, type, policy, state, idem_key::text FROM fta_steprun"),
            approvals=_of(
                Asked,
                link,
                "SELECT id, execution_id, kind, state, plan_sha256, decided_at, expires_at FROM approvals_approval",
            ),
            decisions=[(row[0], row[1]) for row in _rows(link, "SELECT approval_id, answer FROM approvals_decision")],
            deliveries=dict(_rows(link, "SELECT state, count(*) FROM notify_delivery GROUP BY 1")),
            calls=[Call(str(call["key"]), call["at"]) for call in stage.hook.calls],
            successes=dict(_rows(link, SUCCESSES)),
            changed=changes(stage.points),
            audit="" if audit.returncode == 0 else audit.stdout.strip() or audit.stderr.strip()[-500:],
        )
        agreed = {key: {"ip": ip, "execution": execution} for key, ip, execution in _rows(link, AGREED)}
    # The hosts' own words come last: what the database calls done has ended there by now.
    lines = stage.marks.read_text(encoding="utf-8").splitlines() if stage.marks.exists() else []
    marks = [(word, key) for word, _blank, key in (line.partition(" ") for line in lines) if key in keys]
    return replace(
        found,
        starts=[key for word, key in marks if word != ENDS],
        marks=[key for word, key in marks if word == ENDS],
        otherwise=[key for word, key in marks if word not in (STARTS, ENDS)]
        + [str(call["key"]) for call in stage.hook.calls if call["body"] != agreed.get(str(call["key"]))],
    )


def lost_leases(stage: FaultStage) -> int:
    """Return how many starts of steps ended with a worker that vanished."""
    with psycopg.connect(stage.database.url) as link:
        return int(_rows(link, "SELECT count(*) FROM fta_stepattempt WHERE state = 'unknown'")[0][0])


def _rows(link: "psycopg.Connection[Any]", query: str) -> list[tuple[Any, ...]]:
    return link.execute(query).fetchall()


def _of(kind: Any, link: "psycopg.Connection[Any]", query: str) -> list[Any]:
    return [kind(*row) for row in _rows(link, query)]
