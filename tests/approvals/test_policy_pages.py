"""The policy editor: what it takes, what it refuses, and whom it says it would ask."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from approvals import services
from approvals.models import ApproverGroup, Policy
from fta.models import AuditEntry, Business, Duty, Person
from notify.models import Channel
from tests import factories
from tests.approvals.conftest import ask, held, policy

pytestmark = pytest.mark.django_db

NEW = "/approvals/policies/new/"


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def fields(**more: Any) -> dict[str, Any]:
    plain = {
        "name": "two-eyes", "exclude_requester": "on", "expires_minutes": "20", "on_expiry": "refuse", "escalate_to": "",
        "remind_channel": "", "approvers_0": "@operator", "quorum_0": "1", "approvers_1": "", "quorum_1": "1",
        "approvers_2": "", "quorum_2": "1", "action": "save",
    }  # fmt: skip
    return {**plain, **more}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def asking(answer: Any) -> str:
    """Return the part of the page that says who would be asked."""
    return " ".join(text(answer).split('id="f-asking"')[1].split("</section>")[0].split())


def test_it_makes_a_policy_by_which_the_next_approval_is_asked(admin: Person, operator: Person) -> None:
    second, third = factories.person("second"), factories.person("third")
    ApproverGroup.objects.create(name="dba").people.add(third)
    Duty.objects.create(name="night", people=["second"])
    Channel.objects.create(name="邮件", kind="email", config={"to": ["ops@example.com"]})
    data = fields(
        approvers_1="组:dba\n值班：night，lisi",
        quorum_1="2",
        on_expiry="escalate",
        escalate_to="boss",
        remind_channel="邮件",
    )

    answer = browser(admin).post(NEW, data, follow=True)

    assert "已保存“two-eyes”" in text(answer)
    made = Policy.objects.get()
    assert made.stages == [
        {"approvers": [{"role": "operator"}], "quorum": 1},
        {"approvers": [{"group": "dba"}, {"duty": "night"}, {"person": "lisi"}], "quorum": 2},
    ]
    assert (made.expires_after, made.on_expiry, made.escalate_to) == (1200, "escalate", [{"person": "boss"}])
    assert (made.remind_channel, made.exclude_requester) == ("邮件", True)
    assert AuditEntry.objects.get(verb="policy.add").actor == "boss"
    asked = ask(held(approval_policy="two-eyes")).asked.values_list("stage", "user__username")
    assert sorted(asked) == [(0, "lisi"), (1, "lisi"), (1, second.user.username), (1, third.user.username)]


def test_it_changes_a_policy_and_keeps_what_was(admin: Person, operator: Person) -> None:
    row = policy("two-eyes", expires_after=1800)
    page = browser(admin).get(reverse("approvals:policy", args=[row.pk]))
    assert "@operator\n@maintainer" in text(page)
    assert "已经发出的不加人，被移出的人也不能再决定" in text(page)
    browser(admin).post(reverse("approvals:policy", args=[row.pk]), fields(expires_minutes="5", exclude_requester=""))
    row.refresh_from_db()
    assert (row.expires_after, row.exclude_requester) == (300, False)
    changes = AuditEntry.objects.get(verb="policy.change").data["changes"]
    assert changes["expires_after"] == [1800, 300]
    assert changes["exclude_requester"] == [True, False]
    browser(admin).post(reverse("approvals:policy", args=[row.pk]), fields(expires_minutes="5", exclude_requester=""))
    assert AuditEntry.objects.filter(verb="policy.change").count() == 1  # saving the same changes nothing


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"approvers_0": ""}, "approvers_0"),
        ({"approvers_0": "nobody\n组:none\n值班:none\n@king"}, "不存在：nobody、组:none、值班:none、@king"),
        ({"approvers_2": "@operator"}, "前面的阶段不能空着"),
        ({"on_expiry": "escalate"}, "写明升级给谁"),
        ({"expires_minutes": "0"}, "expires_minutes"),
        ({"quorum_0": "0"}, "quorum_0"),
        ({"name": "taken"}, "已被使用"),
    ],
)
def test_it_refuses_what_nobody_could_answer(admin: Person, wrong: dict[str, str], words: str) -> None:
    policy("taken", archived=True)
    answer = browser(admin).post(NEW, fields(**wrong))
    assert answer.status_code == 400
    assert words in text(answer)
    assert Policy.objects.count() == 1
    assert not AuditEntry.objects.filter(verb__startswith="policy").exists()


def test_it_says_who_would_be_asked_for_an_alert(admin: Person, operator: Person, pay: Business) -> None:
    factories.person("wangwu", "operator", businesses=(pay,))
    factories.person("tester", "operator", businesses=(operator.businesses.get(),))  # wrote the package
    alert = factories.alert(host=factories.host())
    row = policy("two-eyes", stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    url = reverse("approvals:policy", args=[row.pk])

    said = asking(browser(admin).get(url, {"alert": alert.pk}))
    assert 'lisi <span class="f-sub">操作员' in said
    assert "tester" in said
    assert "wangwu" not in said
    assert "须 2 人同意" in said
    assert "还差" not in said

    held(alert=alert)  # now there is a package, and its author does not decide
    said = asking(browser(admin).get(url, {"alert": alert.pk}))
    assert "tester" not in said
    assert "还差 1 人" in said

    newer = factories.alert(target="127.0.1.9", host=factories.host("127.0.1.9", business=pay))
    assert "wangwu" in asking(browser(admin).get(url))  # the newest alert when none is named
    assert str(newer.pk) in asking(browser(admin).get(url))
    assert "没有这条告警" in asking(browser(admin).get(url, {"alert": "999999"}))
    assert "没有这条告警" not in asking(browser(admin).get(url, {"alert": "x" * 30}))


def test_it_previews_what_is_not_saved(admin: Person, operator: Person) -> None:
    factories.alert(host=factories.host())
    answer = browser(admin).post(NEW, fields(name="", approvers_1="boss", action="preview"))
    assert answer.status_code == 200
    assert 'lisi <span class="f-sub">操作员' in asking(answer)
    assert 'boss <span class="f-sub">指名' in asking(answer)
    assert not Policy.objects.exists()


def test_it_asks_nobody_by_a_form_that_is_wrong(admin: Person, operator: Person) -> None:
    factories.alert(host=factories.host())
    answer = browser(admin).post(NEW, fields(approvers_1="ghost", action="preview"))
    assert answer.status_code == 200  # it is asked while somebody types
    assert "lisi" not in asking(answer)
    assert "策略还没写对" in asking(answer)


def test_it_archives_only_what_nothing_uses(admin: Person) -> None:
    used, free, default = policy("used"), policy("free"), policy()
    factories.rule(name="磁盘", approval_policy="used")
    for row, words in ((used, "磁盘"), (default, "未指明策略")):
        answer = browser(admin).post(reverse("approvals:policy-archive", args=[row.pk]), follow=True)
        assert "还在使用" in text(answer)
        assert words in text(answer)
    renamed = browser(admin).post(reverse("approvals:policy", args=[used.pk]), fields(name="other"))
    assert "还在使用" in text(renamed)
    browser(admin).post(reverse("approvals:policy-archive", args=[free.pk]))
    assert sorted(Policy.objects.filter(archived=False).values_list("name", flat=True)) == ["default", "used"]
    assert AuditEntry.objects.get(verb="policy.archive").data["name"] == "free"


def test_it_lets_only_admins_change_and_only_people_with_a_role_read(
    operator: Person, viewer: Person, stranger: Person
) -> None:
    row = policy()
    for person in (operator, viewer):
        page = browser(person).get("/approvals/policies/")
        assert "业务操作员与主机负责人、业务运维负责人" in text(page)
        assert NEW not in text(page)
        for url in (NEW, f"/approvals/policies/{row.pk}/"):
            assert browser(person).get(url).status_code == 403
            assert browser(person).post(url, fields()).status_code == 403
        assert browser(person).post(f"/approvals/policies/{row.pk}/archive/").status_code == 403
    assert browser(stranger).get("/approvals/policies/").status_code == 403
    assert Client().get("/approvals/policies/").status_code == 302
    assert Policy.objects.filter(archived=False).count() == 1


def test_it_lists_for_an_admin_and_says_when_there_is_none(admin: Person) -> None:
    assert "只有审批管理员能决定" in text(browser(admin).get("/approvals/policies/"))
    policy(stages=[{"approvers": [{"person": "a"}], "quorum": 1}, {"approvers": [{"group": "g"}], "quorum": 3}])
    page = " ".join(text(browser(admin).get("/approvals/policies/")).split())
    assert "a → 审批组 g" in page
    assert "须 3 人" in page
    assert "未指明策略时用它" in page


def test_it_keeps_the_bar_of_what_was_asked_when_the_policy_is_edited(
    admin: Person, operator: Person, game: Business
) -> None:
    factories.person("second", "operator", businesses=(game,))
    row = policy(stages=[{"approvers": [{"role": "operator"}], "quorum": 2}])
    approval = ask()
    browser(admin).post(reverse("approvals:policy", args=[row.pk]), fields(name="default", quorum_0="1"))
    now = approval.created_at
    assert services.decide(approval.pk, operator.user, "approve", "", "web", now).state == "pending"


def test_it_says_that_one_person_answers_one_stage(admin: Person, operator: Person) -> None:
    factories.alert(host=factories.host())
    row = policy("two", stages=[{"approvers": [{"role": "operator"}]}, {"approvers": [{"person": "lisi"}]}])
    url = reverse("approvals:policy", args=[row.pk])
    assert "可能还差 1 人" in asking(browser(admin).get(url))
    factories.person("second")
    Policy.objects.update(stages=[*row.stages[:1], {"approvers": [{"person": "lisi"}, {"person": "second"}]}])
    assert "还差" not in asking(browser(admin).get(url))
