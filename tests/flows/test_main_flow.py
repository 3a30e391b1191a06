"""The main job from end to end on real processes: SQLite without a broker, PostgreSQL with Celery on Redis or RabbitMQ, and with
Redis stopped half-way. The same flow in each setting."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import only_on_postgres, skip_or_fail
from tests.database import POSTGRES, reachable
from tests.stage import RABBITMQ, Stage

pytestmark = [pytest.mark.timeout(180)]


def _postgres_or_skip() -> None:
    if not reachable(POSTGRES):
        skip_or_fail("postgres", f"nothing answers at {POSTGRES}")


class Setting:
    """A running portal and two of its hosts."""

    def __init__(self, stage: Stage, local: str = "127.0.0.12", web: str = "127.0.0.21") -> None:
        self.stage, self.local, self.web = stage, local, web

    def told(self, words: str) -> list[str]:
        """Return what lisi was told of the second host, with these words."""
        return [text for text in self.stage.texts("lisi") if self.web in text and words in text]

    def calls(self) -> list[dict[str, Any]]:
        return [call["body"] for call in self.stage.hook.calls if call["body"]["ip"] == self.web]


def _alone() -> None:
    """Leave the portal's surroundings as they are half-way."""


@pytest.fixture
def celery(tmp_path: Path) -> Iterator[tuple[Stage, "subprocess.Popen[bytes]"]]:
    """A portal on PostgreSQL with Celery on a Redis of its own."""
    _postgres_or_skip()
    if shutil.which("redis-server") is None:
        skip_or_fail("redis", "redis-server is not installed")
    stage = Stage(tmp_path, postgres=True)
    try:
        stage.env["CELERY_BROKER_URL"], redis = stage.redis()
        yield stage.prepare_more_hosts().start("worker", "web", "engine"), redis
    finally:
        stage.close()


@pytest.fixture
def rabbitmq(tmp_path: Path) -> Iterator[Stage]:
    """A portal on PostgreSQL with Celery on RabbitMQ."""
    only_on_postgres("one broker is enough here")
    if not reachable(RABBITMQ):
        skip_or_fail("rabbitmq", f"nothing answers at {RABBITMQ}")
    stage = Stage(tmp_path, postgres=True, broker=RABBITMQ)
    try:
        yield stage.prepare_more_hosts().start("worker", "web", "engine")
    finally:
        stage.close()


def test_it_heals_by_script_then_asks_acts_once_and_tells_everybody(embedded: Stage) -> None:
    setting = Setting(embedded)
    _flow(setting)
    assert re.search(r"同意请回复: TY \d+_\d+", setting.told("请审核")[0])


def test_it_does_so_with_celery_on_rabbitmq(rabbitmq: Stage) -> None:
    _flow(Setting(rabbitmq))


def test_it_does_so_with_celery_on_redis_and_when_redis_stops_half_way(
    celery: tuple[Stage, "subprocess.Popen[bytes]"],
) -> None:
    stage, redis = celery
    _flow(Setting(stage))

    def stop() -> None:
        redis.kill()
        redis.wait(10)

    _flow(Setting(stage, "127.0.0.13", "127.0.0.22"), half_way=stop)


def _flow(setting: Setting, half_way: Callable[[], None] = _alone) -> None:
    """Heal a disk by script and, asked and told yes, a host by one call; `half_way` happens while the question is open."""
    stage = setting.stage
    heard = {key: len(stage.world.robots[key].bubbles) for key in ("demo1", "demo2")}

    # A full disk is healed by a script at once.
    disk = stage.post_alert(f"disk-{setting.local}", "disk_full", setting.local)["alerts"][0]
    healed = stage.wait_execution(disk["id"], "succeeded")
    assert "cleaned" in healed["steps"][0]["output"]

    # A host that does not answer: lisi is asked on the phone. The card comes at once, the text of a second question later.
    down = stage.post_alert(f"down-{setting.web}", "host_down", setting.web)["alerts"][0]
    stage.wait(lambda: _card_says(stage, "lisi", setting.web, ""), "lisi to be asked")
    (question,) = (stage.execution_of(down["id"]) or {})["approvals"]
    assert setting.calls() == []
    half_way()

    # The yes lets the step act, once.
    answers = stage.texts("lisi").count("【故障自愈】审批成功")
    stage.say("lisi", f"TY {question['code']}")
    done = stage.wait_execution(down["id"], "succeeded")
    assert setting.calls() == [{"ip": setting.web, "execution": str(done["id"])}]
    assert done["approvals"][0]["state"] == "approved"
    assert done["approvals"][0]["decided_by"] == "lisi"
    stage.wait(lambda: stage.texts("lisi").count("【故障自愈】审批成功") == answers + 1, "the answer to lisi")

    # The card shows who decided, both groups and the app hear of the result.
    stage.wait(lambda: _card_says(stage, "lisi", setting.web, "lisi 已在"), "the card to be updated")
    for key, before in heard.items():
        stage.wait(lambda key=key, n=before: len(stage.world.robots[key].bubbles) >= n + 2, f"group {key} to hear")
    stage.wait(lambda: setting.told("处理完毕"), "the notify node's message")

    # A second yes changes nothing.
    refusals = sum("审批失败" in text for text in stage.texts("lisi"))
    stage.say("lisi", f"TY {question['code']}")
    stage.wait(lambda: sum("审批失败" in text for text in stage.texts("lisi")) == refusals + 1, "the refusal")
    assert len(setting.calls()) == 1
    deliveries = stage.api("deliveries/?limit=100")["results"]
    assert deliveries
    assert {row["state"] for row in deliveries} <= {"sent", "pending", "sending"}


def _card_says(stage: Stage, userid: str, about: str, words: str) -> bool:
    """Tell whether a card of the member about a host, as it looks now, says who decided."""
    with stage.world.lock:
        cards = [bubble.card for bubble in stage.world.inboxes[userid] if bubble.card]
        return any(words in str(card.body["main_title"]) and about in str(card.body) for card in cards)
