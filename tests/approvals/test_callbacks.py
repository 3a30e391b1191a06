"""What the system that asked is told: a signed request to its callback address, tried again like any delivery."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta.models import AuditEntry, Person
from notify.models import Delivery, GroupClock
from notify.transports.webhook import sign
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import age, ask, held, send_all
from tests.notify.test_transports import Sink
from tests.wechat.conftest import Corp
from wechat.models import WecomApp

pytestmark = pytest.mark.django_db
TOKEN = "create-approve-token"
CJK = [chr(0x4E00 + number) for number in range(1000)]


@pytest.fixture
def approval(corp: Corp, operator: Person, sink: Sink, settings: Any) -> Approval:
    settings.FTA_HTTP_ALLOW = ["127.0.0.0/8"]
    return asked(sink)


def asked(sink: Sink, code: str = "CHG-1") -> Approval:
    body = {
        "message": "发布 3307 灰度到 30%", "verifier": "lisi", "obj_id": code,
        "callback_url": f"http://127.0.0.1:{sink.server_port}/done?id=1",
    }  # fmt: skip
    made = Client().post("/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": TOKEN})
    return Approval.objects.get(pk=made.json()["data"]["approve_id"])


def told(sink: Sink) -> list[dict[str, Any]]:
    for headers, body in sink.got:
        assert headers["x-fta-signature"] == sign(TOKEN, headers["x-fta-timestamp"], body)
    return [json.loads(body)["data"] for _headers, body in sink.got]


def test_it_calls_back_signed_with_the_callers_token(approval: Approval, sink: Sink) -> None:
    assert "审批成功" in doors.reply_as("lisi", "TY chg-1 可以")
    send_all()
    (data,) = told(sink)
    assert (data["obj_id"], data["approve_id"], data["status"]) == ("CHG-1", approval.pk, "approved")
    assert (data["approved"], data["approver"], data["comment"]) == (True, "lisi", "同意（微信审批）：可以")
    row = Delivery.objects.get(kind="webhook")
    assert row.state == "sent"
    assert TOKEN not in row.tries.get().request


@pytest.mark.parametrize("end", ["refused", "expired", "cancelled"])
def test_it_calls_back_however_it_ends_once(approval: Approval, operator: Person, sink: Sink, end: str) -> None:
    if end == "refused":
        services.decide(approval.pk, operator.user, "refuse", "", "card", timezone.now())
    elif end == "expired":
        services.expire(age(approval).pk, timezone.now())
    else:
        services.cancel(approval.pk, "system", "不用了", timezone.now())
    send_all()
    send_all()
    (data,) = told(sink)
    assert (data["status"], data["approved"]) == (end, False)


def test_it_tries_again_with_the_same_key(approval: Approval, operator: Person, sink: Sink) -> None:
    sink.status = 503
    services.decide(approval.pk, operator.user, "approve", "", "card", timezone.now())
    send_all()
    assert Delivery.objects.get(kind="webhook").state == "pending"
    sink.status = 200
    Delivery.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    send_all()
    assert Delivery.objects.get(kind="webhook").state == "sent"
    assert len({headers["idempotency-key"] for headers, _body in sink.got}) == 1
    assert len(told(sink)) == 2


def test_it_sends_nothing_unsigned(approval: Approval, operator: Person, sink: Sink) -> None:
    WecomApp.objects.update(api_token="")
    services.decide(approval.pk, operator.user, "approve", "", "card", timezone.now())
    send_all()
    row = Delivery.objects.get(kind="webhook")
    assert (row.state, sink.got) == ("failed", [])
    assert "TOKEN" in row.remedy


@pytest.mark.parametrize("token", ["", "wrong", TOKEN.upper()])
def test_it_opens_nothing_without_the_token(corp: Corp, operator: Person, sink: Sink, token: str) -> None:
    body = {"message": "x", "verifier": "lisi", "obj_id": "CHG-2"}
    for configured in (TOKEN, ""):
        WecomApp.objects.update(api_token=configured)
        answer = Client().post(
            "/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": token}
        )
        assert (answer.status_code, answer.json()["message"]) == (401, "token不正确")
    assert not Approval.objects.exists()


def test_it_refuses_another_question_under_a_code_that_waits(approval: Approval, sink: Sink) -> None:
    factories.person("wangwu")
    body = {"message": "别的", "verifier": "wangwu", "obj_id": "CHG-1"}
    answer = Client().post("/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": TOKEN})
    assert (answer.status_code, answer.json()["result"]) == (409, False)
    assert asked(sink).pk == approval.pk  # the same question is the same approval


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"message": ["a"]}, "message"),
        ({"message": {"a": 1}}, "message"),
        ({"verifier": {"a": 1}}, "verifier"),
        ({"verifier": [None]}, "verifier"),
        ({"verifier": [["lisi"]]}, "verifier"),
        ({"obj_id": True}, "obj_id"),
    ],
)
def test_it_names_the_field_that_is_no_text(app: WecomApp, changes: dict[str, Any], field: str) -> None:
    factories.person("lisi")
    body = {"message": "发布", "verifier": "lisi", "obj_id": "CHG-2"} | changes
    WecomApp.objects.update(api_token=TOKEN)
    answer = Client().post("/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": TOKEN})
    assert (answer.status_code, f"【{field}】" in answer.json()["message"]) == (400, True)
    raw = '{"message": "a", "verifier": "\\ud800", "obj_id": "CHG-2"}'
    answer = Client().post("/wechat/create_approve/", raw, content_type="application/json", headers={"TOKEN": TOKEN})
    assert answer.status_code == 400
    assert not Approval.objects.exists()


def post(**changes: Any) -> Any:
    body = {"message": "发布", "verifier": "lisi", "obj_id": "CHG-2"} | changes
    return Client().post("/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": TOKEN})


@pytest.mark.parametrize("message", ["发布 3307\n灰度", "发布  3307", "发布\u200b 3307 ", "长" * 500])
def test_it_takes_the_same_question_again(app: WecomApp, operator: Person, message: str) -> None:
    first, again = post(message=message), post(message=message)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["data"] == again.json()["data"]
    assert Delivery.objects.filter(payload__message__form="text").count() == 1
    assert post(message=message[:-2]).status_code == 409


def test_it_cuts_no_question(app: WecomApp, operator: Person) -> None:
    refused = post(message="长" * 2001)
    assert (refused.status_code, Approval.objects.exists()) == (400, False)
    assert refused.json()["message"] == "字段【message】为空或不合法：最多 2000 个字，收到 2001 个。"
    post(message="长" * 2000, obj_id="A" * 64)
    (text,) = (row.payload["message"]["text"] for row in Delivery.objects.filter(payload__message__form="text"))
    assert f"即将执行 {'长' * 2000},请审核" in text
    assert len(text.encode()) <= 4 * 2048  # it is sent whole


def test_it_asks_nobody_unknown(app: WecomApp, operator: Person, approval_admin: Person) -> None:
    assert post(verifier="nobody,ghost").status_code == 400
    assert not Approval.objects.exists()
    assert (
        post(verifier="nobody,ghost").json()["message"] == "字段【verifier】为空或不合法：没有这些人员：nobody、ghost。"
    )
    assert post(verifier="nobody,lisi").status_code == 200


def test_it_asks_along_whom_a_repeat_names_besides(app: WecomApp, operator: Person, stranger: Person) -> None:
    other = factories.person("wangwu")
    pk = post().json()["data"]["approve_id"]
    services.hand_over(pk, operator.user, stranger, timezone.now())
    for _time in range(2):
        assert post(verifier="lisi,wangwu").json()["data"]["approve_id"] == pk
    cards = Delivery.objects.filter(payload__message__form="approval_card").order_by("id")
    assert [row.recipients for row in cards] == [["lisi"], ["stranger"], ["wangwu"]]
    rows = AuditEntry.objects.filter(verb="approval.ask", actor="api:create_approve").order_by("id")
    assert [row.data["asked"] for row in rows] == [["lisi"], ["wangwu"]]
    assert services.decide(pk, other.user, "approve", "", "card", timezone.now()).state == "approved"


def test_it_looks_for_a_thousand_people_at_once(app: WecomApp, operator: Person) -> None:
    def statements(**changes: Any) -> tuple[int, int]:
        GroupClock.objects.all().delete()  # nobody was asked a moment ago
        with CaptureQueriesContext(connection) as asked:
            return post(**changes).status_code, len(asked)

    few, many = ",".join(CJK[:2]), ",".join(CJK)  # one character each: a list may be of 2,000
    assert statements(verifier=few) == statements(verifier=many)
    known = statements(verifier=f"lisi,{few}", obj_id="CHG-3")
    assert known == statements(verifier=f"lisi,{many[:1990]}", obj_id="CHG-4")
    assert (statements(verifier=many)[0], known[0]) == (400, 200)


def test_it_asks_by_account_before_name(app: WecomApp, operator: Person) -> None:
    factories.person("Wang", wecom="other")
    factories.person("second", wecom="wang")
    post(verifier="lisi, Wang，other,wang", obj_id="CHG-5")
    approval = Approval.objects.get(code="CHG-5")
    assert set(approval.asked.values_list("user__username", flat=True)) == {"lisi", "second", "Wang"}


def test_a_code_belongs_to_the_portal_or_to_another_system(
    app: WecomApp, operator: Person, default_policy: Policy
) -> None:
    execution = held()
    plain = f"{execution.pk}_0"
    theirs = Approval.objects.get(pk=post(obj_id=plain).json()["data"]["approve_id"])
    ours = ask(execution)
    again = ask(execution)
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert (theirs.code, theirs.state, ours.state) == (plain, "pending", "superseded")
    assert (again.code, again.state) == (f"F{plain}_2", "pending")
    assert "审批成功" in doors.reply_as("lisi", f"BH {again.code}")
    assert "审批成功" in doors.reply_as("lisi", f"ty {plain}")
    states = Approval.objects.in_bulk([theirs.pk, again.pk])
    assert (states[theirs.pk].state, states[again.pk].state) == ("approved", "refused")

    asked_here = ask(held(ip="127.0.0.11"))
    services.decide(asked_here.pk, operator.user, "refuse", "", "card", timezone.now())
    answer = post(obj_id=asked_here.code)
    assert (answer.status_code, "换一个" in answer.json()["message"]) == (409, True)


def test_codes_that_differ_in_case_alone_do_not_wait_together(app: WecomApp, operator: Person) -> None:
    first = Approval.objects.get(pk=post(obj_id="CHG-1a").json()["data"]["approve_id"])
    answer = post(obj_id="CHG-1A")
    assert (answer.status_code, "CHG-1a" in answer.json()["message"]) == (409, True)
    assert "审批成功" in doors.reply_as("lisi", "TY chg-1A")
    post(obj_id="CHG-1A")
    assert "lisi 已在" in doors.reply_as("lisi", "TY CHG-1a")  # the one that it names, though another waits
    assert "CHG-1a" in doors.reply_as("lisi", f"详情 {first.code}")
    assert Approval.objects.get(code="CHG-1A").state == "pending"
