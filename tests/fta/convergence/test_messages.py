"""What people are told of convergence: notices, summaries, common causes, and the one message and one decision of a storm."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals.models import Approval, Policy
from fta import pipeline
from fta.convergence.kind import IncidentKind
from fta.models import Business, ConfigVersion, Execution, Incident, Package, Person
from notify.models import Channel, Delivery, NotificationRule
from tests import factories

State = Execution.State
STORM = 30


@pytest.fixture
def now(game: Any, settings: Any) -> datetime:
    settings.FTA_PORTAL_URL = "https://fta.example"
    for number in range(4):
        factories.host(f"127.0.4.{number}", f"web-{number}", set_name="s1" if number else "s2", module=f"m{number}")
    return timezone.now()


@pytest.fixture
def package(now: datetime) -> Package:
    made = factories.package("clean", name="清理磁盘", risk="high")
    factories.rule(match={}, package=made)
    ConfigVersion.bump("rules")
    return made


@pytest.fixture
def listener(db: None) -> NotificationRule:
    channel = Channel.objects.create(name="值班", kind="wecom_app", config={"to_user": ["lisi"]})
    rule = NotificationRule.objects.create(name="收敛", events=["convergence.*"])
    rule.channels.add(channel)
    return rule


def converge_by(function: str, **fields: Any) -> None:
    fields.setdefault("dimensions", ["business"])
    factories.convergence_rule(f"规则 {function}", function=function, **fields)
    ConfigVersion.bump("convergence")


def fire(at: datetime, number: int = 0, **fields: Any) -> Execution:
    fields.setdefault("target", f"127.0.4.{number % 4}")
    alert = factories.alert(received_at=at, starts_at=at, **fields)
    found = pipeline.process(alert, at)
    assert found is not None
    found.refresh_from_db()
    return found


def run_due() -> None:
    for pk in IncidentKind().due(100, timezone.now()):
        IncidentKind().do(pk)


def told(event: str) -> list[str]:
    rows = Delivery.objects.filter(event=event).order_by("id")
    return [row.payload["message"]["text"] for row in rows]


def test_it_gives_one_notice_at_the_opening(package: Package, now: datetime, listener: NotificationRule) -> None:
    converge_by("notify", count=2)
    for number in range(5):
        fire(now + timedelta(seconds=number * 10), number, alert_type="cpu" if number == 1 else "disk_full")
    [text] = told("convergence.notice")
    assert "规则 notify：game，3 条" in text
    assert "业务：游戏大区" in text
    assert "类型：disk_full 2、cpu 1" in text
    assert "主机：3 台，127.0.4.0、127.0.4.1、127.0.4.2" in text
    assert "历时：20 秒" in text
    assert f"https://fta.example/incidents/{Incident.objects.get().pk}/" in text


def test_it_sums_up_at_the_end_what_it_collected(package: Package, now: datetime, listener: NotificationRule) -> None:
    converge_by("collect", count=2, window=60)
    start = now - timedelta(minutes=10)
    runs = [fire(start + timedelta(seconds=number * 10), number) for number in range(6)]
    assert [run.state for run in runs] == ["ready"] * 2 + ["skipped"] * 4
    assert "只汇总" in runs[-1].reason
    assert told("convergence.summary") == []
    run_due()
    run_due()
    [text] = told("convergence.summary")
    assert "共 6 条" in text
    assert "历时 50 秒 · 4 台：127.0.4.0、127.0.4.1、127.0.4.2、127.0.4.3" in text
    assert "类型：disk_full 6" in text
    assert "业务：游戏大区" in text
    assert f"https://fta.example/incidents/{Incident.objects.get().pk}/" in text


def test_it_tells_what_the_alerts_have_in_common(package: Package, now: datetime, listener: NotificationRule) -> None:
    converge_by("common_cause", count=2)
    factories.rule("只记录", match={"alert_type": "cpu"}, priority=1)
    same = {f"l{number}": "x" for number in range(6)}  # what a third shares is told, however many there are
    for number, target in enumerate(["127.0.4.0", "127.0.4.1", "127.0.4.2", "127.0.4.3", "10.9.9.9"]):
        labels = {"rack": f"r{max(number, 1)}", "zone": f"z{number}", **same}
        kind = "cpu" if number == 4 else "disk_full"
        at = now + timedelta(seconds=10 * number)
        fire(at, target=target, labels=labels, alert_type=kind, business=Business.objects.get())
    run_due()
    assert told("convergence.notice") == []  # five minutes are not over
    Incident.objects.update(opened_at=now - timedelta(minutes=5, seconds=1))
    run_due()
    run_due()
    [text] = told("convergence.notice")
    for words in (
        "game，5 条",
        "集群 s1（60%）",
        "标签 rack r1（40%）",
        *(f"标签 l{number} x（100%）" for number in range(6)),
        "业务：游戏大区",
        "类型：disk_full 4、cpu 1",
        "主机：5 台，10.9.9.9、127.0.4.0、127.0.4.1、127.0.4.2、127.0.4.3",
        "历时：40 秒",
        f"https://fta.example/incidents/{Incident.objects.get().pk}/",
    ):
        assert words in text
    for words in ("zone", "r2", "集群 s2", "模块", "10.9.9.9（"):  # of fewer than 34 %
        assert words not in text


def test_it_says_so_when_the_alerts_share_nothing(now: datetime, package: Package, listener: NotificationRule) -> None:
    converge_by("common_cause", count=2)
    hosts = [factories.host(f"127.0.5.{n}", f"x{n}", set_name=f"s{n}", module=f"m{n}") for n in range(3)]
    for number, host in enumerate(hosts):
        fields = {"alert_type": f"t{number}", "severity": ("critical", "error", "info")[number]}
        source = factories.source(f"src{number}", secret=f"secret-{number}-0123456789")
        alert = factories.alert(target=host.ip, received_at=now, starts_at=now, source=source, **fields)
        pipeline.process(alert, now)
    incident = Incident.objects.get()
    Incident.objects.update(opened_at=now - timedelta(minutes=5, seconds=1))
    run_due()
    incident.refresh_from_db()
    assert {item["name"] for item in incident.findings["shared"]} <= {"package"}


def test_it_tells_nobody_of_what_only_groups(package: Package, now: datetime, listener: NotificationRule) -> None:
    converge_by("relate", count=1)
    converge_by("skip_when_running", count=1)
    for number in range(3):
        fire(now, number)
    run_due()
    assert not Delivery.objects.filter(event__startswith="convergence").exists()


@pytest.fixture
def held(package: Package, now: datetime, operator: Person) -> list[Execution]:
    """A storm that a defence holds: two run, the others wait for a yes."""
    Policy.objects.create(name="default", stages=[{"approvers": [{"role": "operator"}]}])
    converge_by("defense", count=2, dimensions=["business", "alert_type"])
    return [fire(now + timedelta(seconds=number), number) for number in range(STORM)]


def storm_messages() -> list[Delivery]:
    return list(Delivery.objects.filter(dedup_key__startswith="incident:").order_by("id"))


def test_it_asks_once_about_a_storm_and_keeps_an_approval_each(held: list[Execution], now: datetime) -> None:
    assert [run.state for run in held] == ["ready"] * 2 + ["held"] * (STORM - 2)
    assert Approval.objects.filter(state="pending").count() == STORM - 2
    first, update = storm_messages()
    assert (first.recipients, update.recipients) == (["lisi"], ["lisi"])
    message = update.payload["message"]
    assert f"{STORM - 2} 条待审批，收敛事件共 {STORM} 条" in message["text"]
    for word in ("类型：disk_full", "主机：127.0.4.2", "套餐：清理磁盘"):
        assert word in message["text"]
    assert message["url"].endswith("/wechat/todo/")
    assert update.not_before is not None
    assert update.not_before == Incident.objects.get().opened_at + timedelta(minutes=5)
    assert not Delivery.objects.filter(event="approval.asked").exclude(dedup_key__startswith="incident:").exists()


def test_it_asks_with_the_storm_what_another_rule_asks_about_too(held: list[Execution], now: datetime) -> None:
    converge_by("approve_when_failed", dimensions=["host"], count=1, priority=1)
    again = fire(now + timedelta(seconds=50))
    Execution.objects.filter(pk=again.pk).update(state=State.FAILED)
    again = fire(now + timedelta(seconds=51))
    assert again.memberships.exclude(incident=None).count() == 2
    assert (again.state, again.incident and again.incident.function) == ("held", "defense")
    assert not Delivery.objects.filter(event="approval.asked").exclude(dedup_key__startswith="incident:").exists()


def test_it_updates_a_growing_storm_every_five_minutes(held: list[Execution], now: datetime) -> None:
    Delivery.objects.update(state=Delivery.State.SENT)
    for minute in (6, 7, 12):
        fire(now + timedelta(minutes=minute))
    texts = [row.payload["message"]["text"] for row in storm_messages()]
    assert len(texts) == 4
    assert f"{STORM} 条待审批" in texts[2]
    assert f"{STORM + 1} 条待审批" in texts[3]


def test_it_decides_what_was_listed_and_counts_what_came_after(
    held: list[Execution], now: datetime, operator: Person, client: Client
) -> None:
    client.force_login(operator.user, backend="django.contrib.auth.backends.ModelBackend")
    incident = Incident.objects.get()
    page = client.get(f"/incidents/{incident.pk}/").content.decode()
    listed = re.findall(r'name="picked" value="([^"]+)"', page)
    assert len(listed) == STORM - 2
    late = [fire(now + timedelta(seconds=40), number) for number in range(3)]

    answer = {"incident": incident.pk, "picked": listed, "answer": "approve", "comment": "交换机已换"}
    said = client.post("/approvals/decide/", answer, follow=True).content.decode()

    assert f"已同意 {STORM - 2} 个" in said
    assert "还有 3 个没有决定" in said
    assert set(Approval.objects.exclude(execution__in=late).values_list("state", flat=True)) == {"approved"}
    assert Execution.objects.filter(pk__in=[run.pk for run in held[2:]], state=State.READY).count() == STORM - 2
    assert Approval.objects.filter(state="pending").count() == 3
    assert {Execution.objects.get(pk=run.pk).state for run in late} == {"held"}
