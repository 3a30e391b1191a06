"""What the system that asked is told: a signed request to its callback address, tried again like any delivery."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.models import Approval
from fta.models import Person
from notify.models import Delivery
from notify.transports.webhook import sign
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import age, send_all
from tests.notify.test_transports import Sink
from tests.wechat.conftest import Corp
from wechat.models import WecomApp

pytestmark = pytest.mark.django_db
TOKEN = "create-approve-token"


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
