"""Every event of a notification rule, made to happen the way it does: an alert comes in and the engine does the rest."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import time_machine
from django.test import Client
from django.utils import timezone

from approvals.models import Approval, Policy
from fta.engine.loop import Engine
from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome
from fta.models import ConfigVersion, ConvergenceRule, Execution, Incident, Person
from tests import factories
from tests.fta.stage import ACT, Actor

SECRET = "source-secret-0123456789"
# What a tool, a script or a person of somebody else's may write: a mention, a link, a tag, markdown, a template.
HOSTILE = (
    "<@all> [win](http://evil.example/) `rm` **b** <script>x</script> <font color='warning'>y</font> {{ 7*7 }} %(x)s"
)
TITLE, SEEN_TITLE = "Disk full <@all> [win](http://evil.example/)", "Disk full ＜@all＞ [win](http：//evil.example/)"
LONG = "\n".join(f"{number} /data/game/logs/worker.log {HOSTILE}" for number in range(100))
HEALING = ("inbox", "execution", "step", "approval")


class Happening:
    """A portal with one host, one approver and what a test adds. Names are in Latin letters: what else is read is ours."""

    def __init__(self, monkeypatch: Any, outcome: str = "succeeded") -> None:
        business = factories.business("game", "Game")
        self.approver: Person = factories.person("lisi", "operator", businesses=(business,))
        factories.host("127.0.0.10", "local-1", business=business)
        factories.source(business=business)
        Policy.objects.create(name="default", stages=[{"approvers": [{"person": "lisi"}], "quorum": 1}])
        monkeypatch.setitem(RUNNERS, "act", Actor(Outcome(outcome, output="done", error=HOSTILE)))
        self.number = 0

    def heal_by(self, *nodes: dict[str, Any], **fields: Any) -> None:
        """Have alerts healed by a package of these nodes, or of one that acts."""
        package = factories.package("clean", name="Clean", nodes=list(nodes) or [ACT], **fields)
        factories.rule("Disk", match={"alert_type": "disk_full"}, package=package)
        ConfigVersion.bump("rules")

    def converge_by(self, function: str, **fields: Any) -> None:
        """Have two alerts of a type be one incident."""
        rule = {"function": function, "dimensions": ["alert_type"], "count": 1, "window": 300}
        factories.convergence_rule("Storm", **(rule | fields))
        ConfigVersion.bump("convergence")

    def say(self, *statuses: str) -> None:
        """Post one alert for each status, each about a problem of its own unless it resolves the last one; then work."""
        for status in statuses:
            self.number += status == "firing"
            body = {
                "source_id": f"p{self.number}", "alert_type": "disk_full", "ip": "127.0.0.10", "level": "critical",
                "title": TITLE, "content": LONG, "status": status,
            }  # fmt: skip
            answer = Client().post(
                "/intake/rest/", json.dumps(body), content_type="application/json", headers={"X-Secret": SECRET}
            )
            assert answer.status_code == 202, answer.content
            self.work(*HEALING)

    def work(self, *kinds: str) -> None:
        """Do all that is due of these kinds."""
        Engine(threads=2, work=kinds).drain()

    def approval(self, **passed: Any) -> Approval:
        """Return the approval that waits, after the time of these fields has come."""
        found = Approval.objects.get(state="pending")
        moments = {name: timezone.now() - timedelta(seconds=1) for name in passed}
        Approval.objects.filter(pk=found.pk).update(**moments)
        return found


def asks(portal: Happening) -> None:
    portal.heal_by(mode="approval")
    portal.say("firing")


def reminds(portal: Happening) -> None:
    asks(portal)
    portal.approval(remind_at=True)
    portal.work("approval")


def decides(portal: Happening) -> None:
    asks(portal)
    client = Client()
    client.force_login(portal.approver.user)
    approval = portal.approval()
    answer = client.post(
        f"/approvals/{approval.pk}/decide/",
        {"answer": "refuse", "comment": f"not now {HOSTILE}", "seen": approval.plan_sha256},
    )
    assert answer.status_code in (200, 302), answer.content
    approval.refresh_from_db()
    assert approval.state == "refused"


def expires(portal: Happening) -> None:
    asks(portal)
    portal.approval(expires_at=True)
    portal.work("approval")


def heals(portal: Happening) -> None:
    portal.heal_by()
    portal.say("firing")


def almost_heals(portal: Happening) -> None:
    first = {**ACT, "next": {"success": [2]}}
    portal.heal_by(first, {"id": 2, "name": "Mark", "type": "mark_almost_success", "params": {"reason": "half"}})
    portal.say("firing")


def storms(function: str, alerts: int = 2) -> Callable[[Happening], None]:
    def happen(portal: Happening) -> None:
        portal.converge_by(function)
        heals(portal)
        portal.say(*["firing"] * (alerts - 1))

    return happen


def sums_up(portal: Happening) -> None:
    storms("collect", 3)(portal)
    Incident.objects.update(last_joined_at=timezone.now() - timedelta(hours=1))
    portal.work("incident")
    assert Incident.objects.get().state == "closed"


def rehearses(portal: Happening) -> None:
    portal.heal_by(mode="shadow")
    portal.say("firing")
    assert Execution.objects.get().state == "shadowed"
    morning = timezone.localtime().replace(hour=10, minute=0) + timedelta(days=1)
    with time_machine.travel(morning, tick=False):
        portal.work("shadow_summary")


def breaks(portal: Happening) -> None:
    portal.converge_by("defense")
    ConvergenceRule.objects.update(dimensions=["nonsense"])
    ConfigVersion.bump("convergence")
    heals(portal)


# event: what makes it happen, what the acting step ends with, and the first line of the message in Chinese and in English.
HOST, HOST_EN = "local-1（127.0.0.10）", "local-1 (127.0.0.10)"
EVENTS: dict[str, tuple[Callable[[Happening], None], str, str, str]] = {
    "alert.firing": (lambda portal: portal.say("firing"), "", f"{HOST} {SEEN_TITLE}", f"{HOST_EN} {SEEN_TITLE}"),
    "alert.resolved": (
        lambda portal: portal.say("firing", "resolved"), "", f"{HOST} {SEEN_TITLE}，已恢复", f"{HOST_EN} {SEEN_TITLE}: resolved",
    ),
    "execution.started": (heals, "succeeded", f"{HOST} 开始执行 Clean", f"{HOST_EN}: Clean has started"),
    "execution.succeeded": (heals, "succeeded", f"{HOST} Clean 成功", f"{HOST_EN} Clean succeeded"),
    "execution.almost": (almost_heals, "succeeded", f"{HOST} Clean 基本成功", f"{HOST_EN} Clean: almost succeeded"),
    "execution.failed": (
        heals, "failed", f"{HOST} Clean 失败，告警仍需人工处理", f"{HOST_EN} Clean failed; the alert still needs somebody",
    ),
    "execution.skipped": (storms("trigger", 3), "succeeded", f"{HOST} 未执行 Clean", f"{HOST_EN}: Clean was not run"),
    "execution.unknown": (
        heals, "unknown", f"{HOST} Clean 结果未知，动作可能已经生效",
        f"{HOST_EN} Clean: result unknown, it may have taken effect",
    ),
    "approval.asked": (asks, "", "待审批：Clean", "Approval needed: Clean"),
    "approval.reminded": (reminds, "", "还没有人审批，剩 ", "Nobody has answered yet, "),
    "approval.decided": (decides, "", "lisi 已驳回：Clean", "lisi refused: Clean"),
    "approval.expired": (expires, "", "审批过期，未执行：Clean", "Approval expired, nothing was run: Clean"),
    "convergence.notice": (storms("notify"), "succeeded", "Storm：disk_full，2 条", "Storm：disk_full: 2 alerts"),
    "convergence.summary": (
        sums_up, "succeeded", "Storm：disk_full 已平息，共 3 条", "Storm：disk_full is over: 3 alerts",
    ),
    "convergence.defence": (
        storms("defense"), "succeeded", "Storm：disk_full，2 条，已拦下待审批", "Storm：disk_full: 2 held back for approval",
    ),
    "shadow.summary": (
        rehearses, "", "1 条，没有实际执行", "shadow mode: 1 of Game, none of them carried out",
    ),
    "system.fault": (breaks, "succeeded", "系统故障：收敛规则「Storm」有误", "System fault: "),
}  # fmt: skip
