"""The main job from end to end on real processes: SQLite without a broker, PostgreSQL with Celery on Redis or RabbitMQ, and with
Redis stopped half-way. The same test in each setting."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.stage import POSTGRES, RABBITMQ, Stage, reachable

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(180)]


def _postgres_or_skip() -> None:
    if not reachable(POSTGRES):
        skip_or_fail("postgres", f"nothing answers at {POSTGRES}")


def _redis_or_skip() -> None:
    if shutil.which("redis-server") is None:
        skip_or_fail("redis", "redis-server is not installed")


class Setting:
    """A running portal and what may go wrong half-way."""

    def __init__(self, stage: Stage, redis: "subprocess.Popen[bytes] | None" = None, broken: bool = False) -> None:
        self.stage = stage
        self.redis = redis
        self.broken = broken
        self.worker = "celery" if redis and not broken else ""

    def half_way(self) -> None:
        if self.broken and self.redis:
            self.redis.kill()
            self.redis.wait(10)


def _sqlite(folder: Path) -> Setting:
    return Setting(Stage(folder).prepare().start("web", "engine"))


def _celery(folder: Path, broken: bool) -> Setting:
    _postgres_or_skip()
    _redis_or_skip()
    stage = Stage(folder, postgres=True)
    url, redis = stage.redis()
    stage.env["CELERY_BROKER_URL"] = url
    return Setting(stage.prepare().start("worker", "web", "engine"), redis, broken)


def _rabbitmq(folder: Path) -> Setting:
    _postgres_or_skip()
    if not reachable(RABBITMQ):
        skip_or_fail("rabbitmq", f"nothing answers at {RABBITMQ}")
    stage = Stage(folder, postgres=True, broker=RABBITMQ)
    return Setting(stage.prepare().start("worker", "web", "engine"))


@pytest.fixture(params=["sqlite", "postgres-redis", "postgres-redis-stopped", "postgres-rabbitmq"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    made = {
        "sqlite": lambda: _sqlite(tmp_path),
        "postgres-redis": lambda: _celery(tmp_path, broken=False),
        "postgres-redis-stopped": lambda: _celery(tmp_path, broken=True),
        "postgres-rabbitmq": lambda: _rabbitmq(tmp_path),
    }[request.param]()
    yield made
    made.stage.close()


def test_it_heals_by_script_then_asks_acts_once_and_tells_everybody(setting: Setting) -> None:
    stage = setting.stage

    # A full disk is healed by a script at once.
    disk = stage.post_alert("disk-1", "disk_full", "127.0.0.10")["alerts"][0]
    healed = stage.wait_execution(disk["id"], "succeeded")
    assert "cleaned" in healed["steps"][0]["output"]

    # A host that does not answer: lisi is asked on the phone.
    down = stage.post_alert("down-1", "host_down", "127.0.0.11")["alerts"][0]
    ask = stage.wait(lambda: next((t for t in stage.texts("lisi") if "请审核" in t), ""), "lisi to be asked")
    code = re.search(r"同意请回复: TY (\d+_\d+)", ask)
    assert code is not None
    assert stage.hook.calls == []
    setting.half_way()

    # The yes lets the step act, once.
    stage.say("lisi", f"TY {code[1]}")
    done = stage.wait_execution(down["id"], "succeeded")
    assert [call["body"] for call in stage.hook.calls] == [{"ip": "127.0.0.11", "execution": str(done["id"])}]
    assert done["approvals"][0]["state"] == "approved"
    assert done["approvals"][0]["decided_by"] == "lisi"
    stage.wait(lambda: "【故障自愈】审批成功" in stage.texts("lisi"), "the answer to lisi")

    # The card shows who decided, both groups and the app hear of the result.
    stage.wait(lambda: _card_says(stage, "lisi", "lisi 已在"), "the card to be updated")
    for key in ("demo1", "demo2"):
        stage.wait(lambda key=key: len(stage.world.robots[key].bubbles) >= 2, f"group {key} to hear of both")
    stage.wait(lambda: any("处理完毕" in text for text in stage.texts("lisi")), "the notify node's message")

    # A second yes changes nothing.
    stage.say("lisi", f"TY {code[1]}")
    stage.wait(lambda: any("审批失败" in text for text in stage.texts("lisi")), "the refusal of a second decision")
    assert len(stage.hook.calls) == 1
    deliveries = stage.api("deliveries/?limit=100")["results"]
    assert deliveries
    assert {row["state"] for row in deliveries} <= {"sent", "pending", "sending"}


def _card_says(stage: Stage, userid: str, words: str) -> bool:
    """Tell whether a card of the member, as it looks now, says who decided."""
    with stage.world.lock:
        cards = [bubble.card for bubble in stage.world.inboxes[userid] if bubble.card]
        return any(words in str(card.body["main_title"]) for card in cards)
