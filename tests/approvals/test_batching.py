"""Several questions for one person within a minute: one text at once, one for all the others when it is over, a card for each."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta.models import Business, Person
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import ask, held, send_all
from tests.conftest import only_on_postgres
from tests.wechat.conftest import Corp

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    """Let every test begin late in a minute of the clock, which is not the minute that counts."""
    moment = timezone.now().replace(second=50, microsecond=0)
    with time_machine.travel(moment, tick=False):
        yield


def asked(number: int) -> list[Approval]:
    return [ask(held(ip=f"127.0.3.{each + 1}")) for each in range(number)]


def texts() -> list[Delivery]:
    return list(Delivery.objects.filter(payload__message__form="text").order_by("id"))


def said(row: Delivery) -> str:
    return str(row.payload["message"]["text"])


def test_it_sends_the_first_at_once_and_the_others_as_one(default_policy: Policy, operator: Person) -> None:
    approvals = asked(4)

    first, others = texts()
    assert (first.not_before, others.recipients) == (None, ["lisi"])
    assert others.not_before == timezone.now() + timedelta(minutes=1)
    assert said(others).startswith("【故障自愈】3 个审批在等你\n")
    for approval in approvals[1:]:
        fixed = f"同意请回复: TY {approval.code}\n驳回请回复: BH {approval.code}"
        assert f"（127.0.3.{approvals.index(approval) + 1}，disk_full）,请审核！\n{fixed}" in said(others)
    assert approvals[0].code not in said(others)
    assert Delivery.objects.filter(payload__message__form="approval_card", not_before=None).count() == 4


def test_it_leaves_a_single_later_question_to_the_letter(default_policy: Policy, operator: Person) -> None:
    asked(2)
    first, second = texts()
    assert said(second).count("\n") == 2
    assert said(second).startswith("【故障自愈】即将执行 clean-disk（127.0.3.2，disk_full）,请审核！\n")
    assert said(first).startswith("【故障自愈】即将执行 clean-disk（127.0.3.1，disk_full）,请审核！\n")


def test_it_counts_everybody_alone(default_policy: Policy, operator: Person, game: Business) -> None:
    ask(held(ip="127.0.3.1"))
    factories.person("anna", "operator", businesses=(game,))
    ask(held(ip="127.0.3.2"))
    assert [(row.recipients, row.not_before is None) for row in texts()] == [
        (["lisi"], True),
        (["anna"], True),  # asked for the first time: at once
        (["lisi"], False),
    ]


def test_it_gathers_for_a_minute_from_the_first_and_begins_anew(default_policy: Policy, operator: Person) -> None:
    begun = timezone.now()
    for number, seconds in enumerate((0, 11, 20, 59, 60, 61)):
        with time_machine.travel(begun + timedelta(seconds=seconds), tick=False):
            ask(held(ip=f"127.0.3.{number + 1}"))
    minute = begun + timedelta(minutes=1)
    assert [(row.not_before, said(row).count("请审核")) for row in texts()] == [
        (None, 1),
        (minute, 3),
        (None, 1),
        (minute + timedelta(minutes=1), 1),
    ]


def test_it_asks_nobody_what_was_answered_meanwhile(default_policy: Policy, operator: Person) -> None:
    _first, second, third = asked(3)
    services.decide(second.pk, operator.user, "approve", "", "card", timezone.now())
    _told, others = texts()
    assert said(others).count("请审核") == 1
    assert third.code in said(others)

    services.decide(third.pk, operator.user, "refuse", "", "card", timezone.now())
    others.refresh_from_db()
    assert (others.state, others.attempts) == ("sent", 0)
    assert "未发送" in others.last_error


def test_it_begins_another_when_the_text_has_left(default_policy: Policy, operator: Person) -> None:
    asked(2)
    Delivery.objects.filter(dedup_key__startswith="asks:").update(state="sent")
    ask(held(ip="127.0.3.9"))
    assert [row.state for row in texts()] == ["pending", "sent", "pending"]
    assert "127.0.3.9" in said(texts()[-1])


def test_it_reaches_the_phone_as_two_messages(corp: Corp, default_policy: Policy, operator: Person) -> None:
    asked(3)
    Delivery.objects.update(not_before=None)
    send_all()
    first, later = [text for text in corp.texts("lisi") if "请审核" in text]
    assert (first.count("请审核"), later.count("请审核")) == (1, 2)
    assert len([bubble for bubble in corp.inbox("lisi") if bubble.card]) == 3


@pytest.mark.parametrize("does", ["ask", "decide"])
@pytest.mark.django_db(transaction=True)
def test_it_locks_the_texts_that_wait_in_one_order(default_policy: Policy, game: Business, does: str) -> None:
    only_on_postgres("SQLite locks no rows")
    people = {name: factories.person(name, "operator", businesses=(game,)) for name in ("a-b", "a")}
    asked(1)
    for number, each in enumerate(people.values(), 1):  # the text of a-b is the older one, though "a" is before "a-b"
        Policy.objects.update(stages=[{"approvers": [{"person": each.user.get_username()}]}])
        ask(held(ip=f"127.0.4.{number}"))
    Policy.objects.update(stages=[{"approvers": [{"role": "operator"}]}])
    approval = ask(held(ip="127.0.4.200"))
    older, newer = Delivery.objects.filter(dedup_key__startswith="asks:").order_by("id")
    later = held(ip="127.0.4.201")

    def work() -> None:
        if does == "ask":
            ask(later)
        else:
            services.decide(approval.pk, people["a"].user, "approve", "", "card", timezone.now())
        connection.close()

    thread = threading.Thread(target=work)
    with transaction.atomic():
        rows = Delivery.objects.select_for_update(nowait=True)
        assert rows.get(pk=older.pk)
        thread.start()
        while not _somebody_waits():
            thread.join(0.01)
        assert rows.get(pk=newer.pk)  # nobody holds it who waits for the older one
    thread.join()
    newer.refresh_from_db()
    assert said(newer).count("请审核") == (3 if does == "ask" else 1)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
