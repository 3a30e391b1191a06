"""Notification rules: from a signal of the healing floor to rows in the outbox."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from fta import ports, signals
from fta.models import Alert, Duty, Execution, Host, Incident, Member, Person
from notify.models import Channel, Delivery, NotificationRule, Template
from notify.receivers.grouping import waits_until
from notify.receivers.repeating import RepeatKind
from tests import factories
from tests.notify.conftest import FakeTransport

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)  # far from where spans of time begin


def rule(*channels: Channel, events: tuple[str, ...] = ("execution.*",), **fields: Any) -> NotificationRule:
    made = NotificationRule.objects.create(
        name=f"规则 {NotificationRule.objects.count()}", events=list(events), **fields
    )
    made.channels.set(channels)
    return made


def local() -> Host:
    return Host.objects.filter(ip="127.0.0.10").first() or factories.host()


def ended(state: str = "failed", **fields: Any) -> Execution:
    alert = fields.pop("alert", None) or factories.alert(host=local())
    package = factories.package(name="磁盘清理", key=f"p{Execution.objects.count()}")
    now = timezone.now()
    fields.setdefault("reason", "脚本退出码 1")
    run = factories.execution(alert=alert, package=package, state=state, started_at=now, ended_at=now, **fields)
    signals.announce(signals.execution_changed, execution=run, frm="running", to=state)
    return run


def texts(**conditions: Any) -> list[str]:
    return [row.payload["message"]["text"] for row in Delivery.objects.filter(**conditions).order_by("id")]


def test_it_posts_once_by_each_channel_and_group(app_channel: Channel, robots: Channel) -> None:
    rule(app_channel, robots)
    run = ended("succeeded")
    signals.announce(signals.execution_changed, execution=run, frm="running", to="succeeded")
    rows = Delivery.objects.order_by("id")
    assert [(row.kind, row.recipients) for row in rows] == [
        ("wecom_app", []),
        ("wecom_robot", ["值班一群"]),
        ("wecom_robot", ["值班二群"]),
    ]
    assert (
        rows[0]
        .payload["message"]["text"]
        .startswith("local-1（127.0.0.10） 磁盘清理 成功\n告警：disk_full · 游戏大区\n")
    )
    assert (
        rows[1]
        .payload["message"]["text"]
        .startswith('**<font color="info">local-1（127.0.0.10） 磁盘清理 成功</font>**\n> ')
    )
    assert {row.execution_id for row in rows} == {run.pk}


def test_it_applies_conditions_events_and_times(app_channel: Channel) -> None:
    rule(app_channel, events=("execution.failed",), match={"alert_type": "ping"})
    rule(app_channel, events=("execution.succeeded",))
    rule(app_channel, events=("execution.failed",), enabled=False)
    today = timezone.localtime().isoweekday()
    rule(app_channel, events=("execution.failed",), hours={"days": [today % 7 + 1], "from": "00:00", "to": "24:00"})
    rule(app_channel, events=("execution.failed",), match={"alert_type": 7, "nonsense": 1})
    ended("failed")
    assert not Delivery.objects.exists()
    rule(app_channel, events=("execution.failed",), match={"alert_type": {"glob": "disk*"}}, hours={"days": [today]})
    ended("failed")
    assert Delivery.objects.count() == 1


def test_it_addresses_people_by_name_and_role(app_channel: Channel, maintainer: Person, approver: Person) -> None:
    rule(app_channel, to=["wangwu"])
    rule(app_channel, to=[{"role": "maintainer"}])
    ended("succeeded")
    assert [row.recipients for row in Delivery.objects.order_by("id")] == [["wangwu"], ["lisi"]]


@time_machine.travel(NOON, tick=False)
def test_it_throttles_like_things(app_channel: Channel) -> None:
    rule(app_channel, throttle=86400)
    alert = factories.alert(host=local())
    for _ in range(3):
        ended("skipped", alert=alert)
    assert Delivery.objects.count() == 1


def test_it_tells_a_recovery_only_where_the_alert_was_told(app_channel: Channel) -> None:
    rule(app_channel, events=("execution.succeeded",), send_resolved=True)
    untold = factories.alert()
    signals.announce(signals.alert_resolved, alert=untold)
    assert not Delivery.objects.exists()
    run = ended("succeeded")
    assert run.alert is not None
    Alert.objects.filter(pk=run.alert.pk).update(status="resolved", resolved_at=timezone.now())
    signals.announce(signals.alert_resolved, alert=Alert.objects.get(pk=run.alert.pk))
    assert texts(event="alert.resolved")[0].startswith("local-1（127.0.0.10） 磁盘写满，已恢复\n")


def test_a_failure_mails_the_maintainers_without_any_rule(maintainer: Person, admin: Person) -> None:
    run = ended("failed")
    row = Delivery.objects.get()
    assert (row.kind, row.recipients, row.event, row.execution_id) == (
        "email",
        ["lisi@example.com"],
        "execution.failed",
        run.pk,
    )
    assert "原因：脚本退出码 1" in row.payload["message"]["text"]
    quiet = factories.rule("安静", notify={"mail_maintainers": False})
    ended("failed", rule=quiet)
    assert Delivery.objects.count() == 1


@time_machine.travel(NOON, tick=False)
def test_a_fault_without_a_rule_goes_to_the_admins_once_an_hour(admin: Person, app_channel: Channel) -> None:
    for _ in range(3):
        signals.announce(signals.system_fault, text="收件箱有读不懂的内容", subject="inbox")
    assert [row.recipients for row in Delivery.objects.all()] == [["boss@example.com"]]
    rule(app_channel, events=("system.fault",))
    signals.announce(signals.system_fault, text="别的事", subject="other")
    assert texts(kind="wecom_app")[0].startswith("系统故障：别的事")


@pytest.mark.parametrize(
    ("function", "signal", "event"),
    [
        ("notify", signals.incident_opened, "convergence.notice"),
        ("defense", signals.incident_opened, "convergence.defence"),
        ("collect", signals.incident_closed, "convergence.summary"),
        ("skip_when_success", signals.incident_opened, ""),
    ],
)
def test_it_tells_of_incidents_as_their_function_wants(
    app_channel: Channel, function: str, signal: Any, event: str
) -> None:
    rule(app_channel, events=("convergence.*",))
    converging = factories.convergence_rule(function=function)
    now = timezone.now()
    incident = Incident.objects.create(
        rule=converging,
        group_key="g",
        function=function,
        title="游戏大区 disk_full",
        execution_count=2,
        opened_at=now,
        last_joined_at=now,
    )
    alert = factories.alert(host=local())
    run = factories.execution(alert=alert)
    Member.objects.create(rule=converging, group_key="g", execution=run, received_at=now, incident=incident, ordinal=1)
    signals.announce(signal, incident=incident)
    found = list(Delivery.objects.values_list("event", flat=True))
    assert found == ([event] if event else [])
    if event:
        assert texts()[0].startswith("游戏大区 disk_full")
        assert "2 条" in texts()[0]


def test_it_uses_the_rules_template_and_falls_back_when_that_fails(app_channel: Channel) -> None:
    good = Template.objects.create(
        name="短", body="{{ execution.package }}：{{ execution.state }}\n{{ alert.labels.team }}"
    )
    rule(app_channel, template=good)
    alert = factories.alert(labels={"team": "{{7*7}}<@all>"}, host=local())
    ended("failed", alert=alert)
    assert texts()[0].startswith("磁盘清理：失败\n{{7*7}}＜@all＞")
    ended("failed")
    assert texts()[1].startswith("local-1（127.0.0.10） 磁盘清理 失败")


def test_the_messenger_sends_a_nodes_message(app_channel: Channel, robots: Channel, operator: Person) -> None:
    run = factories.execution(alert=factories.alert(host=local()))
    step = factories.step(run, type="notify", idem_key="6f9619ff-8b86-d011-b42d-00c04fc964aa")
    now = timezone.now()
    ids = ports.messenger().tell(step, "127.0.0.10 处理完毕", ["wecom", "值班群"], ["lisi"], now)
    assert len(ids) == 3
    assert ports.messenger().tell(step, "127.0.0.10 处理完毕", ["wecom", "值班群"], ["lisi"], now) == ids
    assert Delivery.objects.get(pk=ids[0]).recipients == ["lisi"]
    assert texts(pk=ids[0])[0].startswith("127.0.0.10 处理完毕")
    with pytest.raises(ValueError, match="没有名为“nobody”"):
        ports.messenger().tell(step, "x", ["nobody"], [], now)
    with pytest.raises(ValueError, match="没有可用的"):
        ports.messenger().tell(step, "x", [], ["nobody"], now)
    assert Delivery.objects.count() == 3


@pytest.mark.parametrize(
    ("to", "heard"), [({"duty": "night"}, ["wangwu"]), ({"role": "host"}, ["lisi"]), ({"duty": "nobody"}, [])]
)
def test_it_addresses_whoever_has_the_duty_or_the_host(
    app_channel: Channel, operator: Person, approver: Person, to: Any, heard: list[str]
) -> None:
    Duty.objects.create(name="night", people=[approver.user.get_username()])
    rule(app_channel, to=[to])
    host = local()
    host.operators.add(operator)
    ended("skipped", host=host)
    assert Delivery.objects.get().recipients == heard


def test_a_group_waits_and_is_told_in_one_message(
    app_channel: Channel, fake: type[FakeTransport], deliver: Any
) -> None:
    rule(app_channel, options={"group_by": ["alert_type"], "group_wait": 30, "group_interval": 300})
    for _ in range(3):
        ended("skipped")
    ended("skipped", alert=factories.alert(alert_type="ping", host=local()))
    deliver()
    assert fake.sent == []
    Delivery.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    deliver()
    assert sorted(message.title[:12] for _, message in fake.sent) == ["3 条通知合并为一条", "local-1（127."]


@pytest.mark.parametrize(
    ("moments", "told"),
    [
        ([0, 10, 29], [30, 30, 30]),  # the first waits, the others go with it
        ([0, 31, 200], [30, 330, 330]),  # news of a group that was told wait for the end of its interval
        ([0, 31, 331], [30, 330, 630]),
        ([0, 500], [30, 530]),  # silent for longer than the interval: it begins anew
    ],
)
def test_a_group_is_told_as_alertmanager_would(app_channel: Channel, moments: list[int], told: list[int]) -> None:
    grouped = rule(app_channel, options={"group_by": ["alert_type"], "group_wait": 30, "group_interval": 300})
    begin = timezone.now()
    found = [waits_until(grouped, f"group:{grouped.pk}:disk", begin + timedelta(seconds=at)) for at in moments]
    assert found == [begin + timedelta(seconds=at) for at in told]


def test_it_tells_again_while_an_alert_goes_on_firing(app_channel: Channel) -> None:
    rule(app_channel, events=("alert.*",), options={"repeat_interval": 3600})
    rule(app_channel, events=("alert.*",))
    begin = timezone.now()
    alert = factories.alert(host=local())
    told = []

    def look(minutes: int) -> None:
        with time_machine.travel(begin + timedelta(minutes=minutes), tick=False):
            for turn in RepeatKind().due(9, timezone.now()):
                RepeatKind().do(turn)
        told.append(Delivery.objects.filter(event="alert.firing").count())

    with time_machine.travel(begin, tick=False):
        signals.announce(signals.alerts_fired, alerts=[alert])
    for minutes in (1, 59, 61, 62, 119, 122):
        look(minutes)
    Alert.objects.filter(pk=alert.pk).update(status="resolved")
    look(200)
    assert told == [2, 2, 3, 3, 3, 4, 4]


def test_several_engines_tell_again_once(app_channel: Channel) -> None:
    rule(app_channel, events=("alert.*",), options={"repeat_interval": 60})
    with time_machine.travel(timezone.now() - timedelta(minutes=5), tick=False):
        signals.announce(signals.alerts_fired, alerts=[factories.alert(host=local())])
    (turn,) = RepeatKind().due(9, timezone.now())
    for _ in range(3):
        RepeatKind().do(turn)
    assert Delivery.objects.filter(event="alert.firing").count() == 2
    assert RepeatKind().due(9, timezone.now()) in ([], [turn + 1])
