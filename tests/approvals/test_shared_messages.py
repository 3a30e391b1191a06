"""One message about several approvals: what becomes of it is said of each, and it asks of none that has ended."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta.models import Host, Incident, Person
from notify.delivery import DeliveryKind
from notify.models import Delivery
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import age, ask, held, policy, say, send_all
from tests.wechat.conftest import Corp

pytestmark = pytest.mark.django_db


def asked(number: int, **fields: Incident) -> list[Approval]:
    return [ask(held(ip=f"127.0.5.{each + 1}", **fields)) for each in range(number)]


def batch() -> Delivery:
    return Delivery.objects.get(dedup_key__startswith="asks:")


def send_now(*rows: Delivery) -> None:
    for row in rows:
        Delivery.objects.filter(pk=row.pk).update(not_before=None)
        DeliveryKind().do(row.pk)


def on_its_way(row: Delivery) -> None:
    """Let the try of a message begin that will not get through."""
    Delivery.objects.filter(pk=row.pk).update(state="sending", attempts=1)


def and_back(row: Delivery) -> None:
    Delivery.objects.filter(pk=row.pk).update(state="pending", not_before=None)


def escalated() -> list[bool]:
    return list(Approval.objects.order_by("id").values_list("escalated", flat=True))


@pytest.fixture
def boss(operator: Person) -> Person:
    """Who is asked when nobody of those asked is reached; 李四 has no mail."""
    User.objects.update(email="")
    policy(on_expiry="escalate", escalate_to=[{"person": "boss"}])
    return factories.person("boss")


# --- the text that waits for the end of the minute ---


def test_a_text_that_may_still_get_through_is_a_question_that_is_not_lost(
    corp: Corp, boss: Person, faults: list[tuple[str, str]]
) -> None:
    _first, second, third = asked(3)
    corp.world.faults.set({"untrusted_ip": True})
    cards = Delivery.objects.filter(payload__message__form="approval_card", approval_ref__in=[second.pk, third.pk])
    send_now(*cards)
    assert {card.state for card in cards.all()} == {"failed"}
    corp.world.faults.set({"untrusted_ip": False})
    send_now(batch())
    assert [text.count("请审核") for text in corp.texts("lisi")] == [2]
    assert (escalated(), [text for subject, text in faults if subject.startswith("approval:")]) == ([False] * 3, [])


def test_a_text_that_is_refused_is_refused_for_each(corp: Corp, boss: Person, faults: list[tuple[str, str]]) -> None:
    first, second, third = asked(3)
    corp.world.faults.set({"untrusted_ip": True})
    send_now(*Delivery.objects.filter(payload__message__form="approval_card"))
    assert escalated() == [False] * 3
    send_now(batch())
    assert escalated() == [False, True, True]
    told = [subject for subject, text in faults if "一条也没有送到" in text]
    assert told == [f"approval:{each.pk}" for each in (second, third)]
    assert first.code not in str(faults)


def test_a_text_counts_for_the_stage_that_it_asks(corp: Corp, boss: Person, faults: list[tuple[str, str]]) -> None:
    second_stage = factories.person("wangwu", "operator", businesses=(factories.business(),))
    User.objects.filter(pk=second_stage.user_id).update(email="")
    stages = [{"approvers": [{"person": name}]} for name in ("lisi", "wangwu")]
    Policy.objects.update(stages=stages)
    _first, second = asked(2)
    send_now(batch())  # it reached those of the first stage
    say(second, Person.objects.get(wecom_userid="lisi"))
    corp.world.faults.set({"untrusted_ip": True})
    send_now(*Delivery.objects.filter(approval_ref=second.pk, recipients=["wangwu"]))
    assert escalated() == [False, True]


@pytest.mark.parametrize("how", ["decided", "expired", "over"])
def test_a_text_that_is_tried_again_asks_only_what_still_waits(
    corp: Corp, default_policy: Policy, operator: Person, how: str
) -> None:
    _first, second, third = asked(3)
    on_its_way(batch())
    _end(second, operator, how)
    and_back(batch())
    send_now(batch())
    (text,) = corp.texts("lisi")
    assert (second.code in text, third.code in text) == (False, True)


def test_a_text_that_is_tried_again_when_all_has_ended_is_not_sent(
    corp: Corp, default_policy: Policy, operator: Person
) -> None:
    _first, second, third = asked(3)
    on_its_way(batch())
    for approval in (second, third):
        _end(approval, operator, "decided")
    and_back(batch())
    send_now(batch())
    assert corp.inbox("lisi") == []
    assert (batch().state, batch().sent_at, batch().last_error) == ("sent", None, "发送前审批已有结果，未发送。")


def _end(approval: Approval, person: Person, how: str) -> None:
    if how == "decided":
        say(approval, person, "refuse")
        return
    age(approval)
    if how == "expired":
        services.expire(approval.pk, timezone.now())


def test_a_text_shows_the_new_round_to_its_reader(corp: Corp, default_policy: Policy, operator: Person) -> None:
    factories.person("wangwu", "operator", businesses=(factories.business(),))
    first, old = asked(2)
    say(first, operator, "refuse")
    Host.objects.update(connection="local")
    assert "计划变了" in doors.reply_as("wangwu", f"TY {old.code}")
    new = Approval.objects.get(state="pending")
    Delivery.objects.filter(approval_ref=new.pk).update(state="failed")
    text = Delivery.objects.get(dedup_key__startswith="asks:lisi", state="pending")
    send_now(text)
    Delivery.objects.filter(pk=text.pk).update(sent_at=timezone.now() - timedelta(seconds=5))
    assert doors.reply_as("lisi", f"TY {old.code}") == "【故障自愈】审批成功"


# --- the messages of a storm ---


def test_an_update_that_is_refused_is_refused_for_all_that_it_told_of(
    corp: Corp, boss: Person, storm: Incident, faults: list[tuple[str, str]]
) -> None:
    asked(3, incident=storm)
    first, update = Delivery.objects.filter(event="approval.asked").order_by("id")
    send_now(first)
    corp.world.faults.set({"untrusted_ip": True})
    send_now(update)
    assert escalated() == [False, True, True]
    assert {subject for subject, text in faults if "一条也没有送到" in text} == {f"incident:{storm.pk}"}


def test_the_mail_in_its_place_speaks_of_all_too(
    corp: Corp, default_policy: Policy, operator: Person, storm: Incident
) -> None:
    asked(3, incident=storm)
    corp.world.faults.set({"untrusted_ip": True})
    send_now(*Delivery.objects.filter(event="approval.asked").order_by("id"))
    letters = Delivery.objects.filter(event="approval.asked", kind="email").order_by("id")
    assert [row.approvals.count() for row in letters] == [1, 2]
    say(Approval.objects.earliest("id"), operator)
    send_all()
    assert len([letter for letter in mail.outbox if letter.to == ["lisi@example.com"]]) == 2  # others still wait


def test_a_message_of_a_storm_is_not_sent_when_all_was_decided_meanwhile(
    corp: Corp, default_policy: Policy, operator: Person, storm: Incident
) -> None:
    approvals = asked(3, incident=storm)
    first, update = Delivery.objects.filter(event="approval.asked").order_by("id")
    on_its_way(update)
    for approval in approvals[:2]:
        say(approval, operator)
    send_now(first)
    assert len(corp.inbox("lisi")) == 1  # one still waits
    say(approvals[2], operator)
    and_back(update)
    send_now(update)
    assert len(corp.inbox("lisi")) == 1
