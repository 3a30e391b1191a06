"""What the API promises: the fields of each item, pages, filters."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from approvals import services
from fta.models import Alert, Business, Execution, Person
from tests import factories
from tests.fta.api import world
from tests.fta.api.conftest import Call
from tests.fta.api.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(game: Business) -> World:
    return world.build(game)


def same(moment: Any, text: str) -> bool:
    return bool(parse_datetime(text) == moment)


def test_an_alert_has_its_promised_fields(made: World, operator: Call) -> None:
    alert = made.held.alert
    assert alert is not None
    Alert.objects.filter(pk=alert.pk).update(labels={"app": "web"}, repeat_count=2, outcome="matched")
    found = operator("GET", f"alerts/{alert.pk}/").json
    assert (
        found
        | {
            "id": alert.pk,
            "source": "rest",
            "alert_type": "disk_full",
            "severity": "critical",
            "status": "firing",
            "target": world.IP,
            "business": "game",
            "title": "磁盘写满",
            "content": "/data 98%",
            "labels": {"app": "web"},
            "resolved_at": None,
            "repeat_count": 2,
            "outcome": "matched",
            "execution": made.held.pk,
        }
        == found
    )
    assert same(alert.starts_at, found["starts_at"])
    assert same(alert.received_at, found["received_at"])


def test_an_execution_has_its_promised_fields(made: World, operator: Call) -> None:
    run = made.lost
    found = operator("GET", f"executions/{run.pk}/").json
    assert (
        found
        | {
            "id": run.pk,
            "alert": run.alert_id,
            "rule": "磁盘写满",
            "package": "clean-disk",
            "version": 1,
            "state": "unknown",
            "mode": "auto",
            "plan_sha256": run.plan_sha256,
            "incident": None,
            "verdict": "",
            "verdict_rule": None,
            "healed": "",
            "reason": "",
            "approvals": [],
        }
        == found
    )
    for name in ("deadline_at", "started_at", "ended_at"):
        assert same(getattr(run, name), found[name])
    [step] = found["steps"]
    assert (
        step
        | {
            "id": made.step.pk,
            "node": 1,
            "type": "sleep",
            "state": "unknown",
            "attempt": 1,
            "ended_at": None,
            "output": "",
            "error": "连接中断",
        }
        == step
    )
    assert same(made.step.started_at, step["started_at"])


def test_an_approval_has_its_promised_fields(made: World, operator: Call) -> None:
    found = operator("GET", f"approvals/{made.approval.pk}/").json
    waiting = {
        "id": made.approval.pk,
        "code": made.approval.code,
        "state": "pending",
        "execution": made.held.pk,
        "incident": made.incident.pk,
        "kind": "gate",
        "quorum": 1,
        "plan_sha256": made.held.plan_sha256,
        "decided_by": None,
        "decided_at": None,
        "decision": None,
        "comment": "",
        "channel": "",
    }
    assert found | waiting == found
    assert found["message"]
    assert len(found["approvers"]) == 1
    assert found["approvers"][0].startswith("api:")
    assert same(made.approval.expires_at, found["expires_at"])
    operator("POST", f"approvals/{made.approval.pk}/decide/", {"decision": "approve", "comment": "看过了"})
    decided = operator("GET", f"approvals/{made.approval.pk}/").json
    names = ("state", "decision", "channel", "decided_by")
    assert [decided[name] for name in names] == ["approved", "approve", "api", found["approvers"][0]]
    assert parse_datetime(decided["decided_at"]) is not None


def test_an_execution_carries_its_approvals_whole(made: World, operator: Call) -> None:
    for answer in (None, {"decision": "refuse", "comment": "不合适"}):
        if answer:
            assert operator("POST", f"approvals/{made.approval.pk}/decide/", answer).status == 200
        whole = operator("GET", f"approvals/{made.approval.pk}/").json
        run = operator("GET", f"executions/{made.held.pk}/").json
        assert run["incident"] == made.incident.pk
        assert run["verdict"] == "approve"
        assert run["approvals"] == [{name: whole[name] for name in run["approvals"][0]}]
        promised = (
            "id code state execution incident kind message approvers quorum expires_at plan_sha256 "
            "decided_by decided_at decision comment channel"
        )
        assert set(promised.split()) <= set(run["approvals"][0])


def test_a_delivery_has_its_promised_fields(made: World, operator: Call) -> None:
    row = made.delivery
    found = operator("GET", f"deliveries/{row.pk}/").json
    assert (
        found
        | {
            "id": row.pk,
            "channel": "邮件",
            "event": "execution.failed",
            "recipients": ["ops@example.com"],
            "state": "failed",
            "attempts": 3,
            "last_code": "535",
            "last_error": "认证失败",
            "remedy": "改密码",
            "sent_at": None,
            "alert": made.lost.alert_id,
            "execution": made.lost.pk,
            "approval": None,
        }
        == found
    )
    now = timezone.now()
    asked = world.delivery_of(made.held, "two", state="sent", sent_at=now, approval_ref=made.approval.pk)
    told = operator("GET", f"deliveries/{asked.pk}/").json
    assert (told["approval"], told["state"]) == (made.approval.pk, "sent")
    assert same(now, told["sent_at"])


def test_incidents_hosts_and_businesses_are_told(made: World, operator: Call, admin: Call) -> None:
    incident = operator("GET", f"incidents/{made.incident.pk}/").json
    assert (incident["rule"], incident["state"], incident["business"]) == ("同机同类", "open", "game")
    host = operator("GET", f"hosts/{world.IP}/").json
    assert (host["ip"], host["business"], host["set"], host["module"]) == (world.IP, "game", "shanghai-1", "web")
    assert [row["code"] for row in operator("GET", "businesses/").json["results"]] == ["game"]
    assert {row["code"] for row in admin("GET", "businesses/").json["results"]} == {"game", "pay"}
    entry = admin("GET", f"audit/{made.entry.pk}/").json
    assert (entry["actor"], entry["verb"], entry["row_hash"]) == ("tester", "alert.look", made.entry.row_hash)


# fmt: off
LISTS = [
    "alerts", "executions", "incidents", "approvals", "packages", "packages/clean-disk/versions", "rules",
    "convergence-rules", "shields", "channels", "notification-rules", "deliveries", "hosts", "businesses", "audit", "switch",
]
# fmt: on


def test_a_list_is_a_page(made: World, admin: Call) -> None:
    admin("POST", "switch/", {"scope": "all", "reason": "机房断电"})
    for path in LISTS:
        page = admin("GET", f"{path}/").json
        assert list(page) == ["count", "next", "previous", "results"], path
        assert page["count"] == len(page["results"]) >= 1, path
        assert (page["next"], page["previous"]) == (None, None)


def test_pages_lead_to_each_other(made: World, operator: Call) -> None:
    for _number in range(3):
        factories.alert()
    ids, path = [], "alerts/?limit=2&alert_type=disk_full"
    while path:
        page = operator("GET", path).json
        assert page["count"] == 5
        ids += [row["id"] for row in page["results"]]
        path = (page["next"] or "").partition("/api/v1/")[2]
    assert ids == list(Alert.objects.order_by("-pk").values_list("pk", flat=True))
    last = operator("GET", "alerts/?limit=2&offset=4").json
    assert (len(last["results"]), last["next"]) == (1, None)
    assert "offset=2" in last["previous"]


FILTERS = [
    ("executions/?alert={alert}", 1),
    ("executions/?alert=987654", 0),
    ("executions/?state=held", 1),
    ("executions/?state=held,unknown", 2),
    ("executions/?state=running", 0),
    ("executions/?business=game", 2),
    ("executions/?business=pay", 0),
    ("executions/?package=clean-disk&host=127.0.0.10&state=unknown", 1),
    ("executions/?incident={incident}", 1),
    ("executions/?since={past}", 2),
    ("executions/?since={future}", 0),
    ("alerts/?since={past}&source=rest&severity=critical,error", 2),
    ("alerts/?since={future}", 0),
    ("alerts/?business=pay", 0),
    ("alerts/?status=resolved", 0),
    ("alerts/?status=firing,resolved", 2),
    ("incidents/?state=open&business=game", 1),
    ("incidents/?state=closed", 0),
    ("approvals/?state=pending", 1),
    ("approvals/?state=approved", 0),
    ("approvals/?state=approved,pending", 1),
    ("approvals/?execution={held}", 1),
    ("approvals/?execution={execution}", 0),
    ("approvals/?execution=987654", 0),
    ("approvals/?incident={incident}", 1),
    ("approvals/?incident=987654", 0),
    ("deliveries/?state=failed", 1),
    ("deliveries/?state=unknown", 0),
    ("deliveries/?state=unknown,failed", 1),
    ("deliveries/?execution={execution}&alert={alert}", 1),
    ("deliveries/?execution={held}&event=execution.failed", 0),
    ("deliveries/?execution=987654", 0),
    ("deliveries/?alert=987654", 0),
    ("hosts/?set=shanghai-1&module=web", 1),
    ("hosts/?spare=true", 0),
]


def test_filters_narrow_a_list(made: World, operator: Call) -> None:
    now = timezone.now()
    values = made.keys | {
        "held": made.held.pk,
        "past": (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "future": (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for path, count in FILTERS:
        answer = operator("GET", path.format_map(values))
        assert (answer.status, answer.json["count"], len(answer.json["results"])) == (200, count, count), path


def test_every_state_of_an_execution_is_one_that_was_promised() -> None:
    promised = (
        "converging sleeping held ready running succeeded almost_succeeded failed skipped cancelled unknown shadowed "
        "recorded shielded below_threshold"
    )
    assert Execution.State.values == promised.split()


def test_stats_count_what_the_key_may_read(made: World, operator: Call, foreign: Call) -> None:
    Execution.objects.filter(pk=made.lost.pk).update(healed="healed")
    figures = operator("GET", "stats/").json
    assert (figures["days"], figures["alerts"], figures["healed"]) == (7, 2, 1)
    assert (figures["executions"]["held"], figures["executions"]["unknown"], figures["executions"]["failed"]) == (
        1,
        1,
        0,
    )
    assert set(figures["executions"]) == set(Execution.State.values)
    assert foreign("GET", "stats/").json["alerts"] == 0
    Alert.objects.update(received_at=timezone.now() - timedelta(days=5))
    assert operator("GET", "stats/?days=3").json["alerts"] == 0
    for days in ("0", "-1", "366", "x", "1" * 5000):
        assert list(operator("GET", f"stats/?days={days}").error["fields"]) == ["days"]


def test_a_longer_list_costs_no_more_queries(made: World, operator: Call, game: Business) -> None:
    def cost(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert operator("GET", path).json["count"] >= 1
        return len(asked)

    paths = ("executions/", "alerts/", "deliveries/", "approvals/")
    few = {path: cost(path) for path in paths}
    for number in range(3):
        run = world.run(state="held", needs_approval=True, rule=made.held.rule, package=made.held.package)
        services.open_gate(run, ["规则为审批模式"], timezone.now())
        world.delivery_of(run, f"more-{number}")
        factories.step(run)
    assert {path: cost(path) for path in paths} == few


def test_a_duty_list_says_who_is_on_now(made: World, viewer: Call) -> None:
    factories.person("lisi")
    found = viewer("GET", "duties/一线/").json
    assert found == {
        "name": "一线", "rotation": "week", "people": ["lisi"], "handover": "09:00", "overrides": [], "holidays": [],
        "holiday_people": [], "on_now": "lisi",
    }  # fmt: skip
    Person.objects.filter(user__username="lisi").update(active=False)
    assert viewer("GET", "duties/").json["results"] == [found | {"on_now": None}]
