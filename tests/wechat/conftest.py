"""A corp on loopback and the portal's application in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from approvals.models import Approval, Asked
from fta.models import Person
from tests import factories
from tests.wechat.entry_stub import AES_KEY, CORP, SECRET, TOKEN
from wechat.models import WecomApp
from wechat.simulator.config import App, Config, GroupChat
from wechat.simulator.server import start
from wechat.simulator.state import Bubble
from wechat.simulator.world import World

AGENT = 1000002


@dataclass
class Corp:
    """The simulated corp, its address and the portal's application there."""

    world: World
    base: str
    app: WecomApp

    def inbox(self, userid: str) -> list[Bubble]:
        return self.world.inboxes[userid]

    def texts(self, userid: str) -> list[str]:
        return [str(bubble.body.get("content", "")) for bubble in self.inbox(userid)]

    def calls(self, name: str) -> int:
        return sum(call.name == name for call in self.world.calls)


@pytest.fixture
def app(db: None) -> WecomApp:
    return make_app()


def make_app() -> WecomApp:
    return WecomApp.objects.create(
        name="default",
        is_default=True,
        corp_id=CORP,
        agent_id=AGENT,
        secret=SECRET,
        token=TOKEN,
        encoding_aes_key=AES_KEY,
        app_url="http://mycompany.com/wechat/",
        api_token="create-approve-token",
    )


@pytest.fixture
def corp(app: WecomApp) -> Iterator[Corp]:
    with running(app) as started:
        yield started


@contextmanager
def running(app: WecomApp) -> Iterator[Corp]:
    """Run a simulated corp that the application is known to."""
    simulated = App(AGENT, SECRET, TOKEN, AES_KEY, callback_url="http://127.0.0.1:9/")
    world = World(Config(apps=(simulated,), chats=(GroupChat("FTAALERTS", "告警群", "lisi", ("lisi", "wangwu")),)))
    base, stop = start(world)
    WecomApp.objects.filter(pk=app.pk).update(api_url=f"{base}/cgi-bin/")
    app.refresh_from_db()
    try:
        yield Corp(world, base, app)
    finally:
        stop()


@pytest.fixture
def approval(operator: Person) -> Approval:
    """An approval of another system that waits for 李四, code CHG-1."""
    return external("CHG-1", operator)


def external(code: str, *people: Person) -> Approval:
    now = factories.timezone.now()
    made = Approval.objects.create(
        code=code,
        first_code=code,
        kind=Approval.Kind.EXTERNAL,
        message=f"发布 {code}",
        evidence={"quorums": [1]},
        created_at=now,
        expires_at=now + factories.timedelta(minutes=30),
    )
    for person in people:
        Asked.objects.create(approval=made, user=person.user, why="person")
    return made
