"""The todo page of one approval: an answer that cannot be read, and handing it to somebody else."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from approvals.models import Approval, Asked, Decision
from fta.models import AuditEntry, Person
from wechat.models import WecomApp


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
