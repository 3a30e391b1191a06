"""A storm from end to end: what comes first is healed, what is too much waits for one decision, given on the phone."""

import re
from typing import Any

from tests.stage import Stage

HEALED, HELD = 20, 3  # the demo's 批量异常防御 lets 20 of a kind through in five minutes
TYPE = "disk_storm"
HOSTS = [f"127.0.0.{101 + number}" for number in range(HEALED + HELD)]


def _runs(stage: Stage, state: str) -> list[dict[str, Any]]:
    found = stage.api(f"executions/?state={state}&limit=100")["results"]
    return [run for run in found if run["host"] in HOSTS]


def _told(stage: Stage) -> list[str]:
    """Return the cards about the storm that lisi got."""
    with stage.world.lock:
        cards = [str(bubble.body.get("description", "")) for bubble in stage.world.inboxes["lisi"]]
    return [card for card in cards if TYPE in card and "待审批" in card]


def test_it_heals_the_first_and_asks_once_about_the_rest(embedded: Stage) -> None:
    stage = embedded
    for ip in HOSTS:
        stage.post_alert(f"storm-{ip}", TYPE, ip, wait=False)
    stage.wait(lambda: len(_runs(stage, "held")) == HELD, "the rest to be held")
    stage.wait(lambda: len(_runs(stage, "succeeded")) == HEALED, "the first to be healed")
    stage.wait(lambda: _told(stage), "lisi to be asked")
    assert len(_told(stage)) == 1

    # Everything that waits is listed, and one reply answers all of it.
    asked = len(stage.texts("lisi"))
    stage.say("lisi", "待办")
    stage.wait(lambda: len(stage.texts("lisi")) > asked + 1, "the list")
    held = {f"{run['id']}_0" for run in _runs(stage, "held")}
    codes = set(re.findall(r"\b\d+_0\b", stage.texts("lisi")[-1])) & held
    assert codes == held
    stage.say("lisi", f"TY {' '.join(sorted(codes))} 交换机已换")
    stage.wait(lambda: len(_runs(stage, "succeeded")) == HEALED + HELD, "the rest to be healed")
    assert len(_told(stage)) == 1
