"""What happens when nobody answers, and what people are told meanwhile."""

import re
import string
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import messages, services
from approvals.models import Approval, Policy
from approvals.services import ApprovalKind
from fta import signals
from fta.engine.loop import Engine
from fta.models import AuditEntry, Business, Execution, Person
from notify.models import Channel, Delivery
from tests import factories
from tests.approvals.conftest import age, ask, held, policy

pytestmark = pytest.mark.django_db


def sent(form: str) -> Any:
    return Delivery.objects.filter(payload__message__form=form).order_by("id")


def run() -> None:
    kind = ApprovalKind()
    for pk in kind.due(10, timezone.now()):
        kind.do(pk)


def test_it_ends_an_approval_that_nobody_answered_as_a_no(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = age(ask(execution))
    Delivery.objects.update(state="sent", sent_at=timezone.now())
    run()

    approval.refresh_from_db()
    execution.refresh_from_db()
    assert (approval.state, execution.state) == ("expired", "skipped")
    assert "过期" in execution.reason
    assert sent("card_update").get().payload["message"]["state"] == "expired"
    assert AuditEntry.objects.filter(verb="approval.expired").count() == 1
    assert ApprovalKind().due(10, timezone.now()) == []


def test_it_leaves_an_approval_that_has_time(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    services.expire(approval.pk, timezone.now() + timedelta(hours=2))  # a worker whose clock is wrong
    approval.refresh_from_db()
    assert approval.state == "pending"
    assert ApprovalKind().due(10, timezone.now()) == []


@pytest.mark.django_db(transaction=True)
def test_it_expires_through_the_engine(operator: Person) -> None:
    policy()
    approval = age(ask())
    Engine(work=["approval"]).drain()
    approval.refresh_from_db()
    assert approval.state == "expired"


def test_it_ends_never_later_than_the_execution(default_policy: Policy, operator: Person) -> None:
    soon = timezone.now() + timedelta(minutes=3)
    assert ask(deadline_at=soon).expires_at == soon
    approval = ask(held(ip="127.0.0.12"))
    assert approval.expires_at - approval.created_at == timedelta(minutes=30)
    assert approval.remind_at == approval.created_at + timedelta(minutes=15)


def test_it_expires_even_when_the_execution_has_moved_on(default_policy: Policy, operator: Person) -> None:
    execution = held()
    approval = age(ask(execution))
    Execution.objects.filter(pk=execution.pk).update(state="cancelled")
    run()
    approval.refresh_from_db()
    assert approval.state == "expired"


def test_it_escalates_once(operator: Person) -> None:
    boss = factories.person("boss")
    policy(on_expiry="escalate", escalate_to=[{"person": "boss"}])
    execution = held()
    approval = age(ask(execution))
    run()

    approval.refresh_from_db()
    assert (approval.state, approval.escalated) == ("pending", True)
    assert approval.expires_at > timezone.now()
    assert "boss" in sent("approval_card").last().recipients
    age(approval)
    run()
    approval.refresh_from_db()
    assert approval.state == "expired"
    assert boss.user_id in approval.asked.values_list("user_id", flat=True)


def test_it_takes_the_answer_of_those_it_escalated_to(operator: Person) -> None:
    boss = factories.person("boss")
    policy(on_expiry="escalate", escalate_to=[{"person": "boss"}])
    approval = age(ask())
    run()
    assert services.decide(approval.pk, boss.user, "approve", "", "card", timezone.now()).state == "approved"


def test_it_does_not_escalate_to_whoever_handed_the_turn_over(operator: Person, stranger: Person) -> None:
    policy(on_expiry="escalate", escalate_to=[{"person": "lisi"}])
    approval = ask()
    services.hand_over(approval.pk, operator.user, stranger, timezone.now())
    age(approval)
    run()
    approval.refresh_from_db()
    assert (approval.state, approval.escalated) == ("expired", False)
    assert list(approval.asked.values_list("user__username", flat=True)) == ["stranger"]


def test_it_reminds_once_by_the_other_channel(operator: Person) -> None:
    channel = Channel.objects.create(name="邮件", kind="email", config={"to": ["ops@example.com"]})
    policy(remind_channel="邮件")
    heard: list[str] = []

    def hear(approval: Approval, event: str, **rest: Any) -> None:
        heard.append(event)

    approval = ask()
    signals.approval_changed.connect(hear)
    age(approval, remind_at=timezone.now() - timedelta(seconds=1))
    run()
    run()

    reminder = Delivery.objects.get(channel=channel)
    assert reminder.recipients == ["lisi@example.com"]
    assert f"TY {approval.code}" in reminder.payload["message"]["text"]
    assert heard == ["reminded"]


def test_it_reminds_by_wecom_and_by_mail_where_no_channel_is_named(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    age(approval, remind_at=timezone.now() - timedelta(seconds=1))
    run()
    reminders = Delivery.objects.filter(event="approval.reminded").order_by("id")
    assert [(row.kind, row.recipients) for row in reminders] == [
        ("wecom_app", ["lisi"]),
        ("email", ["lisi@example.com"]),
    ]


def test_it_reminds_every_group_of_a_robot(operator: Person) -> None:
    groups = [{"name": name, "webhook": "http://127.0.0.1:9/"} for name in ("一群", "二群")]
    Channel.objects.create(name="机器人", kind="wecom_robot", config={"groups": groups})
    policy(remind_channel="机器人")
    age(ask(), remind_at=timezone.now() - timedelta(seconds=1))
    run()
    reminders = Delivery.objects.filter(event="approval.reminded").order_by("id")
    assert [(row.recipients, row.payload["message"]["mentions"]) for row in reminders] == [
        (["一群"], ["lisi"]),
        (["二群"], ["lisi"]),
    ]


def test_it_asks_by_one_fixed_text_and_one_card(default_policy: Policy, operator: Person) -> None:
    factories.api_key("some-api-key-0123456789", "operator")  # a service user gets no message
    approval = ask()

    text = sent("text").get()
    assert text.payload["message"]["text"] == (
        f"【故障自愈】即将执行 clean-disk（127.0.0.10，disk_full）,请审核！\n"
        f"同意请回复: TY {approval.code}\n驳回请回复: BH {approval.code}"
    )
    assert (text.recipients, text.kind, text.lane, text.channel) == (["lisi"], "wecom_app", 0, None)
    card = sent("approval_card").get().payload["message"]
    assert re.fullmatch(rf"fta-{approval.pk}-1-\d{{16}}-s0", card["task_id"])
    assert set(card["task_id"]) <= set(string.ascii_letters + string.digits + "_-@")
    age(approval, created_at=approval.created_at + timedelta(seconds=1))  # another installation, or this one restored
    assert messages.task_id(approval, "s0") != card["task_id"]
    assert [key for _label, key, _style in card["buttons"]] == [
        f"refuse:{approval.pk}",
        f"approve:{approval.pk}",
        "detail",
    ]
    assert 1 <= len(card["facts"]) <= 6
    assert dict(card["facts"])["最近五次"]


def test_it_keeps_hostile_text_on_one_line(default_policy: Policy, operator: Person) -> None:
    alert = factories.alert(alert_type="disk_full\n同意请回复: TY 1_0\u202e", host=factories.host())
    approval = ask(held(alert=alert, alert_type=alert.alert_type))
    text = sent("text").get().payload["message"]["text"]
    assert len(text.split("\n")) == 3
    assert "\u202e" not in text
    assert text.endswith(f"BH {approval.code}")


def test_it_withdraws_what_an_ended_execution_asked(default_policy: Policy, operator: Person, game: Business) -> None:
    execution = held()
    approval = ask(execution)
    services.withdraw(execution, "已停止", timezone.now())
    approval.refresh_from_db()
    assert (approval.state, approval.comment) == ("cancelled", "已停止")
    with pytest.raises(services.NotPending):
        services.decide(approval.pk, operator.user, "approve", "", "card", timezone.now())


def test_it_withdraws_a_question_of_another_system(operator: Person) -> None:
    approval = services.open_external(code="X-1", message="发布", verifiers=["lisi"], now=timezone.now())
    assert services.cancel(approval.pk, "system", "不用了", timezone.now()).state == "cancelled"
