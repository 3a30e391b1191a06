"""The todo page of one approval: an answer that cannot be read, and handing it to somebody else."""

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Asked, Decision, Policy
from fta.models import AuditEntry, Incident, Person
from tests.approvals.conftest import ask, default_policy, held, storm
from tests.wechat.conftest import external
from wechat.models import WecomApp

__all__ = ["default_policy", "storm"]  # fixtures


@pytest.mark.parametrize(
    ("said", "why"),
    [({"answer": "approve", "comment": "看" * 501}, "500"), ({"answer": "perhaps", "comment": "看"}, "perhaps")],
)
def test_it_says_why_an_answer_was_not_taken_and_keeps_the_comment(
    client: Client, operator: Person, approval: Approval, said: dict[str, str], why: str
) -> None:
    client.force_login(operator.user)
    page = client.post(f"/wechat/todo/{approval.pk}/", said).content.decode()
    assert "没有决定：" in page
    assert why in page.partition("没有决定：")[2][:80]
    assert f'value="{said["comment"]}"' in page
    approval.refresh_from_db()
    assert (approval.state, Decision.objects.count()) == ("pending", 0)


def test_it_hands_an_approval_on(client: Client, operator: Person, approver: Person, approval: Approval) -> None:
    client.force_login(operator.user)
    for to, said in (("ghost", "没有使用这个企业微信账号的人员"), ("", "没有使用"), ("wangwu", "已转交给 wangwu")):
        page = client.post(f"/wechat/todo/{approval.pk}/hand-over/", {"to": to}, follow=True).content.decode()
        assert said in page
    assert Asked.objects.get().user == approver.user
    assert AuditEntry.objects.filter(verb="approval.hand_over", actor="lisi").count() == 1


def test_a_stranger_who_comes_back_from_nowhere_leaves_no_session(client: Client, app: WecomApp) -> None:
    assert client.get("/wechat/oauth/?state=x&code=y").status_code == 403
    assert not Session.objects.exists()


@pytest.mark.parametrize("tab", ["mine", "decided", "ended"])
def test_the_list_costs_as_many_statements_for_twenty_as_for_five(
    client: Client, operator: Person, default_policy: Policy, storm: Incident, tab: str
) -> None:
    client.force_login(operator.user)
    client.get("/wechat/todo/")  # what a process asks once

    def statements(begin: int, end: int) -> int:
        for number in range(begin, end):
            of_storm = {"incident": storm} if number % 3 == 0 else {}
            approval = ask(held(ip=f"127.0.6.{number + 1}", **of_storm))
            external(f"CHG-{number}", operator)
            if tab != "mine":
                services.decide(approval.pk, operator.user, "refuse", "", "web", timezone.now())
        with CaptureQueriesContext(connection) as asked:
            page = client.get("/wechat/todo/", {"tab": tab}).content.decode()
        assert page.count('class="m-item"') == (end * 2 if tab == "mine" else end)
        return len(asked)

    assert statements(0, 5) == statements(5, 20)
