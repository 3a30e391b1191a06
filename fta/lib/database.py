"""DATABASE_URL as Django's settings: what the portal needs of its database, joined with the options that the URL names."""

import os
import re
from pathlib import Path
from typing import Any

import environ

_LIMITS = "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"


def database(url: str, folder: Path, conn_max_age: int) -> dict[str, Any]:
    """Return the entry of DATABASES for a URL; `folder` is where tests on SQLite put their database.

    What the URL says about the connection holds (sslmode, sslrootcert, connect_timeout, options …); PostgreSQL takes the last of
    two equal settings in `options`, so that those of the URL stand behind ours.
    """
    config: dict[str, Any] = environ.Env.db_url_config(url)
    given = config.get("OPTIONS", {})
    if config["ENGINE"].endswith("sqlite3"):
        # One writer at a time: IMMEDIATE takes the write lock at BEGIN, so that a transaction never fails half-way with
        # "database is locked" when it turns from reading to writing.
        config["OPTIONS"] = {
            "timeout": 20,
            **given,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
        }
        config["TEST"] = {
            "NAME": str(folder / f"test-{os.getpid()}.sqlite3")
        }  # a file: threads share no memory database
        return config
    limits = f"{_LIMITS} {given.get('options', '')}".strip()
    config["OPTIONS"] = {"connect_timeout": 5, **given, "options": limits}
    return {"CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": conn_max_age, **config}


def audit_head(config: dict[str, Any], folder: Path) -> str:
    """Return the file for the head of the audit trail: beside an SQLite file, else in `folder`, one for each database."""
    if config["ENGINE"].endswith("sqlite3"):
        return f"{config['NAME']}.audit-head.json"
    address = [str(config[part]) for part in ("HOST", "PORT", "NAME") if config.get(part)]
    return str(folder / (re.sub(r"[^\w.-]+", "-", "-".join(["portal", *address]))[:200] + ".audit-head.json"))


def lift_time_limit(apps: Any, schema_editor: Any) -> None:
    """Let what follows in this migration take its time: a large table needs more of it than any statement of a page may have."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET LOCAL statement_timeout = 0")
