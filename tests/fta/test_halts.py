"""What a switch holds back is written down once, by scope, and can be read by those whom the switch concerns."""

from datetime import timedelta

import pytest
from django.utils import timezone

from fta import operations
from fta.engine.loop import Engine
from fta.healing.halts import HaltKind
from fta.healing.kind import ExecutionKind
from fta.models import AuditEntry, Business, HeldBack, Person, Switch
from tests import factories
from tests.fta import stage
from tests.fta.api.conftest import call
from tests.fta.stage import Actor
from tests.fta.web.conftest import Open, browser

__all__ = ["browser"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("game", "actor", "host")]


def _drain() -> None:
    Engine(threads=1, work=["halt", "step", "execution"]).drain()


def _held(switch: Switch) -> list[int]:
    return sorted(HeldBack.objects.filter(switch=switch).values_list("execution", flat=True))


def _halt(scope: str, key: str = "") -> Switch:
    return Switch.objects.create(scope=scope, key=key, reason="机房断电", created_by="boss")


def test_it_writes_down_what_each_switch_holds_back(actor: Actor, pay: Business) -> None:
    begun, waiting, parked = stage.ready(key="begun"), stage.ready(key="one"), stage.ready(key="two", state="held")
    foreign = stage.ready(key="three", business=pay, host=None)
    ExecutionKind().do(begun.pk)
    switches = [_halt("all"), _halt("business", "game"), _halt("package", "one"), _halt("package", "two")]
    _drain()
    assert [_held(switch) for switch in switches] == [
        [begun.pk, waiting.pk, foreign.pk],
        [begun.pk, waiting.pk],
        [waiting.pk],
        [],
    ]
    assert HaltKind().due(10, timezone.now()) == [], "each is written down once"
    assert waiting.history.filter(kind="execution.halted").count() == 3
    assert not parked.history.filter(kind="execution.halted").exists()
    assert actor.seen == []


def test_a_switch_for_a_package_stops_what_holds_it_inside(actor: Actor) -> None:
    factories.package("in_er", nodes=[stage.node(1)])
    inside = {"id": 1, "name": "子套餐", "type": "package", "params": {"package": "in_er"}}
    before, between = stage.ready(inside, key="one"), stage.ready(inside, key="two", host=None)
    ExecutionKind().do(between.pk)
    other = _halt("package", "in-er")
    switch = _halt("package", "in_er")
    _drain()
    assert (actor.seen, stage.state(before), stage.state(between)) == ([], "ready", "running")
    assert (_held(switch), _held(other)) == ([before.pk, between.pk], [])
    Switch.objects.filter(pk=switch.pk).update(ended_at=timezone.now())
    between.steps.update(not_before=None)
    _drain()
    assert (len(actor.seen), stage.state(before), stage.state(between)) == (2, "succeeded", "succeeded")


def test_it_leaves_out_a_retry_whose_time_has_not_come_and_a_switch_that_is_over(actor: Actor) -> None:
    execution = stage.ready()
    ExecutionKind().do(execution.pk)
    execution.steps.update(attempt=1, not_before=timezone.now() + timedelta(minutes=5))
    switch, over = _halt("all"), _halt("all")
    Switch.objects.filter(pk=over.pk).update(until=timezone.now() - timedelta(seconds=1))
    stage.ready(key="other", alert=factories.alert())
    _drain()
    assert len(_held(switch)) == 1
    assert execution.pk not in _held(switch)
    HaltKind().do(over.pk)
    assert _held(over) == []


def test_the_list_stays_after_the_resumption_and_says_what_became_of_each(
    actor: Actor, admin: Person, operator: Person, stranger: Person, browser: Open
) -> None:
    execution = stage.ready()
    switch = operations.halt("all", "", "机房断电", None, admin.user, timezone.now())
    _drain()
    assert "拦下 1 条" in browser(operator).get("/switch/").content.decode()
    operations.resume(switch, admin.user, timezone.now())
    execution.refresh_from_db()
    _drain()
    assert stage.state(execution) == "succeeded"
    assert AuditEntry.objects.get(verb="switch.resume").data["held_back"] == 1
    page = browser(operator).get(f"/switch/{switch.pk}/").content.decode()
    assert f"#{execution.pk}" in page
    assert "boss 恢复" in page
    assert browser(stranger).get(f"/switch/{switch.pk}/").status_code == 404


def test_the_api_counts_and_lists_what_is_held_back(actor: Actor, game: Business) -> None:
    key = "operator-key-0123456789"
    factories.api_key(key, "operator", game)
    execution = stage.ready()
    stage.ready(key="other", alert=factories.alert(), state="held")
    switch = _halt("business", "game")
    _drain()
    assert call(key, "GET", "switch/").json["results"][0]["held_back"] == 1
    rows = call(key, "GET", f"executions/?switch={switch.pk}").json["results"]
    assert [row["id"] for row in rows] == [execution.pk]


@pytest.mark.parametrize(
    ("scope", "key", "words"),
    [("all", "", "自愈已停止"), ("business", "game", "业务 game 已停止自愈"), ("business", "pay", "自愈运行中")],
)
def test_every_page_says_what_is_halted_for_its_reader(
    operator: Person, pay: Business, browser: Open, scope: str, key: str, words: str
) -> None:
    _halt(scope, key)
    for url in ("/", "/packages/", "/wechat/todo/"):
        answer = browser(operator).get(url)
        assert answer.status_code == 200, url
        assert words in answer.content.decode() or (words == "自愈运行中" and url.startswith("/wechat")), url
