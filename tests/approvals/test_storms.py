"""A storm that a defence holds back: every execution its own approval, and few messages about all of them."""

from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from approvals.services import ApprovalKind
from fta.models import Business, Incident, Person
from notify.models import Delivery
from tests import factories
from tests.approvals.conftest import age, ask, held

pytestmark = pytest.mark.django_db


def held_back(storm: Incident, number: int) -> list[Approval]:
    return [ask(held(ip=f"127.0.2.{each + 1}", incident=storm)) for each in range(number)]


def posted(event: str = "approval.asked") -> QuerySet[Delivery]:
    return Delivery.objects.filter(event=event).order_by("id")


def said(row: Delivery) -> str:
    return str(row.payload["message"]["text"])


def test_it_sends_one_message_and_one_update(default_policy: Policy, operator: Person, storm: Incident) -> None:
    held_back(storm, 4)

    first, update = posted()
    assert Approval.objects.filter(state="pending", incident=storm).count() == 4
    for words in ("1 条待审批，收敛事件共 21 条", "类型：disk_full", "主机：127.0.2.1", "套餐：clean-disk（低风险）"):
        assert words in said(first)
    assert first.payload["message"]["url"].endswith("/wechat/todo/")
    assert "4 条待审批" in said(update)  # it waits, and tells the latest count
    assert update.not_before == storm.opened_at + timedelta(minutes=5)
    assert first.recipients == update.recipients == ["lisi"]


def test_it_lets_the_update_tell_of_what_is_left(default_policy: Policy, operator: Person, storm: Incident) -> None:
    approvals = held_back(storm, 3)
    first, update = posted()
    Delivery.objects.filter(pk=first.pk).update(state="sent")

    services.decide(approvals[0].pk, operator.user, "refuse", "", "web", timezone.now())
    update.refresh_from_db()
    assert (update.state, "2 条待审批" in said(update)) == ("pending", True)

    listed = [(approval.pk, approval.plan_sha256) for approval in approvals[1:]]
    assert services.decide_each(listed, operator.user, "refuse", "", "web", timezone.now()) == ["", ""]
    update.refresh_from_db()
    assert (update.state, update.last_error) == ("sent", "发送前审批已有结果，未发送。")


@pytest.mark.parametrize("left", [True, False])
def test_it_tells_of_those_that_join_after_the_update(
    default_policy: Policy, operator: Person, storm: Incident, left: bool
) -> None:
    approvals = held_back(storm, 2)
    first, update = posted()
    sent_at = timezone.now()
    if left:  # the engine lags behind: the alerts that come now were received before
        posted().update(state="sent", sent_at=sent_at)
    else:
        Delivery.objects.filter(pk=first.pk).update(state="sent", sent_at=sent_at)
        for approval in approvals:
            services.decide(approval.pk, operator.user, "refuse", "", "web", timezone.now())
    joined = [ask(held(ip=f"127.0.3.{each}", incident=storm)) for each in (1, 2)]

    (extra,) = posted().exclude(pk__in=[first.pk, update.pk])  # one for all of them
    waiting = Approval.objects.filter(state="pending").count()
    assert (extra.state, extra.recipients, extra.approval_ref) == ("pending", ["lisi"], joined[0].pk)
    assert f"{waiting} 条待审批" in said(extra)
    later = sent_at + timedelta(minutes=5)
    assert extra.not_before == max(later, storm.opened_at + timedelta(minutes=5))


def test_it_reminds_once_of_all(default_policy: Policy, operator: Person, storm: Incident) -> None:
    for approval in held_back(storm, 3):
        age(approval, remind_at=timezone.now() - timedelta(seconds=1))
    kind = ApprovalKind()
    for pk in kind.due(10, timezone.now()):
        kind.do(pk)

    reminders = posted("approval.reminded")
    assert [row.kind for row in reminders] == ["wecom_app", "email"]
    assert "3 条待审批" in said(reminders[0])
    assert kind.due(10, timezone.now()) == []


def test_it_mails_those_who_have_no_wecom_account(default_policy: Policy, game: Business, storm: Incident) -> None:
    factories.person("desk", "operator", businesses=(game,), wecom="")
    held_back(storm, 2)
    assert [(row.kind, row.recipients) for row in posted()] == [("email", ["desk@example.com"])] * 2


# --- the list on the phone ---


def todo(person: Person, **filters: str) -> str:
    client = Client()
    client.force_login(person.user)
    return client.get("/wechat/todo/", filters).content.decode()


def test_it_stands_on_the_list_as_one_thing_and_hides_nothing_else(
    default_policy: Policy, operator: Person, storm: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wechat.selectors.LISTED", 2)
    approvals = held_back(storm, 3)
    single = age(ask(held(ip="127.0.2.9")), expires_at=approvals[-1].expires_at + timedelta(minutes=5))

    page = todo(operator)
    assert "<b>21</b><span>条告警" in page
    assert "<b>2</b><span>个等你决定" in page
    assert f'href="/incidents/{storm.pk}/"' in page
    assert [f'value="{each.pk}:' in page for each in (*approvals, single)] == [True, True, False, True]
    assert "另有 1 个没有列在这里" in page


def test_it_links_no_page_that_the_reader_may_not_open(
    default_policy: Policy, approval_admin: Person, operator: Person, storm: Incident
) -> None:
    held_back(storm, 1)
    page = todo(approval_admin)
    assert "<b>1</b><span>个等你决定" in page
    assert "/incidents/" not in page


def test_it_calls_only_a_defence_a_defence(default_policy: Policy, operator: Person, storm: Incident) -> None:
    Incident.objects.update(function="trigger")
    storm.refresh_from_db()
    held_back(storm, 1)
    page = todo(operator)
    assert f"收敛事件 · {storm} · 1 个" in page
    assert "异常防御" not in page


def test_it_filters_the_list(default_policy: Policy, operator: Person) -> None:
    approval = ask(held())
    assert approval.code in todo(operator, kind="gate", risk="low")
    for filters in ({"kind": "external"}, {"risk": "high"}):
        page = todo(operator, **filters)
        assert approval.code not in page
        assert "没有符合的审批" in page
    assert "已按 1 项筛选" in todo(operator, kind="external")
