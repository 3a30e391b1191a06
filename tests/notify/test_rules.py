"""Notification rules: from a signal of the healing floor to rows in the outbox."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta import signals
from fta.models import Alert, Business, Duty, Execution, Host, Incident, Member, Person
from notify import outbox
from notify.message import Message, size
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


@pytest.mark.parametrize("role", ["operator", "approver", "viewer", "maintainer", "admin", "host"])
def test_it_addresses_every_role_of_the_business(
    app_channel: Channel, game: Business, pay: Business, role: str
) -> None:
    host, group = local(), () if role in ("maintainer", "host") else (role,)
    mine = factories.person("mine", *group, businesses=(game,) if role != "admin" else ())
    factories.person("other", *((group or ("operator",)) if role != "admin" else ("viewer",)), businesses=(pay,))
    if role == "maintainer":
        game.maintainers.add(mine)
    if role == "host":
        host.operators.add(mine)
    rule(app_channel, to=[{"role": role}])
    ended("skipped", host=host)
    assert Delivery.objects.get().recipients == ["mine"]


@pytest.mark.parametrize(
    ("moments", "told"), [([0, 59, 59.9], 1), ([-1, 1, 58], 1), ([0, 59, 60], 2), ([0, 61, 119, 122], 3)]
)
def test_it_throttles_like_things_from_the_last_message_on(
    app_channel: Channel, robots: Channel, moments: list[float], told: int
) -> None:
    rule(app_channel, robots, throttle=60)
    alert, other = factories.alert(host=local()), factories.alert(host=local(), alert_type="ping")
    for at in moments:
        with time_machine.travel(NOON + timedelta(seconds=at), tick=False):
            ended("skipped", alert=alert)
    assert Delivery.objects.filter(kind="wecom_app").count() == told
    assert Delivery.objects.filter(kind="wecom_robot").count() == told * 2
    ended("skipped", alert=other)
    assert Delivery.objects.filter(kind="wecom_app").count() == told + 1
    by_hand = {"host": local(), "business": local().business, "state": "skipped"}
    for _ in range(2):
        run = factories.execution(**by_hand)
        signals.announce(signals.execution_changed, execution=run, frm="running", to="skipped")
    assert Delivery.objects.filter(kind="wecom_app").count() == told + 2


@pytest.mark.parametrize(
    ("match", "heard"),
    [
        ({"business": "game"}, True),
        ({"business": "pay"}, False),
        ({"ip": "127.0.0.0/24", "alert_type": "manual", "module": "web", "set": "shanghai-1", "host": "local-1"}, True),
        ({"severity": "critical"}, False),
        ({"labels": {"team": "sre"}}, False),
    ],
)
def test_what_has_no_alert_meets_conditions_by_what_is_known(
    app_channel: Channel, match: dict[str, Any], heard: bool
) -> None:
    rule(app_channel, match=match)
    host = local()
    run = factories.execution(host=host, business=host.business, alert_type="manual", state="skipped")
    signals.announce(signals.execution_changed, execution=run, frm="running", to="skipped")
    assert Delivery.objects.exists() is heard


@pytest.mark.parametrize("options", [{"group_interval": 300}, {"group_wait": 30, "group_interval": 300}])
def test_all_channels_of_a_group_are_told_together(
    app_channel: Channel, robots: Channel, options: dict[str, int]
) -> None:
    rule(app_channel, robots, options=options)
    with time_machine.travel(NOON, tick=False):
        ended("skipped")
    wait = timedelta(seconds=options.get("group_wait", 0))
    assert {row.not_before for row in Delivery.objects.all()} == {NOON + wait}
    assert Delivery.objects.count() == 3


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


@pytest.mark.parametrize(("to", "heard"), [({"duty": "night"}, ["wangwu"]), ({"role": "host"}, ["lisi"])])
def test_it_addresses_whoever_has_the_duty_or_the_host(
    app_channel: Channel, operator: Person, approver: Person, to: Any, heard: list[str]
) -> None:
    Duty.objects.create(name="night", people=[approver.user.get_username()])
    rule(app_channel, to=[to])
    host = local()
    host.operators.add(operator)
    ended("skipped", host=host)
    assert Delivery.objects.get().recipients == heard


@pytest.mark.parametrize("to", [{"duty": "nobody"}, {"role": "operator"}, "bob"])
@pytest.mark.parametrize("kind", ["wecom_app", "email"])
def test_a_message_for_nobody_is_not_for_the_channels_own(
    fake: type[FakeTransport], deliver: Any, admin: Person, mailoutbox: Any, to: Any, kind: str
) -> None:
    bob = factories.person("bob", wecom="")
    bob.user.email = ""
    bob.user.save()
    channel = Channel.objects.create(name="全员", kind=kind, config={"to_user": ["@all"], "to": ["all@example.com"]})
    rule(channel, to=[to])
    rule(channel)  # this one does speak to the channel's own
    alert = factories.alert(host=local())
    ended("skipped", alert=alert)
    for _ in range(2):  # and a person who sends it again does not change that
        deliver()
        Delivery.objects.filter(state="failed").update(state="pending")
    deliver()
    failed = Delivery.objects.get(event="execution.skipped", state="failed")
    assert ("没有一个能" in failed.last_error, bool(failed.remedy)) == (True, True)
    assert not Delivery.objects.filter(event="execution.skipped", state="pending").exists()
    assert [mail.to for mail in mailoutbox].count(["all@example.com"]) + len(fake.sent) == 1
    client = Client()
    client.force_login(admin.user)
    page = client.get(
        reverse("notify:rule-hearing"), {"alert": alert.pk, "event": "execution.skipped"}
    ).content.decode()
    assert page.count("全员：无人") == 1
    assert page.count("全员：@all") + page.count("全员：all@example.com") >= 1


@pytest.mark.parametrize("form", ["textcard", "news", "template_card", "markdown"])
def test_a_group_is_one_message_in_every_form(fake: type[FakeTransport], deliver: Any, form: str) -> None:
    channel = Channel.objects.create(name="卡片", kind="wecom_app", config={"to_user": ["lisi"], "message": form})
    rule(channel, options={"group_by": ["alert_type"], "group_wait": 30})
    for number in range(3):
        ended("skipped", alert=factories.alert(host=local(), title=f"{number} 号" + "很长的标题" * 90))
    Delivery.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    deliver()
    ((_row, message),) = fake.sent
    assert message.form == ("markdown" if form == "markdown" else "text")
    assert message.text.startswith("3 条通知合并为一条\n· ")
    assert size(message.text) < 2048


def test_a_digest_mixes_no_receivers_that_the_message_itself_names(fake: type[FakeTransport], deliver: Any) -> None:
    for number in range(10):
        outbox.post(
            dedup_key=f"g{number}", kind="wecom_app", event="gateway.message", now=timezone.now(),
            message=Message("text", "x", "x", data={"to": {"toparty": str(number % 2)}}),
            not_before=timezone.now() - timedelta(seconds=1),
        )  # fmt: skip
    deliver()
    assert [(message.data["to"]["toparty"], message.title[:3]) for _, message in fake.sent] == [
        ("0", "5 条"),
        ("1", "5 条"),
    ]


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
