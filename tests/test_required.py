"""FTA_REQUIRE: what it names is never skipped, and nothing else goes by these names."""

import re
from pathlib import Path

import pytest

from tests import conftest

PARTS = "postgres|redis|rabbitmq|browser|sshd|alertmanager"
BY_HAND = re.compile(rf"pytest\.skip\(\s*f?\"({PARTS})\b")


def test_a_part_that_is_required_fails_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "REQUIRED", {"postgres"})
    with pytest.raises(pytest.fail.Exception, match="postgres is required and missing: nothing answers"):
        conftest.skip_or_fail("postgres", "nothing answers")
    with pytest.raises(pytest.skip.Exception, match="redis: nothing answers"):
        conftest.skip_or_fail("redis", "nothing answers")


def test_only_that_door_skips_by_the_name_of_a_part() -> None:
    found = {path: BY_HAND.findall(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.rglob("*.py")}
    assert {str(path): names for path, names in found.items() if names} == {}


def test_what_another_suite_runs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "on_postgres", lambda: False)
    with pytest.raises(pytest.skip.Exception, match=r"^test-postgres: a minute of work; runs with make test-postgres$"):
        conftest.only_on_postgres("a minute of work")
    monkeypatch.setattr(conftest, "on_postgres", lambda: True)
    conftest.only_on_postgres("a minute of work")
