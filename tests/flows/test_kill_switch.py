"""The kill switch over running processes: what comes meanwhile waits, is listed, and goes on afterwards."""

from typing import Any

from tests.stage import Stage

SWITCH = {"scope": "package", "key": "clean-disk"}


def test_it_holds_back_what_comes_and_lets_it_go_on_afterwards(embedded: Stage) -> None:
    stage = embedded
    halted = stage.api("switch/", "POST", {**SWITCH, "reason": "脚本有误"})
    try:
        alert = stage.post_alert("halted-disk", "disk_halted", "127.0.0.19")["alerts"][0]
        listed = stage.wait(lambda: _held_back(stage, halted["id"]), "the execution to be listed as held back")
        assert [(run["alert"], run["started_at"], run["ended_at"]) for run in listed] == [(alert["id"], None, None)]
        assert [step["started_at"] for run in listed for step in run["steps"]] == [None] * len(listed[0]["steps"])
    finally:
        stage.api("switch/", "DELETE", SWITCH)
    assert stage.wait_execution(alert["id"], "succeeded")["steps"][0]["attempt"] == 1


def _held_back(stage: Stage, switch: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.api(f"executions/?switch={switch}")["results"]
    return found
