"""Sixteen people at three hundred approvals at once, and clicks at the very end of their time, on PostgreSQL."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import only_on_postgres, skip_or_fail
from tests.database import POSTGRES, ROOT, Database, reachable
from tests.flows.deciders import ON_THE_EDGE, QUESTIONS, RIVALS

pytestmark = [pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    only_on_postgres("half a minute of work for both cores")
    if not reachable(POSTGRES):
        skip_or_fail("postgres", f"nothing answers at {POSTGRES}")
    database = Database(tmp_path_factory.mktemp("deciders"), postgres=True)
    env = {**os.environ, "DEBUG": "1", "DATABASE_URL": database.url, "DJANGO_SETTINGS_MODULE": "fta.settings"}
    env |= {"CELERY_BROKER_URL": "", "LOG_LEVEL": "ERROR", "CONN_MAX_AGE": "0"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.flows.deciders"],
            cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
    finally:
        database.close()
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_decides_each_once_and_tells_the_losers_who_won(outcome: dict[str, Any]) -> None:
    race = outcome["race"]
    assert set(race["states"]) <= {"approved", "refused"}
    assert sum(race["states"].values()) == race["decisions"] == QUESTIONS
    assert (race["twice"], race["misfits"]) == (0, 0)
    assert race["audited"] == {
        "approval.decide": QUESTIONS,
        "approval.decide_refused": QUESTIONS * (RIVALS - 1),
    }
    assert race["told"] == QUESTIONS
    assert race["chain"]


def test_it_never_lets_a_click_and_the_clock_both_win(outcome: dict[str, Any]) -> None:
    edge = outcome["edge"]
    states, audited = edge["states"], edge["audited"]
    assert set(states) == {"approved", "expired"}
    assert states["approved"] + states["expired"] == ON_THE_EDGE
    assert (edge["twice"], edge["misfits"]) == (0, 0)
    assert edge["decisions"] == audited["approval.decide"] == edge["words"]["won"] == states["approved"]
    assert audited["approval.expired"] == states["expired"]
    assert edge["words"]["expired"] == ON_THE_EDGE - states["approved"]
    assert edge["chain"]
