"""Deliveries through the engine: claimed, sent, tried again, given up, never silent."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fta.engine.claim import claim
from fta.models import AuditEntry, Person
from fta.models.engine import DbNow
from notify import outbox
from notify.delivery import DeliveryKind, NotResendable, limits, resend
from notify.message import Message
from notify.models import Allowance, Channel, Delivery, DeliveryAttempt
from notify.transports.base import NotSent, OutcomeUnknown, Refused
from tests.notify.conftest import FakeTransport

pytestmark = pytest.mark.django_db


def post(channel: Channel | None, key: str = "k1", **fields: Any) -> Delivery:
    fields.setdefault("kind", channel.kind if channel else "wecom_app")
    fields.setdefault("recipients", ["lisi"])
    fields.setdefault("message", Message("text", title="一句话", text="一句话\n第二行"))
    made = outbox.post(dedup_key=key, event="execution.failed", channel=channel, now=timezone.now(), **fields)
    assert made is not None
    return made


def due_now() -> None:
    Delivery.objects.filter(state="pending").update(not_before=DbNow() - timedelta(seconds=1))


def test_it_sends_once_and_keeps_what_was_said(fake: type[FakeTransport], deliver: Any, app_channel: Channel) -> None:
    row = post(app_channel)
    assert (
        outbox.post(
            dedup_key="k1", kind="wecom_app", event="x", message=Message("text", text="again"), now=timezone.now()
        )
        is None
    )
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.provider) == ("sent", 1, {"msgid": "m1"})
    assert [message.text for _, message in fake.sent] == ["一句话\n第二行"]
    attempt = DeliveryAttempt.objects.get(delivery=row)
    assert (attempt.outcome, attempt.answer) == ("sent", "ok")
    app_channel.refresh_from_db()
    assert app_channel.last_ok_at is not None
    assert app_channel.last_error == ""


def test_it_sends_what_the_row_says_when_it_is_taken(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = post(app_channel)

    def joined(*args: Any, **fields: Any) -> int:
        Delivery.objects.filter(pk=row.pk, state="pending").update(
            payload={"message": Message("text", text="两条").to_json()}
        )
        return claim(*args, **fields)

    monkeypatch.setattr("notify.delivery.kind.claim", joined)  # it is written anew between the look and the claim
    deliver()
    assert [message.text for _, message in fake.sent] == ["两条"]


def test_it_tries_five_times_what_was_not_sent(fake: type[FakeTransport], deliver: Any, app_channel: Channel) -> None:
    row = post(app_channel)
    fake.plan.extend(NotSent("连不上") for _ in range(5))
    for number in range(1, 5):
        deliver()
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("pending", number)
        assert row.not_before is not None
        assert row.not_before > timezone.now()
        due_now()
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == ("failed", 5, "连不上")
    assert DeliveryAttempt.objects.filter(delivery=row, outcome="not_sent").count() == 5


def test_it_tries_less_often_where_the_vendor_says_so(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel
) -> None:
    row = post(app_channel)
    fake.plan.extend(NotSent("系统繁忙", code="-1", max_tries=3) for _ in range(5))
    for _ in range(5):
        deliver()
        due_now()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_code) == ("failed", 3, "-1")


def test_it_does_not_repeat_a_refusal_and_says_what_to_do(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel
) -> None:
    row = post(app_channel)
    fake.plan.append(Refused("企业微信拒绝：60020", code="60020", remedy="把 127.0.8.15 加入企业可信 IP。"))
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_code, row.remedy) == (
        "failed",
        1,
        "60020",
        "把 127.0.8.15 加入企业可信 IP。",
    )
    app_channel.refresh_from_db()
    assert app_channel.last_error == "企业微信拒绝：60020"


def test_it_repeats_an_unknown_outcome_only_where_that_is_harmless(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, robots: Channel
) -> None:
    safe, unsafe = post(app_channel, "safe"), post(robots, "unsafe", recipients=["值班一群"])
    fake.plan.extend([OutcomeUnknown("超时"), OutcomeUnknown("超时")])
    deliver()
    safe.refresh_from_db()
    unsafe.refresh_from_db()
    assert (safe.state, unsafe.state) == ("pending", "unknown")


@pytest.mark.parametrize(("kind", "state"), [("wecom_app", "sent"), ("wecom_robot", "unknown")])
def test_it_settles_what_a_dead_worker_left(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, kind: str, state: str
) -> None:
    row = post(app_channel, kind=kind)
    lapsed = DbNow() - timedelta(seconds=1)
    Delivery.objects.filter(pk=row.pk).update(state="sending", attempts=1, fence=1, lease_until=lapsed)
    DeliveryAttempt.objects.create(delivery=row, number=1, started_at=timezone.now())
    deliver()
    row.refresh_from_db()
    assert row.state == state
    assert len(fake.sent) == (1 if state == "sent" else 0)
    assert DeliveryAttempt.objects.filter(delivery=row, outcome="unknown").count() == 1


def test_it_leaves_alone_what_another_worker_is_sending(fake: type[FakeTransport], app_channel: Channel) -> None:
    row = post(app_channel)
    Delivery.objects.filter(pk=row.pk).update(state="sending", fence=1, lease_until=DbNow() + timedelta(seconds=30))
    DeliveryKind().do(row.pk)
    row.refresh_from_db()
    assert (row.state, fake.sent) == ("sending", [])


def test_it_waits_as_long_as_the_vendor_refuses_and_loses_nothing(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel
) -> None:
    first, second = post(app_channel, "k1"), post(app_channel, "k2")
    fake.plan.append(NotSent("接口频率超限", code="45009", retry_after=60))
    deliver()
    for row in (first, second):
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("pending", 0)
    assert fake.sent == []
    due_now()
    deliver()
    assert Delivery.objects.filter(state="sent").count() == 2


def test_it_keeps_the_member_limit_and_lets_approvals_through(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel
) -> None:
    for number in range(32):
        post(app_channel, f"n{number}")
    approval = post(app_channel, "approval", lane=Delivery.Lane.APPROVAL)
    deliver()
    sent = [row.dedup_key for row, _ in fake.sent]
    assert sent[0] == "approval"
    assert len(sent) <= 30
    approval.refresh_from_db()
    assert approval.state == "sent"
    waiting = Delivery.objects.filter(state="pending")
    assert waiting.count() == 33 - len(sent)
    assert all(row.attempts == 0 and row.not_before > timezone.now() for row in waiting)


def test_a_limit_is_found_once_for_all_that_would_find_it(fake: type[FakeTransport], app_channel: Channel) -> None:
    rows = [post(app_channel, f"n{number}") for number in range(25)]
    urgent = post(app_channel, "approval", lane=Delivery.Lane.APPROVAL)
    other = post(app_channel, "other", recipients=["wangwu"])
    kind = DeliveryKind()
    for row in rows[:21]:  # room is for 20
        kind.do(row.pk)
    assert len(fake.sent) == 20
    assert kind.due(100, timezone.now()) == [urgent.pk, other.pk]
    assert {row.attempts for row in Delivery.objects.filter(state="pending")} == {0}


def test_it_asks_the_database_as_little_for_many_readers_as_for_one(app_channel: Channel) -> None:
    counts = []
    for number, readers in enumerate((["lisi"], [f"m{n}" for n in range(240)])):
        row = post(app_channel, f"many{number}", recipients=readers)
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            limits.take(row, 1, timezone.now())
        counts.append(len(queries))
        assert Allowance.objects.filter(key=f"member:{readers[-1]}").get().used == 1
    assert counts[1] <= counts[0]


def test_it_gathers_what_had_to_wait_into_one_message_that_says_how_many(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel
) -> None:
    rows = [post(app_channel, f"n{n}", message=Message("text", title=f"第 {n} 件", text="…")) for n in range(6)]
    due_now()
    deliver()
    assert len(fake.sent) == 1
    text = fake.sent[0][1].text
    assert text.startswith("6 条通知合并为一条\n· 第 0 件")
    assert "第 5 件" in text
    assert Delivery.objects.filter(state="sent").count() == 6
    rows[5].refresh_from_db()
    assert rows[5].provider == {"digest": rows[0].pk}


def test_it_refuses_a_channel_that_is_switched_off(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel
) -> None:
    row = post(app_channel)
    Channel.objects.update(enabled=False)
    deliver()
    row.refresh_from_db()
    assert (row.state, fake.sent) == ("failed", [])
    assert "已停用" in row.last_error


def test_it_ends_a_delivery_of_a_kind_that_nobody_carries(deliver: Any) -> None:
    row = post(None, kind="pigeon")
    deliver()
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("failed", "没有“pigeon”这种通知方式。")


def test_it_is_sent_again_by_a_person_and_audited(
    fake: type[FakeTransport], deliver: Any, app_channel: Channel, operator: Person
) -> None:
    row = post(app_channel)
    fake.plan.append(Refused("不行"))
    deliver()
    row.refresh_from_db()
    resend(row, operator.user, timezone.now())
    deliver()
    row.refresh_from_db()
    assert row.state == "sent"
    assert AuditEntry.objects.filter(verb="delivery.resend", actor="lisi").count() == 1
    with pytest.raises(NotResendable):
        resend(row, operator.user, timezone.now())


def test_it_mails_an_approver_whom_wecom_does_not_reach(
    fake: type[FakeTransport], deliver: Any, operator: Person, admin: Person, mailoutbox: Any
) -> None:
    message = Message("text", title="即将执行 清理", text="即将执行 清理,请审核！")
    post(None, lane=Delivery.Lane.APPROVAL, message=message)
    fake.plan.append(Refused("企业微信拒绝：60020", code="60020"))
    deliver()
    by_receiver = {mail.to[0]: mail for mail in mailoutbox}
    assert by_receiver["lisi@example.com"].subject == "即将执行 清理"
    assert "60020" in by_receiver["boss@example.com"].body
