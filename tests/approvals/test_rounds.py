"""A question that is asked again is another question: it has a code of its own, and an answer to the old one decides nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta.models import Execution, Host, Person
from notify.models import Delivery
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import ask, held, refused, say
from tests.approvals.test_callbacks import TOKEN
from tests.approvals.test_pages import KEY
from wechat.models import WecomApp

pytestmark = pytest.mark.django_db


@pytest.fixture
def rounds(app: WecomApp, default_policy: Policy, operator: Person, other: Person) -> tuple[Approval, Approval]:
    """Two rounds of one gate: somebody's yes found that the plan had changed."""
    first = ask()
    Host.objects.update(connection="local")
    assert "计划变了" in doors.reply_as("wangwu", f"TY {first.code}")
    return first, Approval.objects.get(state="pending")


@pytest.fixture
def other() -> Person:
    return factories.person("wangwu", "operator", businesses=(factories.business(),))


@pytest.mark.parametrize("text", ["TY {first}", "BH {first}", "ty　{first} 已看", "TY", "同意", "TY {first}\n"])
def test_whoever_read_the_old_question_does_not_decide_the_new_one(rounds: Any, text: str) -> None:
    first, second = rounds
    said = doors.reply_as("lisi", text.format(first=first.code))
    assert said.startswith("【故障自愈】审批失败：")
    assert "重新审批" in said
    assert said.endswith(f"同意请回复：TY {second.code}\n驳回请回复：BH {second.code}")
    second.refresh_from_db()
    assert (second.code, second.state) == (f"{first.code}_2", "pending")
    assert refused(second) == []


@pytest.mark.parametrize(
    ("seconds", "text", "decided"),
    [(5, "TY {first}", True), (5, "TY", True), (-5, "TY {first}", False), (-5, "TY", False)],
)
def test_the_old_code_counts_once_the_new_question_lay_before_its_reader(
    rounds: Any, seconds: int, text: str, decided: bool
) -> None:
    first, second = rounds
    card = Delivery.objects.filter(approval_ref=second.pk, payload__message__form="approval_card")
    card.update(state="sent", sent_at=timezone.now() - timedelta(seconds=seconds))
    said = doors.reply_as("lisi", text.format(first=first.code))
    second.refresh_from_db()
    assert (said == "【故障自愈】审批成功", second.state == "approved") == (decided, decided)


def test_the_new_code_decides_the_new_question(rounds: Any) -> None:
    first, second = rounds
    asked = Delivery.objects.filter(approval_ref=second.pk, payload__message__form="approval_card")
    assert [f"编号 {second.code}" in row.payload["message"]["text"] for row in asked] == [True]
    assert f"{second.code}　" in doors.reply_as("lisi", "待办")
    assert f"已重新审批：{second.code}" in doors.reply_as("lisi", f"详情 {first.code}")
    execution, _underscore, rest = second.code.partition("_")
    torn = f"ＴＹ {execution} ＿ {rest.replace('_', ' _ ')}"
    assert doors.reply_as("lisi", torn) == "【故障自愈】审批成功"
    late = doors.reply_as("wangwu", f"TY {first.code}")
    assert f"{first.code} 已重新审批，新的编号是 {second.code}：lisi 已在" in late
    assert refused(first) == ["plan_changed", "asked_again"]


def test_the_answer_that_found_the_change_is_told_the_new_code(
    app: WecomApp, default_policy: Policy, operator: Person
) -> None:
    first = ask()
    Host.objects.update(connection="local")
    assert doors.reply_as("lisi", "TY").endswith(f"同意请回复：TY {first.code}_2\n驳回请回复：BH {first.code}_2")


def test_a_late_yes_does_not_approve_a_retry(app: WecomApp, default_policy: Policy, operator: Person) -> None:
    execution = held()
    first = ask(execution)
    say(first, operator)
    again = ask(Execution.objects.get(pk=execution.pk))
    assert "已重新审批" in doors.reply_as("lisi", f"TY {first.code}")
    again.refresh_from_db()
    assert again.state == "pending"


def test_another_system_that_asks_again_by_the_same_id_gets_another_code(app: WecomApp, operator: Person) -> None:
    asked = [_external("CHG-1", f"发布 {number}") for number in range(2)]
    assert [row.code for row in asked] == ["CHG-1", "CHG-1_2"]
    assert asked[1].external_ref == "CHG-1"
    assert "已重新审批，新的编号是 CHG-1_2" in doors.reply_as("lisi", "TY chg-1")
    assert _external("CHG-1", "发布 1", end=False) == asked[1], "the same question while it waits"
    for taken in ("CHG-1_2", "chg-1"):
        answer = _create(taken, "发布 1")
        assert (answer.status_code, "CHG-1_2" in answer.json()["message"]) == (409, True)
    assert doors.reply_as("lisi", "TY chg-1_2") == "【故障自愈】审批成功"
    assert [_external(code, "又一次").code for code in ("CHG-1_2", "CHG-1")] == ["CHG-1_2_2", "CHG-1_3"]


def test_a_round_leaves_out_the_code_that_another_system_has(
    app: WecomApp, default_policy: Policy, operator: Person
) -> None:
    execution = held()
    _external(f"{execution.pk}_0_2", "发布")
    codes = [ask(Execution.objects.get(pk=execution.pk)).code for _time in range(2)]
    assert codes == [f"{execution.pk}_0", f"{execution.pk}_0_3"]
    assert _create(codes[1], "发布").status_code == 409


def test_the_api_and_the_page_find_every_round(rounds: Any, operator: Person) -> None:
    first, second = rounds
    factories.api_key(KEY, "operator", factories.business())
    client = Client()
    client.force_login(operator.user)
    for code, found in ((first.code, [second.code, first.code]), (second.code, [second.code]), ("9_9", [])):
        rows = client.get("/api/v1/approvals/", {"code": code}, headers={"Authorization": f"Bearer {KEY}"}).json()[
            "results"
        ]
        assert [row["code"] for row in rows] == found
    page = client.get(reverse("approvals:detail", args=[first.pk])).content.decode()
    assert f">{second.code}</a>" in page


def _create(code: str, message: str) -> Any:
    body = {"message": message, "verifier": "lisi", "obj_id": code}
    return Client().post("/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": TOKEN})


def _external(code: str, message: str, end: bool = True) -> Approval:
    """Ask as another system; what waits by this id is withdrawn first."""
    if end:
        for row in Approval.objects.filter(first_code=code, state="pending"):
            services.cancel(row.pk, "cmdb", "撤回", timezone.now())
    return Approval.objects.get(pk=_create(code, message).json()["data"]["approve_id"])


def test_what_a_process_of_the_release_before_asked_has_its_code_for_that_of_the_first_round(
    app: WecomApp, default_policy: Policy, operator: Person
) -> None:
    asked = [ask(held()) for _time in range(2)]
    Approval.objects.update(first_code=None)  # such a process knows no such column
    for row in asked:
        again = ask(Execution.objects.get(pk=row.execution_id))
        assert (again.code, again.round, again.first_code) == (f"{row.code}_2", 2, row.code)
        row.refresh_from_db()
        assert row.later() == again
    assert f"新的编号是 {asked[0].code}_2" in doors.reply_as("lisi", f"TY {asked[0].code}")
    client = Client()
    client.force_login(operator.user)
    page = client.get(reverse("approvals:detail", args=[asked[0].pk])).content.decode()
    assert (f">{asked[0].code}_2</a>" in page, f">{asked[1].code}_2</a>" in page) == (True, False)
