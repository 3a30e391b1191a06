"""A past of any length, written by a few statements: alerts with their executions, places in windows, and incidents.

Counted back from one moment the past of two databases is the same as far as the shorter one reaches: only its length differs.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias

import psycopg

from fta.convergence.dimensions import key_of
from fta.lib.types import JSON

HOSTS, TYPES, HOT = 400, 20, 20
_STRIDE = 403  # from one place to the next: coprime with their number, so that neighbours differ in host and type
APART = "2.592 seconds"  # a million in 30 days
_SETTINGS = """
SET session_replication_role = replica; SET synchronous_commit = off;
SET maintenance_work_mem = '256MB'
"""
# `i` counts back from the newest, `k` is its id. A quarter of all comes from few hosts that fail again and again: `again` counts
# how often the place had been heard of since, and each five of these are an incident, but for the latest five.
_PAST = """
CREATE UNLOGGED TABLE past AS
SELECT k, i, %(at)s::timestamptz - i * %(apart)s::interval AS at, place.*,
       CASE WHEN i %% 4 = 0 AND i / 80 >= 5 THEN %(n)s / 20 + 1 - ((i / 80 / 5) * 20 + (i / 4) %% 20) END AS incident
FROM (SELECT k, %(n)s - k + 1 AS i FROM generate_series(1, %(n)s) AS k) AS number
JOIN place ON place.number = CASE WHEN i %% 4 = 0 THEN (i / 4) %% 20 ELSE 20 + (i::bigint * 7919) %% 7980 END
ORDER BY k
"""
_FILL = {
    "fta_alert": """
    INSERT INTO fta_alert (id, source_id, fingerprint, external_id, alert_type, severity, severity_raw, status, title, content,
        target, target_kind, host_id, business_id, registered, labels, links, starts_at, received_at, last_seen_at, resolved_at,
        repeat_count, outcome, outcome_detail)
    SELECT k, (SELECT min(id) FROM fta_source), md5(k::text), '', alert_type, 'critical', '', 'resolved', 'past',
        'a disk is nearly full', ip, 'host', host, business, true, jsonb_build_object('instance', ip), '{}', at, at, at,
        at + interval '1 minute', 0, 'matched', ''
    FROM past
    """,
    "fta_execution": """
    INSERT INTO fta_execution (id, trigger_key, alert_id, rule_id, package_id, version_id, host_id, business_id, alert_type, state,
        mode, plan, plan_sha256, needs_approval, approval_policy, hold_reasons, verdict, cancel_requested, acting, reason,
        received_at, deadline_at, started_at, ended_at, healed, incident_id)
    SELECT k, k || '|1', k, (SELECT min(id) FROM fta_rule), package, version, host, business, alert_type,
        CASE WHEN i % 10 = 0 THEN 'failed' ELSE 'succeeded' END,
        'auto', '{}', repeat('0', 64), false, '', '[]', 'proceed', false, false, '', at, at + interval '40 minutes', at,
        at + interval '1 second', '', incident
    FROM past
    """,
    "fta_member": """
    INSERT INTO fta_member (id, rule_id, group_key, execution_id, received_at, incident_id, ordinal, ended_at)
    SELECT 3 * k + unnest(ARRAY[-2, -1, 0]), unnest(rules), unnest(keys), k, at, unnest(ARRAY[incident, NULL, NULL]),
        unnest(ARRAY[CASE WHEN incident IS NULL THEN 0 ELSE 5 - (i / 80) % 5 END, 0, 0]), at + interval '1 second'
    FROM past, (SELECT array_agg(id ORDER BY priority) AS rules FROM fta_convergencerule) AS asked
    """,
    "fta_incident": """
    INSERT INTO fta_incident (id, rule_id, group_key, dimensions, function, business_id, state, title, execution_count, visible,
        opened_at, last_joined_at, closed_at, findings)
    SELECT incident, (SELECT id FROM fta_convergencerule ORDER BY priority LIMIT 1), min(keys[1]), '{}', 'skip_when_success',
        min(business), 'closed', 'past', count(*), true, min(at), max(at), max(at) + interval '5 minutes',
        jsonb_build_object('crossed_by', min(k))
    FROM past WHERE incident IS NOT NULL GROUP BY incident
    """,
}
_HOSTS = """
SELECT h.id, host(h.ip), b.id, b.code FROM fta_host h JOIN fta_business b ON b.id = h.business_id ORDER BY h.id LIMIT %s
"""
_INDEXES = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE contype = 'u' AND conrelid = %(table)s::text::regclass
UNION ALL
SELECT format('DROP INDEX %%I', indexname), indexdef FROM pg_indexes
WHERE tablename = %(table)s::text AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = indexname)
"""
Link: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"


def place(number: int) -> tuple[int, int]:
    """Return which host and which type of alert a place is; the first HOT of them are where it happens again and again."""
    kind, host = divmod(number * _STRIDE % (HOSTS * TYPES), HOSTS)
    return host, kind


def alert_type(number: int) -> str:
    return f"type_{number}"


def fill(url: str, alerts: int, at: datetime) -> None:
    """Write so many alerts before a moment, and all that came of them, into a portal's empty tables."""
    with psycopg.connect(url, autocommit=True) as link:
        _places(link)
        link.execute(_PAST, {"n": alerts, "at": at, "apart": APART})
        with ThreadPoolExecutor(len(_FILL)) as pool:
            list(pool.map(lambda table: _fill(url, table), _FILL))
        link.execute("DROP TABLE past, place")


def _fill(url: str, table: str) -> None:
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(_SETTINGS)
        with _without_indexes(link, table):
            link.execute(_FILL[table])
        link.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id) + 1) FROM {table}")
        link.execute(f"VACUUM ANALYZE {table}")


def _places(link: Link) -> None:
    """Make a table of every host with every type of alert, and the keys under which the convergence rules count it."""
    link.execute(
        "CREATE UNLOGGED TABLE place (number int, host int, ip text, business int, package int, version int, alert_type text, "
        "keys text[])"
    )
    hosts = link.execute(_HOSTS, [HOSTS]).fetchall()
    packages = link.execute("SELECT id, current_id, key FROM fta_package ORDER BY id").fetchall()
    rules = [row[0] for row in link.execute("SELECT id FROM fta_convergencerule ORDER BY priority")]
    with link.cursor().copy("COPY place FROM STDIN") as copy:
        for number in range(HOSTS * TYPES):
            at, kind = place(number)
            host, ip, business, code = hosts[at]
            package, version, key = packages[kind % len(packages)]
            word = alert_type(kind)
            groups: list[dict[str, JSON]] = [
                {"host": ip, "alert_type": word},
                {"host": ip, "package": key},
                {"business": code, "alert_type": word},
            ]
            keys = [key_of(rule, group) for rule, group in zip(rules, groups, strict=True)]
            copy.write_row((number, host, ip, business, package, version, word, keys))


@contextmanager
def _without_indexes(link: Link, table: str) -> Iterator[None]:
    """Leave out what a million rows would be sorted into one by one, and make it again from all of them."""
    found = link.execute(_INDEXES, {"table": table}).fetchall()
    for drop, _make in found:
        link.execute(drop)
    yield
    for _drop, make in found:
        link.execute(make)
