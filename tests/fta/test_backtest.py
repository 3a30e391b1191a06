"""Backtests: today's rules give today's decisions; drafts show what would be different; the work survives its engine."""

import os
import random
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from fta.backtest import InvalidDraft, TooManyAlerts, kind, start, starting, storms
from fta.backtest.replay import replay
from fta.convergence import engine
from fta.engine.loop import Engine
from fta.models import (
    Alert,
    AuditEntry,
    BacktestRun,
    Business,
    ConfigVersion,
    ConvergenceRule,
    Execution,
    Incident,
    Package,
    Person,
    Rule,
)
from tests import factories
from tests.fta import lived
from tests.fta.stage import GATE

State = Execution.State


@pytest.fixture(autouse=True)
def _stage(settings: Any) -> None:
    settings.FTA_APPROVAL_GATE = GATE
    settings.FTA_WORK_KINDS = ["fta.backtest.BacktestKind"]


def replayed(since: datetime, until: datetime, **drafts: Any) -> dict[str, Any]:
    return replay(
        since,
        until,
        drafts.get("rules", []),
        drafts.get("convergence", []),
        drafts.get("businesses"),
        lambda done: None,
    )


# Alerts that each test lets the portal decide upon, one by one, before it replays them: 10,000 take some minutes.
LIVED = int(os.environ.get("FTA_LIVED_ALERTS", "70"))


@pytest.mark.timeout(120 + LIVED // 10)
@pytest.mark.parametrize(("seed", "others"), [(2, 100), (5, 2)])
def test_it_gives_todays_decisions_for_todays_rules(
    db: None, seed: int, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (engine, storms):
        monkeypatch.setattr(module, "MOST_OTHERS", others)
    chance = random.Random(seed)
    begin = timezone.now() - timedelta(hours=2 + LIVED // 500)
    lived.setting(chance, functions=6)
    lived.shield(begin)
    lived.Lived(chance).live(begin, LIVED, LIVED * 5.7)

    row = ConvergenceRule.objects.earliest("pk")
    names = ("name", "alert_types", "window", "count", "dimensions", "function", "priority")
    report = replayed(begin, timezone.now(), convergence=[{name: getattr(row, name) for name in names}])

    assert (report["alerts"], report["agrees"], report["unlike"]) == (LIVED, LIVED, [])
    assert len(report["real"]) >= 5  # of many kinds
    assert report["today"]["incidents"] == Incident.objects.count()
    assert report["today"]["defences"] == Incident.objects.filter(function="defense").count()
    assert (report["changed"], report["spots"]) == (0, [])  # the draft is the rule as it stands
    assert report["draft"] == report["today"]


LONG_AGO = datetime(2026, 3, 3, 2, 0, tzinfo=ZoneInfo("Asia/Shanghai"))  # at night


def storm(begin: datetime, number: int, every: float, package: Package, held_from: int, **fields: Any) -> list[Alert]:
    """Store alerts, with what was really done: the first ones ran well, the others were held and refused."""
    host = factories.host(f"127.0.7.{begin.hour}", f"s{begin:%H%M}", business=factories.business())
    source = factories.source(f"src{begin:%H%M}", secret=f"secret-{begin:%H%M}-0123456789")
    rule = Rule.objects.get(package=package)
    moments = [begin + timedelta(seconds=every * n) for n in range(number)]
    alerts = Alert.objects.bulk_create(
        Alert(
            source=source, fingerprint=f"{begin:%H%M}-{n}", alert_type=fields.get("alert_type", "disk_full"), status="resolved",
            target=host.ip, target_kind="host", host=host, business=host.business, severity="critical", outcome="matched",
            received_at=at, starts_at=at, last_seen_at=at + timedelta(hours=1),
        )
        for n, at in enumerate(moments)
    )  # fmt: skip
    Execution.objects.bulk_create(
        Execution(
            trigger_key=f"{alert.pk}", alert=alert, package=package, version=package.current, host=host, business=host.business,
            alert_type=alert.alert_type, rule=rule, received_at=alert.received_at,
            deadline_at=alert.received_at + timedelta(minutes=40), state="succeeded" if n < held_from else "skipped",
            verdict="proceed" if n < held_from else "approve", needs_approval=n >= held_from,
            started_at=alert.received_at if n < held_from else None, ended_at=alert.received_at + timedelta(minutes=20),
        )
        for n, alert in enumerate(alerts)
    )  # fmt: skip
    return alerts


@pytest.fixture
def package(game: Business) -> Package:
    made = factories.package(name="清理磁盘")
    factories.rule(match={"alert_type": ["disk_full", "cpu"]}, package=made)
    defence = {"dimensions": ["business", "alert_type"], "function": "defense", "count": 20}
    factories.convergence_rule("防御", **defence)
    for name in ("rules", "convergence"):
        ConfigVersion.bump(name)
    return made


def defence(**changes: Any) -> dict[str, Any]:
    return {"dimensions": ["business", "alert_type"], "function": "defense", "count": 20, "window": 300} | changes


def test_it_replays_ten_thousand_as_they_were_decided(package: Package, operator: Person) -> None:
    storm(LONG_AGO, 10_000, 0.5, package, held_from=20)
    run = start(operator.user, LONG_AGO, LONG_AGO + timedelta(hours=3), timezone.now(), businesses=None)
    assert (run.state, run.total) == ("waiting", 10_000)

    Engine(work=["backtest"]).drain()

    run.refresh_from_db()
    assert (run.state, run.done, run.percent, run.error) == ("done", 10_000, 100, "")
    report = run.report
    assert (report["alerts"], report["agrees"], report["changed"]) == (10_000, 10_000, 0)
    today = report["today"]
    assert (today["run"], today["held"], today["incidents"], today["defences"]) == (20, 9_980, 1, 1)
    assert today["asks"] == 18  # one, and one for each five minutes of 83
    assert today["night_asks"] == 18
    assert today["messages"] == 18 + 20
    assert AuditEntry.objects.get(verb="backtest.start").data["alerts"] == 10_000


def test_it_tells_what_a_lower_threshold_would_hold(package: Package) -> None:
    night = storm(LONG_AGO, 30, 1, package, held_from=20)
    day = storm(LONG_AGO + timedelta(hours=12), 15, 1, package, held_from=20, alert_type="cpu")
    draft = defence(id=_defence_id(), count=12)
    report = replayed(LONG_AGO, LONG_AGO + timedelta(days=1), convergence=[draft])
    assert (report["today"]["held"], report["draft"]["held"]) == (10, 18 + 3)
    assert (report["today"]["run"], report["draft"]["run"]) == (35, 24)
    assert (report["today"]["asks"], report["today"]["night_asks"]) == (2, 2)  # the first, and the update
    assert (report["draft"]["asks"], report["draft"]["night_asks"]) == (4, 2)
    assert report["changed"] == 11
    first, second = report["spots"]
    assert (first["count"], first["today"], first["draft"], first["real"]) == (
        8,
        {"run": 8},
        {"held": 8},
        {"succeeded": 8},
    )
    assert (first["alert"], first["alert_type"], first["business"]) == (night[12].pk, "disk_full", "游戏大区")
    assert (second["count"], second["alert"], second["draft"]) == (3, day[12].pk, {"held": 3})


def _defence_id() -> int:
    return ConvergenceRule.objects.get().pk


def test_it_adds_a_new_rule_beside_those_in_force(package: Package) -> None:
    storm(LONG_AGO, 10, 1, package, held_from=20)
    draft = {"name": "新", "dimensions": ["host"], "function": "skip_when_running", "count": 4}
    report = replayed(LONG_AGO, LONG_AGO + timedelta(hours=1), convergence=[draft])
    assert (report["today"]["run"], report["today"]["skipped"]) == (10, 0)
    assert (report["draft"]["run"], report["draft"]["skipped"], report["draft"]["incidents"]) == (4, 6, 1)


def test_it_leaves_out_a_rule_that_the_draft_switches_off(package: Package) -> None:
    storm(LONG_AGO, 30, 1, package, held_from=20)
    report = replayed(LONG_AGO, LONG_AGO + timedelta(hours=1), convergence=[defence(id=_defence_id(), enabled=False)])
    assert (report["today"]["held"], report["draft"]["held"], report["draft"]["run"]) == (10, 0, 30)


def test_it_tells_what_a_matching_rule_would_take(package: Package) -> None:
    storm(LONG_AGO, 5, 400, package, held_from=20)
    wider = {"id": Rule.objects.get().pk, "match": {"alert_type": "cpu"}, "package": package.key}
    careful = {"match": {"alert_type": "disk_full"}, "package": package.key, "mode": "approval", "priority": 1}
    report = replayed(LONG_AGO, LONG_AGO + timedelta(hours=1), rules=[wider])
    assert (report["today"]["unmatched"], report["draft"]["unmatched"]) == (0, 5)
    report = replayed(LONG_AGO, LONG_AGO + timedelta(hours=1), rules=[careful])
    assert (report["today"]["run"], report["draft"]["held"], report["draft"]["asks"]) == (5, 5, 5)
    report = replayed(LONG_AGO, LONG_AGO + timedelta(hours=1), rules=[careful | {"priority": 100}])
    assert report["changed"] == 0  # the older one comes first


def test_it_knows_what_came_before_the_time_asked_about(package: Package) -> None:
    storm(LONG_AGO, 40, 1, package, held_from=20)
    report = replayed(LONG_AGO + timedelta(seconds=25), LONG_AGO + timedelta(hours=1))
    assert (report["alerts"], report["agrees"], report["today"]["held"]) == (15, 15, 15)


@pytest.mark.parametrize("ended", [None, timedelta(hours=5), timedelta(minutes=-1)])
def test_it_knows_the_storm_that_went_on_since_long_before(package: Package, ended: timedelta | None) -> None:
    since = LONG_AGO + timedelta(hours=3)
    begin = LONG_AGO - timedelta(minutes=10)
    storm(begin, 22, 1, package, held_from=20)
    storm(begin + timedelta(minutes=20), 15, 1200, package, held_from=0)  # one now and then, until ten to seven
    Incident.objects.create(
        rule=ConvergenceRule.objects.get(),
        group_key="a" * 64,
        function="defense",
        opened_at=begin + timedelta(seconds=20),
        last_joined_at=since,
        state="open" if ended is None else "closed",
        closed_at=None if ended is None else since + ended,
    )
    report = replayed(since, since + timedelta(hours=2))
    assert (report["alerts"], report["real"]) == (6, {"held": 6})
    assert report["agrees"] == (0 if ended and ended < timedelta() else 6)


def test_it_takes_what_waits_for_its_turn_on_the_host_for_run(package: Package) -> None:
    alerts = storm(LONG_AGO, 4, 1, package, held_from=20)
    for state, alert in zip(("skipped", "sleeping", "skipped"), alerts[1:], strict=True):
        Execution.objects.filter(alert=alert).update(state=state, started_at=None)
    Execution.objects.filter(alert=alerts[3]).update(verdict="wait")  # this one waited for others
    report = replayed(LONG_AGO, LONG_AGO + timedelta(hours=1))
    assert report["real"] == {"run": 3, "skipped": 1}
    assert (report["agrees"], report["unlike"]) == (3, [alerts[3].pk])


def test_it_counts_the_alerts_of_ones_own_businesses_only(package: Package, pay: Business) -> None:
    storm(LONG_AGO, 5, 1, package, held_from=20)
    window = (LONG_AGO, LONG_AGO + timedelta(hours=1))
    report = replayed(*window, businesses=[pay.pk])
    assert (report["alerts"], report["today"]["run"], report["today"]["messages"]) == (0, 0, 0)
    assert replayed(*window, businesses=[factories.business().pk])["alerts"] == 5


def test_it_puts_each_of_several_drafts_in_its_place(package: Package) -> None:
    storm(LONG_AGO, 30, 1, package, held_from=20)
    storm(LONG_AGO + timedelta(hours=12), 4, 1, package, held_from=20, alert_type="cpu")
    window = (LONG_AGO, LONG_AGO + timedelta(days=1))
    name = Rule.objects.get().name
    taken = {"name": name, "match": {"alert_type": "disk_full"}, "package": package.key}
    careful = {"name": "慎重", "match": {"alert_type": "cpu"}, "package": package.key, "mode": "approval"}

    report = replayed(*window, rules=[taken, careful])
    assert (report["today"]["run"], report["today"]["held"], report["today"]["unmatched"]) == (24, 10, 0)
    assert (report["draft"]["run"], report["draft"]["held"], report["draft"]["unmatched"]) == (20, 14, 0)

    quiet = {"name": "新", "dimensions": ["host"], "function": "skip_when_running", "count": 2}
    report = replayed(*window, rules=[taken], convergence=[defence(name="防御", enabled=False), quiet])
    assert (report["draft"]["run"], report["draft"]["skipped"], report["draft"]["held"]) == (2, 28, 0)
    assert report["draft"]["unmatched"] == 4  # the rule that the draft replaces took them


def test_a_draft_keeps_who_does_without_the_rule_that_it_replaces(package: Package) -> None:
    storm(LONG_AGO, 30, 1, package, held_from=20)
    window = (LONG_AGO, LONG_AGO + timedelta(hours=1))
    replaced = ConvergenceRule.objects.get()
    replaced.blocked_by.add(factories.business())
    ConfigVersion.bump("convergence")
    report = replayed(*window, convergence=[defence(name="防御", count=3)])
    assert (report["today"]["held"], report["draft"]["held"]) == (0, 0)
    assert replayed(*window, convergence=[defence(name="防御", count=3, blocked_by=[])])["draft"]["held"] == 27


TWICE = [{"name": "同名"}, {"name": "同名"}]
HUGE = [{}, {"timeout": 10**12}]


def test_it_refuses_what_makes_no_sense(operator: Person) -> None:
    now = timezone.now()
    for change, path in (
        ({"rules": [{}, {"match": {"moon": 1}}]}, "rules[1].match.moon"),
        ({"rules": [{"package": "nothing"}]}, "rules[0].package"),
        ({"rules": [{"mode": "wild"}]}, "rules[0].mode"),
        ({"rules": [{"id": 987654}]}, "rules[0].id"),
        ({"rules": TWICE}, "rules[1]"),
        ({"rules": HUGE}, "rules[1].timeout"),
        ({"convergence_rules": [{"dimensions": [], "function": "defense"}]}, "convergence_rules[0].dimensions"),
        ({"convergence_rules": [{"dimensions": ["host"], "function": "x"}]}, "convergence_rules[0].function"),
        ({"since": now - timedelta(days=32)}, "from"),
        ({"since": now + timedelta(days=1)}, "from"),
    ):
        wanted: dict[str, Any] = {"since": now - timedelta(days=1)} | change
        with pytest.raises(InvalidDraft) as caught:
            start(operator.user, until=now, now=now, businesses=None, **wanted)
        assert [where for where, _ in caught.value.problems] == [path]
    assert not BacktestRun.objects.exists()
    assert not AuditEntry.objects.exists()


def test_it_takes_an_end_that_is_still_to_come_for_now(operator: Person) -> None:
    now = timezone.now()
    run = start(operator.user, now - timedelta(days=1), now + timedelta(minutes=5), now, businesses=None)
    assert run.request["to"] == now.isoformat()


def test_it_refuses_more_than_it_takes(package: Package, operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    storm(LONG_AGO, 5, 1, package, held_from=20)
    monkeypatch.setattr(starting, "MOST_ALERTS", 4)
    with pytest.raises(TooManyAlerts):
        start(operator.user, LONG_AGO, LONG_AGO + timedelta(hours=1), timezone.now(), businesses=None)


@pytest.fixture
def run(package: Package, operator: Person) -> BacktestRun:
    storm(LONG_AGO, 5, 1, package, held_from=20)
    return start(operator.user, LONG_AGO, LONG_AGO + timedelta(hours=1), timezone.now(), businesses=None)


def become(run: BacktestRun, **fields: Any) -> None:
    BacktestRun.objects.filter(pk=run.pk).update(**fields)


def test_it_goes_on_when_its_engine_died(run: BacktestRun) -> None:
    become(run, state="running", fence=1, lease_until=timezone.now() - timedelta(seconds=1))
    Engine(work=["backtest"]).drain()
    run.refresh_from_db()
    assert (run.state, run.fence, run.lease_until) == ("done", 2, None)


def test_it_gives_up_what_ends_every_engine(run: BacktestRun) -> None:
    become(run, state="running", fence=3, lease_until=timezone.now() - timedelta(seconds=1))
    Engine(work=["backtest"]).drain()
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "重放中断多次，已放弃")


def test_it_leaves_alone_what_another_engine_does(run: BacktestRun) -> None:
    become(run, state="running", fence=1, lease_until=timezone.now() + timedelta(minutes=1))
    assert kind.BacktestKind().due(10, timezone.now()) == []
    kind.BacktestKind().do(run.pk)
    run.refresh_from_db()
    assert (run.state, run.fence) == ("running", 1)


def test_it_stops_when_it_was_taken_over(run: BacktestRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_over(*args: Any) -> dict[str, Any]:
        become(run, fence=9)
        args[-1](1)
        raise AssertionError("went on")

    monkeypatch.setattr(kind, "replay", taken_over)
    kind.BacktestKind().do(run.pk)
    run.refresh_from_db()
    assert (run.state, run.fence, run.report, run.error) == ("running", 9, {}, "")


def test_it_tells_when_the_replay_fails(run: BacktestRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(kind, "replay", broken)
    Engine(work=["backtest"]).drain()
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "重放出错：ZeroDivisionError")
    assert run.ended_at is not None


def call(client: Client, method: str, path: str, body: Any = None, key: str = "api-key-0123456789abcdef") -> Any:
    data = {"data": body, "content_type": "application/json"} if body is not None else {}
    return getattr(client, method)(f"/api/v1/{path}", headers={"authorization": f"Bearer {key}"}, **data)


def test_it_answers_over_the_api(package: Package, client: Client, pay: Business) -> None:
    factories.api_key()
    factories.api_key("api-key-of-somebody-else", "operator", pay)
    storm(LONG_AGO, 30, 1, package, held_from=20)
    storm(LONG_AGO + timedelta(hours=3), 2, 1, package, held_from=20, alert_type="cpu")
    rules = [
        {
            "name": Rule.objects.get().name,
            "match": {"alert_type": "disk_full"},
            "package": package.key,
            "timeout": "40m",
        },
        {
            "name": "慎重",
            "match": {"alert_type": "cpu"},
            "package": package.key,
            "mode": "approval",
            "stale_after": 900,
        },
    ]
    convergence_rules = [
        {"id": _defence_id(), "dimensions": ["business"], "function": "defense", "count": 9, "business": "game"},
        {"name": "新", "dimensions": ["host"], "function": "notify", "window": "5m", "count": 5},
    ]
    window = {"from": LONG_AGO.isoformat(), "to": (LONG_AGO + timedelta(hours=4)).isoformat()}

    asked = call(client, "post", "rules/backtest/", {**window, "rules": rules, "convergence_rules": convergence_rules})
    assert asked.status_code == 202, asked.json()
    assert list(asked.json()) == ["id"]
    url = f"rules/backtest/{asked.json()['id']}/"
    waiting = call(client, "get", url).json()
    assert (waiting["state"], waiting["done"], waiting["total"], waiting["report"]) == ("waiting", 0, 32, {})
    Engine(work=["backtest"]).drain()

    found = call(client, "get", url).json()
    assert (found["state"], found["done"], found["total"]) == ("done", 32, 32)
    today, draft = found["report"]["today"], found["report"]["draft"]
    assert (today["run"], today["held"], today["incidents"]) == (22, 10, 1)
    assert (draft["run"], draft["held"], draft["incidents"]) == (9, 23, 2)
    assert call(client, "get", url, key="api-key-of-somebody-else").status_code == 404
    assert (Rule.objects.count(), ConvergenceRule.objects.count()) == (1, 1)


def test_it_names_what_is_wrong_over_the_api(game: Business, pay: Business, client: Client) -> None:
    factories.api_key("api-key-0123456789abcdef", "operator", game)
    factories.package("pay-only", business=pay)
    storming = {"dimensions": ["host"], "function": "defense"}
    for body, *fields in (
        ({"rules": [{}, {"match": {"moon": 1}}]}, "rules[1].match.moon"),
        ({"rules": [{"match": {"content": {"regex": "("}}}]}, "rules[0].match.content.regex"),
        ({"rules": [{"timeout": "a while", "surprise": 1}]}, "rules[0].timeout", "rules[0].surprise"),
        ({"rules": [{"package": "pay-only"}]}, "rules[0].package"),
        ({"rules": [{"id": 987654}]}, "rules[0].id"),
        ({"rules": ["x"]}, "rules[0]"),
        ({"rules": {}}, "rules"),
        ({"rules": [{}] * 501}, "rules"),
        ({"rule": {}}, "rule"),
        ({"convergence_rules": [{"function": "defense"}]}, "convergence_rules[0].dimensions"),
        ({"convergence_rules": [storming | {"business": "pay"}]}, "convergence_rules[0].business"),
        ({"days": 99}, "days"),
        ({"from": "yesterday"}, "from"),
    ):
        answer = call(client, "post", "rules/backtest/", body)
        assert answer.status_code == 400
        assert list(answer.json()["error"]["fields"]) == fields
    assert not BacktestRun.objects.exists()


def test_it_lets_nobody_backtest_who_may_only_look(game: Business, client: Client) -> None:
    factories.api_key("viewer-key-0123456789", "viewer")
    assert call(client, "post", "rules/backtest/", {}, key="viewer-key-0123456789").status_code == 403
    assert client.post("/api/v1/rules/backtest/").status_code == 401
