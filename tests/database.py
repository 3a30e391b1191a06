"""Databases for the portal's processes: migrated once, and copied for each stage."""

import atexit
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFA"
SECRETS = {
    "SECRET_KEY": "stage-signing-key-0123456789-0123456789-0123456789-abcdef",
    "FTA_SECRET_KEYS": "stage-sealing-key-0123456789abcdef",
    "FTA_API_KEY": "stage-api-key-0123456789",
    "FTA_SOURCE_SECRET": "stage-source-secret-0123456789",
    "WECOM_SECRET": "stage-wecom-secret",
    "WECOM_TOKEN": "StageToken0123456789",
    "WECOM_AES_KEY": AES_KEY,
    "WECOM_API_TOKEN": "stage-wecom-api-token",
    "ADMIN_PASSWORD": "stage-admin-password",
}
POSTGRES = os.environ.get("FTA_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres")


def reachable(url: str) -> bool:
    """Tell whether the host and port of a URL take a connection."""
    host, port = re.search(r"@?([\w.]+):(\d+)", url.split("//", 1)[1]).groups()  # type: ignore[union-attr]
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


@cache
def _migrated(postgres: bool) -> str:
    """Migrate one database for all stages of this process, and return its file or name: they start as copies of it."""
    if not postgres:
        path = Path(tempfile.mkdtemp(prefix="fta-stage-")) / "template.sqlite3"
        _migrate(f"sqlite:///{path}")
        with sqlite3.connect(path) as link:
            link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
        return str(path)
    name = f"fta_template_{uuid.uuid4().hex[:12]}"
    _on_postgres(f'CREATE DATABASE "{name}"')
    atexit.register(_on_postgres, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _migrate(POSTGRES.rsplit("/", 1)[0] + f"/{name}")
    return name


# Without the convergence rules that a new portal ships with: each configuration names those that its test needs.
MIGRATE = """
import django
django.setup()
from django.core.management import call_command
from fta.models import ConvergenceRule
call_command("migrate", verbosity=0)
ConvergenceRule.objects.all().delete()
"""


def _migrate(url: str) -> None:
    env = {**os.environ, **SECRETS, "DEBUG": "0", "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "fta.settings"}
    subprocess.run([sys.executable, "-c", MIGRATE], cwd=ROOT, env=env, check=True, timeout=120)


def _on_postgres(statement: str) -> None:
    with psycopg.connect(POSTGRES, autocommit=True) as link:
        link.execute(statement)


class Database:
    """A migrated database of one stage: an SQLite file, or a PostgreSQL database made for it and dropped with it."""

    def __init__(self, folder: Path, postgres: bool) -> None:
        self.postgres = postgres
        template = _migrated(postgres)
        if not postgres:
            shutil.copy(template, folder / "stage.sqlite3")
            self.url = f"sqlite:///{folder / 'stage.sqlite3'}"
            return
        self.name = f"fta_stage_{uuid.uuid4().hex[:12]}"
        _on_postgres(f'CREATE DATABASE "{self.name}" TEMPLATE "{template}"')
        self.url = POSTGRES.rsplit("/", 1)[0] + f"/{self.name}"

    def close(self) -> None:
        if self.postgres:
            _on_postgres(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
