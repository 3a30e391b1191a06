"""What the fault suite does to plans can be seen at their targets; each guard that it takes out has a promise to be broken."""

from pathlib import Path

from tests.faults import points
from tests.faults.invariants import CHECKS
from tests.faults.tampering import CHANGED, STARTS, changed, changes

SCRIPT = {"params": {"script": f'echo "{STARTS} $FTA_IDEMPOTENCY_KEY" >> marks'}}
CALL = {"params": {"url": "http://h/", "body": {"ip": "${ip}", "execution": "${execution.id}"}}}


def test_a_changed_plan_asks_its_target_for_something_else() -> None:
    frozen = {"nodes": [SCRIPT, CALL]}
    script, call = (node["params"] for node in changed(frozen)["nodes"])
    assert script["script"] == f'echo "{CHANGED} $FTA_IDEMPOTENCY_KEY" >> marks'
    assert call == {"url": "http://h/", "body": {"ip": CHANGED, "execution": "${execution.id}"}}
    assert CHANGED not in str(frozen)


def test_it_knows_which_executions_have_a_changed_plan(tmp_path: Path) -> None:
    (tmp_path / "changed-7").write_text("abc", encoding="utf-8")
    (tmp_path / "changed-12").write_text("", encoding="utf-8")
    (tmp_path / "race-0").touch()
    assert changes(tmp_path) == {7: "abc", 12: ""}


def test_every_guard_that_can_be_taken_out_names_a_promise_that_is_checked() -> None:
    assert set(points.BREAKS) == set(points.GUARDS)
    assert set(points.BREAKS.values()) <= set(CHECKS)
    assert set(points.CONSTRAINTS) <= set(points.GUARDS)
