"""A package that a person runs: by the same rules as one that an alert sets going, and dry."""

import pytest
from django.utils import timezone

from fta import operations
from fta.models import (
    Execution,
    Person,
    Switch,
)
from tests import factories
from tests.fta import stage
from tests.fta.stage import ACT, Actor, FakeGate

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("actor", "host")]
NOW = timezone.now()


def test_it_runs_a_package_by_hand(actor: Actor, operator: Person) -> None:
    package = factories.package("act", nodes=[ACT], parameters=[{"name": "n", "type": "integer"}])
    execution = operations.run_by_hand(package, operator.user, "127.0.0.10", {"n": "3"}, "巡检", timezone.now())
    stage.drain()
    assert (stage.state(execution), len(actor.seen)) == ("succeeded", 1)
    assert execution.plan["parameters"] == {"n": 3}
    assert (execution.requested_by, execution.alert, execution.healed) == (operator.user, None, "")
    assert stage.audited("execution.run_by_hand") == ["lisi"]


def test_it_holds_to_the_approval_rules_when_run_by_hand(actor: Actor, operator: Person) -> None:
    strict = factories.package("strict", nodes=[ACT], mode="approval")
    failing = factories.package("failing", nodes=[ACT], failures_in_a_row=3)
    spent = factories.package("spent", nodes=[ACT], budget={"max_hosts": 0, "window": "10m"})
    made = [
        operations.run_by_hand(package, operator.user, "127.0.0.10", {}, "试试", timezone.now())
        for package in (strict, failing, spent)
    ]
    shadow = operations.run_by_hand(strict, operator.user, "127.0.0.10", {}, "看看", timezone.now(), dry_run=True)
    stage.drain()
    assert [stage.state(execution) for execution in made] == ["held"] * 3
    assert (stage.state(shadow), actor.seen) == ("shadowed", [])
    assert shadow.plan["nodes"]


def test_a_window_that_was_saved_without_a_limit_stops_nothing(actor: Actor, operator: Person) -> None:
    package = factories.package("long", nodes=[ACT], budget={"max_hosts": 1, "window": 120 * 86400})
    operations.run_by_hand(package, operator.user, "127.0.0.10", {}, "试试", timezone.now())
    stage.drain()
    assert len(actor.seen) == 1


def test_a_dry_run_says_what_would_stand_in_the_way(actor: Actor, operator: Person) -> None:
    budget = {"max_hosts": 1, "window": "10m"}
    package = factories.package("act", nodes=[ACT], mode="approval", failures_in_a_row=3, budget=budget)
    elsewhere = factories.host("127.0.0.11", "other")
    factories.execution(package=package, host=elsewhere, state="running")
    stage.ready(key="busy", state="running", acting=True)
    for scope, key in (("business", "game"), ("package", "act"), ("package", "other")):
        Switch.objects.create(scope=scope, key=key, reason=f"停 {key}", created_by="boss")
    before = Execution.objects.count()
    made = operations.run_by_hand(package, operator.user, "127.0.0.10", {}, "看看", timezone.now(), dry_run=True)
    found = {line.kind: line for line in made.history.filter(kind__startswith="check.")}
    assert [found[f"check.{name}"].data["ok"] for name in ("approval", "budget", "host", "switch", "plan")] == (
        [False] * 4 + [True]
    )
    assert "连续失败 3 次" in found["check.approval"].text
    assert "第 2 台主机" in found["check.budget"].text
    assert "「busy」正在这台主机上" in found["check.host"].text
    assert ("停 game" in found["check.switch"].text, "停 other" in found["check.switch"].text) == (True, False)
    stage.drain()
    assert (stage.state(made), made.incident, FakeGate.told("execution"), actor.seen) == ("shadowed", None, [], [])
    assert Execution.objects.count() == before + 1


def test_a_dry_run_of_what_is_only_rehearsed_says_so(actor: Actor, operator: Person) -> None:
    package = factories.package("act", nodes=[ACT], mode="shadow")
    made = operations.run_by_hand(package, operator.user, "127.0.0.10", {}, "看看", timezone.now(), dry_run=True)
    told = made.history.get(kind="check.approval")
    assert (told.data["ok"], told.text) == (False, "套餐的模式是「演练」：只会记录，不会执行")


def test_it_refuses_to_run_by_hand_what_cannot_run(actor: Actor, operator: Person) -> None:
    package = factories.package("act", nodes=[ACT], parameters=[{"name": "n", "type": "integer"}])
    off = factories.package("off", nodes=[ACT], mode="off")
    foreign = factories.package("pay", nodes=[ACT], business=factories.business("pay", "支付"))
    for wrong, ip, params in [
        (package, "127.0.0.200", {}),
        (package, "127.0.0.10", {"n": "x"}),
        (package, "127.0.0.10", {"m": 1}),
        (off, "127.0.0.10", {}),
        (foreign, "127.0.0.10", {}),
    ]:
        with pytest.raises(operations.CannotRun):
            operations.run_by_hand(wrong, operator.user, ip, params, "试试", NOW)
    assert not Execution.objects.exists()
