"""Cards from the ask to the end, through the real transport, on the phones of the simulated corp."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta.models import Business, Execution, Host, Package, PackageVersion, Person
from notify import outbox
from notify.delivery import DeliveryKind
from notify.message import Message
from notify.models import Delivery, DeliveryAttempt
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import age, ask, held, policy, send_all
from tests.wechat.conftest import Corp
from tests.wechat.delivering import send
from wechat.models import CardCopy
from wechat.simulator.state import Card, Json

pytestmark = pytest.mark.django_db

SCRIPT = [
    {
        "id": 1,
        "name": "清理日志",
        "type": "script",
        "policy": "once",
        "params": {"script": "find ${params.dir} -name '*.log' -delete ${node.1.stdout}"},
        "next": {},
    }
]


@pytest.fixture
def two(game: Business) -> list[Person]:
    return [factories.person(name, "operator", businesses=(game,)) for name in ("lisi", "wangwu")]


def cards(corp: Corp, userid: str) -> list[Card]:
    return [bubble.card for bubble in corp.inbox(userid) if bubble.card]


def body(corp: Corp, userid: str = "lisi") -> Json:
    return cards(corp, userid)[-1].body


def rich() -> Execution:
    """An execution with everything that evidence is about."""
    owner = factories.person("owner")
    host = factories.host(operators=[owner])
    package = factories.package(
        nodes=SCRIPT, parameters=[{"name": "dir", "label": "目录", "type": "string", "default": "/data"}], risk="medium"
    )
    for state in ("failed", "succeeded", "failed", "unknown", "succeeded", "succeeded"):
        factories.execution(package=package, host=host, state=state, ended_at=timezone.now())
    return held(incident=None)


def end_by_decision(approval: Approval) -> str:
    person = Person.objects.get(wecom_userid="lisi")
    services.decide(approval.pk, person.user, "refuse", "", "reply", timezone.now())
    return "lisi 已在"


def end_by_expiry(approval: Approval) -> str:
    age(approval)
    services.expire(approval.pk, timezone.now())
    return "已过期"


def end_by_withdrawal(approval: Approval) -> str:
    assert approval.execution is not None
    services.withdraw(approval.execution, "已停止", timezone.now())
    return "已取消"


def end_by_supersession(approval: Approval) -> str:
    assert approval.execution is not None
    services.supersede(approval.execution, "计划变了", timezone.now())
    return "已作废"


ENDS = [end_by_decision, end_by_expiry, end_by_withdrawal, end_by_supersession]


@pytest.mark.parametrize("end", ENDS)
def test_it_closes_the_card_of_everybody_however_it_ends(
    corp: Corp, default_policy: Policy, two: list[Person], end: Callable[[Approval], str]
) -> None:
    approval = ask()
    send_all()
    assert [len(cards(corp, person.wecom_userid)) for person in two] == [1, 1]
    words = end(approval)
    send_all()
    for person in two:
        (card,) = cards(corp, person.wecom_userid)
        assert card.locked
        assert words in card.body["main_title"]["desc"]
        assert "button_list" not in card.body
    update = Delivery.objects.get(payload__message__form="card_update")
    assert (update.state, update.last_error) == ("sent", "")


@pytest.mark.parametrize("end", ENDS)
def test_it_asks_nobody_any_more_when_it_has_ended_before_it_was_sent(
    corp: Corp, default_policy: Policy, two: list[Person], end: Callable[[Approval], str]
) -> None:
    approval = ask()
    end(approval)
    send_all()
    assert [corp.inbox(person.wecom_userid) for person in two] == [[], []]
    rows = Delivery.objects.filter(event="approval.asked")
    assert set(rows.values_list("state", "last_error", "sent_at")) == {("sent", "发送前审批已有结果，未发送。", None)}
    assert not Delivery.objects.filter(payload__message__form="card_update").exists()


@pytest.mark.parametrize("arrives", [True, False])
def test_it_closes_a_card_that_is_sent_while_the_approval_ends(
    corp: Corp, default_policy: Policy, two: list[Person], arrives: bool
) -> None:
    approval = ask()
    card = Delivery.objects.get(payload__message__form="approval_card")
    Delivery.objects.exclude(pk=card.pk).delete()
    Delivery.objects.filter(pk=card.pk).update(state="sending", lease_until=timezone.now() + timedelta(minutes=1))
    DeliveryAttempt.objects.create(delivery=card, number=1, started_at=timezone.now())
    end_by_decision(approval)
    update = Delivery.objects.get(payload__message__form="card_update")
    later = outbox.post(
        dedup_key="k", kind="wecom_app", event="x", message=Message("text", text="x"), now=timezone.now()
    )
    assert later is not None
    DeliveryKind().do(update.pk)  # the card is still on its way
    update.refresh_from_db()
    later.refresh_from_db()
    assert (update.state, update.attempts, later.not_before) == ("pending", 0, None)

    if arrives:
        send(card)
    ended = {"state": "sent", "sent_at": timezone.now()} if arrives else {"state": "pending"}
    Delivery.objects.filter(pk=card.pk).update(lease_until=None, **ended)
    Delivery.objects.update(not_before=None)
    for row in (card, update):  # what is tried again asks nobody any more
        DeliveryKind().do(row.pk)
    for person in two:
        assert [bubble.locked for bubble in cards(corp, person.wecom_userid)] == ([True] if arrives else [])
        assert len(corp.inbox(person.wecom_userid)) == int(arrives)
    update.refresh_from_db()
    assert (update.state, update.last_error) == ("sent", "")


def test_it_sends_a_card_of_its_own_to_each_thousand(
    corp: Corp, default_policy: Policy, two: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.messages.MOST_READERS", 1)
    approval = ask()
    send_all()
    end_by_decision(approval)
    send_all()
    for person in two:
        assert [card.locked for card in cards(corp, person.wecom_userid)] == [True]
    assert CardCopy.objects.count() == 2


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("lost", ["late", "used"])
def test_it_says_by_message_what_a_card_cannot_show_any_more(
    corp: Corp, default_policy: Policy, two: list[Person], end: Callable[[Approval], str], lost: str
) -> None:
    approval = ask()
    send_all()
    if lost == "late":
        CardCopy.objects.update(issued_at=timezone.now() - timedelta(hours=72, seconds=1))
    else:
        for right in corp.world.response_codes.values():
            right.used = True
    words = end(approval)
    send_all()
    for person in two:
        assert words in corp.texts(person.wecom_userid)[-1]
    assert "改发消息" in Delivery.objects.get(payload__message__form="card_update").last_error


def test_it_closes_the_card_of_whoever_gave_the_turn_to_somebody_without_wecom(
    corp: Corp, default_policy: Policy, operator: Person
) -> None:
    desk = factories.person("desk", wecom="")
    approval = ask()
    services.hand_over(approval.pk, operator.user, desk, timezone.now())
    send_all()
    services.decide(approval.pk, desk.user, "approve", "", "web", timezone.now())
    send_all()
    (card,) = [bubble.card for bubble in corp.inbox("lisi") if bubble.card]
    assert card.locked
    assert "desk 已在" in card.body["main_title"]["desc"]


def test_it_closes_the_cards_of_every_stage_escalation_and_turn(corp: Corp, game: Business) -> None:
    for name in ("lisi", "wangwu"):
        factories.person(name, "operator", businesses=(game,))
    zhao, admin = factories.person("zhaoliu"), factories.person("admin_wx")
    policy(on_expiry="escalate", escalate_to=[{"person": "admin_wx"}])
    approval = ask()
    services.hand_over(approval.pk, Person.objects.get(wecom_userid="wangwu").user, zhao, timezone.now())
    services.expire(age(approval).pk, timezone.now())
    send_all()
    services.decide(approval.pk, admin.user, "approve", "", "card", timezone.now())
    send_all()
    for userid in ("lisi", "wangwu", "zhaoliu", "admin_wx"):
        assert all(card.locked and "admin_wx 已在" in card.body["main_title"]["desc"] for card in cards(corp, userid))
        assert cards(corp, userid)


def test_it_says_each_thing_once_on_the_card(corp: Corp, default_policy: Policy, two: list[Person]) -> None:
    approval = ask(rich())
    send_all()
    card = body(corp)
    title, below = card["main_title"]["title"], card["sub_title_text"]
    assert title == "clean-disk（127.0.0.10，disk_full）"
    assert title not in below
    assert below.split("\n")[:2] == [f"编号 {approval.code}，计划 {approval.plan_sha256[:8]}", "规则为审批模式"]
    assert [button["text"] for button in card["button_list"]] == ["驳回", "同意", "详情"]
    assert card["button_list"][2]["url"] == card["card_action"]["url"]  # one way to the page, wherever it is tapped
    assert requests.get(corp.base, timeout=5).text.count(">详情<") == 1  # and the phone shows it once


def test_it_shows_the_evidence_on_card_phone_and_desk(corp: Corp, default_policy: Policy, two: list[Person]) -> None:
    approval = ask(rich())
    send_all()
    card = body(corp)
    rows = {row["keyname"]: row["value"] for row in card["horizontal_content_list"]}
    assert rows["告警"] == "disk_full /data 98%"
    assert rows["对象"] == "local-1，负责人 owner"
    assert rows["将执行"] == "清理日志"
    assert rows["风险"] == "中风险，共 1 台"
    assert rows["最近五次"] == "3 次成功，1 次失败，1 次结果未知"
    assert "过期，视为驳回，不执行" in rows["无人回答"]
    assert "find /data -name '*.log' -delete" in card["sub_title_text"]

    web = doors.enter_todo(corp, "lisi").get(f"/approvals/{approval.pk}/").content.decode()
    phone = doors.enter_todo(corp, "lisi").get(f"/wechat/todo/{approval.pk}/").content.decode()
    shared = (
        "find /data -name",
        "127.0.0.10",
        "local-1",
        "owner",
        "/data 98%",
        "1 台",
        "过期，视为驳回",
        "clean-disk v1",
        "lisi、wangwu",
        "任一人决定即可",
    )
    for page in (web, phone):
        for part in (*shared, approval.plan_sha256[:8], "规则为审批模式", "此套餐在此主机最近五次"):
            assert part in page, part
        last = page.split('class="f-last5"')[1].split("</div>")[0]
        assert last.count("<span") == 5
        assert "中风险" in page

    said = doors.reply_as("lisi", f"详情 {approval.code}")
    for part in (
        *("告警：disk_full /data 98%", "主机：local-1 127.0.0.10", "find /data -name", "风险：中风险", "涉及：1 台"),
        *("最近五次：3 次成功，1 次失败，1 次结果未知", "过期，视为驳回", "原因：规则为审批模式"),
        f"计划摘要：{approval.plan_sha256[:8]}",
    ):
        assert part in said, part


def test_it_shows_of_another_systems_question_only_what_there_is(corp: Corp, two: list[Person]) -> None:
    approval = services.open_external(code="CHG-9", message="发布 9", verifiers=["lisi"], now=timezone.now())
    send_all()
    rows = {row["keyname"]: row["value"] for row in body(corp)["horizontal_content_list"]}
    assert list(rows) == ["无人回答"]
    for page in (f"/approvals/{approval.pk}/", f"/wechat/todo/{approval.pk}/"):
        assert "没有执行过" not in doors.enter_todo(corp, "lisi").get(page).content.decode()


def test_it_shows_the_incident(corp: Corp, default_policy: Policy, two: list[Person]) -> None:
    now = timezone.now()
    incident = factories.convergence_rule(function="trigger").incident_set.create(
        group_key="g", function="trigger", title="同机同类", opened_at=now, last_joined_at=now, execution_count=7
    )
    approval = ask(held(incident=incident))
    send_all()
    assert f"收敛事件：{incident}，共 7 条" in body(corp)["sub_title_text"]
    for url in (f"/approvals/{approval.pk}/", f"/wechat/todo/{approval.pk}/"):
        page = doors.enter_todo(corp, "lisi").get(url).content.decode()
        assert str(incident) in page
        assert "共 7 条" in page
    assert f"收敛事件：{incident}，共 7 条" in doors.reply_as("lisi", f"详情 {approval.code}")


@pytest.mark.parametrize("door", doors.DOORS)
def test_it_voids_a_yes_to_a_drifted_plan_and_asks_again_with_the_difference(
    corp: Corp, default_policy: Policy, two: list[Person], door: str
) -> None:
    approval = ask(rich())
    send_all()
    package = Package.objects.get(key="clean-disk")
    changed = [{**SCRIPT[0], "params": {"script": "rm -rf ${params.dir}"}}]
    assert package.current is not None
    package.current = PackageVersion.objects.create(
        package=package,
        number=2,
        nodes=changed,
        parameters=package.current.parameters,
        sha256="1" * 64,
        author="tester",
    )
    package.save()

    said = doors.DOORS[door](corp, two[0], approval, "approve")

    assert "v1 → v2" in said
    again = Approval.objects.get(first_code=approval.code, state="pending")
    assert Approval.objects.get(pk=approval.pk).state == "superseded"
    assert again.round == 2
    Delivery.objects.update(not_before=None)
    send_all()
    old, new = cards(corp, "lisi")
    assert old.locked
    assert "已作废" in old.body["main_title"]["desc"]
    assert "计划变了：" in new.body["sub_title_text"]
    assert "v1 → v2" in new.body["sub_title_text"]
    assert "rm -rf /data" in new.body["sub_title_text"]
    for url in (f"/approvals/{again.pk}/", f"/wechat/todo/{again.pk}/"):
        page = doors.enter_todo(corp, "lisi").get(url).content.decode()
        assert "v1 → v2" in page
        assert "rm -rf /data" in page
    # The old card's button answers the old question, which is void; the new one's decides.
    assert f"已重新审批，新的编号是 {again.code}" in doors.press_as("lisi", f"approve:{approval.pk}")
    assert "审批成功" in doors.press_as("lisi", f"approve:{again.pk}")


def test_it_voids_a_yes_when_the_host_was_pointed_elsewhere(
    corp: Corp, default_policy: Policy, two: list[Person]
) -> None:
    approval = ask()
    Host.objects.update(connection="local")
    assert "计划变了" in doors.press_as("lisi", f"approve:{approval.pk}")
    assert Approval.objects.filter(code=f"{approval.code}_2", state="pending", round=2).exists()
