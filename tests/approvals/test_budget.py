"""More than a package's budget of hosts: nothing beyond it acts, and people are asked once about all that waits."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval
from fta import pipeline
from fta.engine.loop import Engine
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome, StepContext
from fta.models import Business, ConfigVersion, Execution, Incident, Package, Person, Rule
from fta.pipeline import budget
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import policy
from tests.conftest import on_postgres
from tests.fta.stage import Actor, node

pytestmark = pytest.mark.django_db

BUDGET = 2
HOSTS, ALERTS = (
    (40, 500) if on_postgres() else (10, 30)
)  # within ten seconds; the larger storm on the database of production


def _in_flight() -> int:
    going = Execution.objects.filter(state__in=("ready", "running"))
    return going.values("host").distinct().count()


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return, as they act, how many hosts are in flight."""
    seen: list[int] = []

    def look(_ctx: StepContext) -> Outcome:
        seen.append(_in_flight())
        return Outcome("succeeded")

    monkeypatch.setitem(RUNNERS, "act", Actor(look))
    return seen


@pytest.fixture
def package(most: list[int], game: Business, operator: Person) -> Package:
    policy()
    made = factories.package("act", nodes=[node(1)], budget={"max_hosts": BUDGET, "window": "30m"})
    factories.rule(package=made, match={})
    ConfigVersion.bump("rules")
    for number in range(HOSTS):
        factories.host(f"127.0.5.{number + 1}", f"h{number}", business=game)
    return made


def _fire(number: int, at: datetime) -> None:
    alert = factories.alert(received_at=at, starts_at=at, target=f"127.0.5.{number % HOSTS + 1}")
    pipeline.process(alert, at)


def _work() -> None:
    Engine(threads=1, work=["sleeper", "execution", "step"]).drain()


def _asked() -> list[Delivery]:
    return list(Delivery.objects.filter(event="approval.asked").order_by("id"))


@pytest.mark.parametrize("defended", [True, False])
def test_a_storm_never_exceeds_the_budget_and_asks_once(package: Package, most: list[int], defended: bool) -> None:
    factories.convergence_rule("同机同类", dimensions=["host", "alert_type"], window=300, count=1)
    if defended:
        rule = {"dimensions": ["business", "alert_type"], "window": 300, "count": HOSTS // 2, "function": "defense"}
        factories.convergence_rule("批量异常防御", priority=50, **rule)
    ConfigVersion.bump("convergence")
    start = timezone.now()
    for number in range(ALERTS):
        _fire(number, start + timedelta(seconds=number / 50))
        if number % (ALERTS // 3 * 2) == ALERTS // 3:
            _work()
            assert _in_flight() <= BUDGET
    _work()
    assert len(most) == BUDGET
    assert max(most) <= BUDGET
    held = Execution.objects.filter(state="held")
    over = held.filter(incident__rule__name=budget.STORM)
    assert over.values("host").distinct().count() == HOSTS - BUDGET
    assert over.values("incident").distinct().count() == 1
    assert Approval.objects.filter(state="pending").count() == held.count()
    sent = [row.payload["message"]["data"]["incident"] for row in _asked() if row.not_before is None]
    assert sorted(sent) == sorted(set(held.values_list("incident", flat=True))), "one message for each storm"


def test_a_yes_to_all_runs_what_was_over_the_budget(package: Package, most: list[int], operator: Person) -> None:
    start = timezone.now()
    for number in range(BUDGET + 2):
        _fire(number, start)
    over = Execution.objects.filter(state="held")
    incident = Incident.objects.get()
    assert [run.incident for run in over] == [incident] * 2
    assert "act" in incident.title
    assert (incident.business, incident.execution_count) == (operator.businesses.get(), 2)
    assert all("第 3 台主机，最多 2 台" in run.hold_reasons[0] for run in over)
    for approval in Approval.objects.all():
        services.decide(approval.pk, operator.user, "approve", "", "web", timezone.now())
    _work()
    assert Execution.objects.filter(state="succeeded").count() == BUDGET + 2


def test_what_acts_counts_however_long_ago_it_came(package: Package, game: Business) -> None:
    start = timezone.now()
    for number in range(BUDGET):
        _fire(number, start - timedelta(hours=2))
    Execution.objects.update(started_at=start)  # people took their time to say yes
    _fire(BUDGET, start)
    assert Execution.objects.latest("pk").state == "held"
    Execution.objects.filter(state="ready").update(state="failed", started_at=start - timedelta(minutes=31))
    _fire(BUDGET + 1, start)
    assert Execution.objects.latest("pk").state == "ready"


def test_a_package_inside_keeps_its_own_budget(package: Package, game: Business) -> None:
    start = timezone.now()
    inside = {"id": 1, "name": "子套餐", "type": "package", "params": {"package": "act"}}
    around = factories.package("around", nodes=[inside])
    Package.objects.filter(pk=package.pk).update(budget={"max_hosts": 2, "window": "30m"})
    _fire(0, start)
    Rule.objects.update(package=around)
    ConfigVersion.bump("rules")
    _fire(1, start)
    _fire(2, start)
    assert list(Execution.objects.order_by("pk").values_list("state", flat=True)) == ["ready", "ready", "held"]
    assert "act：影响面超出预算：30 分钟内第 3 台主机" in Execution.objects.latest("pk").hold_reasons[0]
    Rule.objects.update(package=package)
    ConfigVersion.bump("rules")
    _fire(3, start)
    assert Execution.objects.latest("pk").state == "held"
