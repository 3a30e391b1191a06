"""How a production starts: secrets from files, refusals of a start without keys, probes, and senders that chunk."""

import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from fta.lib.database import audit_head, database
from fta.lib.files import keep_private
from fta.wsgi import with_length
from tests.database import ROOT, SECRETS

PRODUCTION = {"DEBUG": "0", "DJANGO_SETTINGS_MODULE": "fta.settings", **SECRETS}


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DEBUG", "DATABASE_URL", "EMAIL_URL")}
    given = {name: value for name, value in {**kept, **PRODUCTION, **env}.items() if value}
    command = [sys.executable, "-c", "import django; django.setup()\n" + code]
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60)


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    database = tmp_path / "from-a-file.sqlite3"
    for name, text in (("db", f"sqlite:///{database}"), ("mail", "smtp://u:p@127.0.0.1:2525"), ("old", "a,b")):
        (tmp_path / name).write_text(text + "\n")
    done = python(
        "from django.conf import settings as s; "
        "print(s.DATABASES['default']['NAME'], s.EMAIL_PORT, s.SECRET_KEY_FALLBACKS)",
        DATABASE_URL_FILE=str(tmp_path / "db"), EMAIL_URL_FILE=str(tmp_path / "mail"),
        SECRET_KEY_FALLBACKS_FILE=str(tmp_path / "old"),
    )  # fmt: skip
    assert done.stdout.split("\n")[0] == f"{database} 2525 ['a', 'b']", done.stderr
    assert database.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("env", "word"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"FTA_SECRET_KEYS": ""}, "FTA_SECRET_KEYS is not set"),
        ({"FTA_SECRET_KEYS": " , "}, "FTA_SECRET_KEYS holds no key"),
        ({"SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere/key"}, "SECRET_KEY_FILE names /nowhere/key"),
    ],
)
def test_it_does_not_start_without_its_keys(env: dict[str, str], word: str) -> None:
    done = python("", **env)
    assert done.returncode != 0
    assert f"ImproperlyConfigured: {word}" in done.stderr


@pytest.mark.parametrize("prefix", ["/", "/o/bk_fta_solution/"])
def test_probes_are_answered_without_https(prefix: str) -> None:
    done = python(
        "from django.test import Client; from django.conf import settings as s; s.ALLOWED_HOSTS = ['*']\n"
        "for path in ('healthz/', 'readyz/', 'alerts/'): print(Client(raise_request_exception=False).get('/' + path).status_code)",
        SITE_PREFIX=prefix, HTTPS_ONLY="1", DATABASE_URL="sqlite:///:memory:",
    )  # fmt: skip
    healthz, readyz, page = done.stdout.split()[:3]
    assert (healthz, page) == ("200", "301"), done.stderr
    assert readyz != "301", "it looks at the database, which is empty here"


@pytest.mark.parametrize(("sent", "read"), [(b"", b""), (b"x" * 10, b"x" * 10), (b"x" * 50, b"x" * 21)])
def test_a_chunked_body_is_read_to_its_limit(sent: bytes, read: bytes) -> None:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        return []

    environ = {"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True, "wsgi.input": BytesIO(sent)}
    with_length(application, 20)(environ, None)
    assert (seen["wsgi.input"].read(), seen["CONTENT_LENGTH"]) == (read, str(len(read)))
    untouched = {"wsgi.input": BytesIO(sent), "CONTENT_LENGTH": "3"}
    with_length(application, 20)(untouched, None)
    assert seen["CONTENT_LENGTH"] == "3"


def test_nobody_else_reads_the_database_file(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("old.sqlite3", "old.sqlite3-wal", "old.sqlite3-shm")]
    for path in files:
        path.touch(mode=0o644)
    for path in (files[0], tmp_path / "new.sqlite3"):
        keep_private(path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("old.sqlite3", "old.sqlite3-wal", "old.sqlite3-shm", "new.sqlite3"), 0o600)


def test_the_options_of_the_database_url_hold() -> None:
    url = "postgres://u:p@db.example:6432/fta?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=9&conn_max_age=0"
    made = database(f"{url}&options=-c%20statement_timeout%3D60000", Path("/var"), 60)
    options = made["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"], options["connect_timeout"]) == ("verify-full", "/etc/ca.pem", 9)
    assert options["options"].startswith("-c statement_timeout=15000 -c lock_timeout=5000 ")
    assert options["options"].endswith(" -c statement_timeout=60000"), "the last one holds"
    assert (made["CONN_MAX_AGE"], made["CONN_HEALTH_CHECKS"]) == (0, True)
    plain = database("postgres://u:p@db.example/fta", Path("/var"), 60)
    assert (plain["OPTIONS"]["connect_timeout"], plain["CONN_MAX_AGE"]) == (5, 60)
    file = database("sqlite:////tmp/fta.sqlite3?timeout=7&transaction_mode=DEFERRED", Path("/var"), 60)
    assert (file["OPTIONS"]["timeout"], file["OPTIONS"]["transaction_mode"]) == (7, "IMMEDIATE")


def test_each_database_has_an_audit_head_of_its_own() -> None:
    urls = ["postgres://u@a/fta", "postgres://u@b/fta", "postgres://u@a:6432/fta", "postgres://u@a/fta2"]
    urls += ["postgres://%2Fvar%2Frun/fta", "sqlite:////srv/fta.sqlite3"]
    heads = [audit_head(database(url, Path("/var"), 60), Path("/var")) for url in urls]
    assert heads[0] == "/var/portal-a-fta.audit-head.json"
    assert heads[-1] == "/srv/fta.sqlite3.audit-head.json"
    assert len(set(heads)) == len(urls)
    assert {str(Path(head).parent) for head in heads} == {"/var", "/srv"}


def test_the_proxy_logs_no_query() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    (form,) = re.findall(r"^log_format fta '(.*)';$", text, re.M)
    assert not set(re.findall(r"\$\w+", form)) & {"$request", "$request_uri", "$args", "$query_string", "$http_referer"}
    assert set(re.findall(r"access_log ([^;]+);", text)) == {"off", "/var/log/nginx/fta.access.log fta"}
