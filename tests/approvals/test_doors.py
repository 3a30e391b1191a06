"""Every door with everybody in front of it: whoever may decide does, nobody else changes anything, and each refusal is audited."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.models import Approval, ApprovalAdmin, Decision, Policy
from fta import audit
from fta.models import AuditEntry, Business, Execution, Person
from notify.models import Delivery
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import age, held
from tests.wechat.conftest import Corp

pytestmark = pytest.mark.django_db

NOT_ASKED, OWN, UNKNOWN = "不是", "由你发起", "没有登记"
HIDDEN = {"todo": "404", "web": "404", "rest": "404"}  # the doors that would have to show it first
Cast = dict[str, Person]


@pytest.fixture
def cast(default_policy: Policy, game: Business, pay: Business) -> Cast:
    """Everybody who may stand before a door; the roles are given before the question is asked."""
    people = {
        name: factories.person(name, "operator", businesses=(game,))
        for name in ("lisi", "removed", "fired", "asleep", "giver", "lender", "requester")
    }
    people |= {name: factories.person(name) for name in ("stranger", "delegate", "deputy", "late", "admin_wx")}
    people["foreign"] = factories.person("foreign", "operator", "approver", businesses=(pay,))
    people["viewer"] = factories.person("viewer", "viewer", businesses=(game,))
    people["lost_admin"] = factories.person("lost_admin")
    ApprovalAdmin.objects.bulk_create(ApprovalAdmin(person=people[name]) for name in ("admin_wx", "lost_admin"))
    return people


def _happens(cast: Cast, approval: Approval) -> None:
    """What goes on between the question and the answer."""
    now = timezone.now()
    services.hand_over(approval.pk, cast["giver"].user, cast["delegate"], now)
    services.lend(cast["lender"], cast["deputy"], now + timedelta(hours=1), now)
    services.lend(cast["asleep"], cast["late"], now - timedelta(seconds=1), now)
    cast["removed"].user.groups.clear()
    Person.objects.filter(pk=cast["asleep"].pk).update(active=False)
    cast["fired"].user.is_active = False
    cast["fired"].user.save()
    ApprovalAdmin.objects.filter(person=cast["lost_admin"]).delete()


def asked(cast: Cast, **fields: Any) -> Approval:
    execution = held(requested_by=cast["requester"].user, **fields)
    return services.open_gate(execution, ["规则为审批模式"], timezone.now())


def refusals(approval: Approval) -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(verb="approval.decide_refused", object_id=str(approval.pk)).order_by("id")
    return [(row.actor, row.data["channel"], row.data["why"]) for row in rows]


def unchanged(approval: Approval) -> bool:
    execution = approval.execution
    fresh = Approval.objects.get(pk=approval.pk)
    waits = execution is None or Execution.objects.get(pk=execution.pk).state == "held"
    return fresh.state == "pending" and fresh.decided_by is None and waits and not Decision.objects.exists()


@pytest.mark.parametrize("door", doors.DOORS)
@pytest.mark.parametrize("who", ["lisi", "delegate", "deputy", "admin_wx"])
def test_it_takes_the_answer_of_whoever_may_decide(corp: Corp, cast: Cast, door: str, who: str) -> None:
    approval = asked(cast)
    _happens(cast, approval)

    said = doors.DOORS[door](corp, cast[who], approval, "approve")

    assert doors.YES[door] in said
    decided = Approval.objects.select_related("execution").get(pk=approval.pk)
    assert (decided.state, decided.decided_by, decided.channel) == ("approved", cast[who].user, doors.CHANNEL[door])
    assert decided.execution is not None
    assert decided.execution.state == "ready"
    assert refusals(approval) == []
    assert AuditEntry.objects.get(verb="approval.decide").actor == who


REFUSED = {
    "stranger": ("not_approver", {"reply": NOT_ASKED, "card": NOT_ASKED, **HIDDEN}),
    "foreign": ("not_approver", {"reply": NOT_ASKED, "card": NOT_ASKED, **HIDDEN}),
    "late": ("not_approver", {"reply": NOT_ASKED, "card": NOT_ASKED, **HIDDEN}),
    "viewer": ("not_approver", dict.fromkeys(doors.DOORS, NOT_ASKED)),
    "removed": ("not_approver", dict.fromkeys(doors.DOORS, NOT_ASKED)),
    "lost_admin": ("not_approver", dict.fromkeys(doors.DOORS, NOT_ASKED)),
    "giver": ("not_approver", dict.fromkeys(doors.DOORS, NOT_ASKED)),
    "requester": ("requester_may_not_decide", dict.fromkeys(doors.DOORS, OWN)),
    "asleep": (
        "not_registered",
        {"reply": UNKNOWN, "card": UNKNOWN, "todo": "login", "web": NOT_ASKED, "rest": NOT_ASKED},
    ),
    "fired": ("not_registered", {"reply": UNKNOWN, "card": UNKNOWN, "todo": "login", "web": "login", "rest": "401"}),
}


@pytest.mark.parametrize("who", REFUSED)
def test_it_refuses_everybody_else_in_words_and_audits_it(corp: Corp, cast: Cast, who: str) -> None:
    approval = asked(cast)
    _happens(cast, approval)
    why, table = REFUSED[who]
    expected: list[tuple[str, str, str]] = []

    for name, door in doors.DOORS.items():
        assert table[name] in door(corp, cast[who], approval, "approve"), name
        assert unchanged(approval), name
        if table[name] not in ("login", "401"):  # there nobody came in, so nobody answered
            expected.append((who, doors.CHANNEL[name], "not_approver" if table[name] == NOT_ASKED else why))

    assert refusals(approval) == expected
    assert audit.verify() is None


@pytest.mark.parametrize("case", ["decided", "expired", "cancelled"])
def test_it_tells_who_comes_late_how_it_ended(corp: Corp, cast: Cast, case: str) -> None:
    approval = asked(cast)
    assert approval.execution is not None
    if case == "decided":
        services.decide(approval.pk, cast["admin_wx"].user, "refuse", "", "web", timezone.now())
    elif case == "expired":
        age(approval, expires_at=timezone.now() - timedelta(milliseconds=1))
    else:
        services.withdraw(approval.execution, "已停止", timezone.now())
    before = Approval.objects.values("state", "decided_by", "comment").get(pk=approval.pk)
    words, why = {
        "decided": ("admin_wx 已在", "already_decided"),
        "expired": ("过期", "expired"),
        "cancelled": ("不能再决定", "not_pending"),
    }[case]

    for name, door in doors.DOORS.items():
        assert words in door(corp, cast["lisi"], approval, "approve"), name

    assert Approval.objects.values("state", "decided_by", "comment").get(pk=approval.pk) == before
    assert refusals(approval) == [("lisi", channel, why) for channel in doors.CHANNEL.values()]


# --- whose account it is ---


@pytest.mark.parametrize("sender", ["LiSi", "LISI", " lisi "])
def test_it_reads_accounts_without_case(corp: Corp, cast: Cast, sender: str) -> None:
    approval = asked(cast)
    assert "审批成功" in doors.reply_as(sender.strip(), f"ty {approval.code}")
    again = asked(cast, ip="127.0.0.30")
    client = doors.enter_todo(corp, sender)
    data = {"answer": "approve", "seen": again.plan_sha256}
    assert "已同意。" in doors.words(client, f"/wechat/todo/{again.pk}/", data)
    assert set(Approval.objects.values_list("state", "decided_by__username")) == {("approved", "lisi")}


@pytest.mark.parametrize("way", ["reply", "card", "todo"])
def test_it_takes_a_member_of_a_linked_corp_for_nobody_else(corp: Corp, cast: Cast, way: str) -> None:
    approval = asked(cast)
    linked = "wwcorp/lisi"
    ways: dict[str, Callable[[], str]] = {
        "reply": lambda: doors.reply_as(linked, f"TY {approval.code}"),
        "card": lambda: doors.press_as(linked, f"approve:{approval.pk}"),
        "todo": lambda: doors.words(
            doors.enter_todo(corp, linked), f"/wechat/todo/{approval.pk}/", {"answer": "approve"}
        ),
    }
    assert ("login" if way == "todo" else UNKNOWN) in ways[way]()
    assert unchanged(approval)
    assert refusals(approval) == ([] if way == "todo" else [(linked, way, "not_registered")])

    # Registered under that very account it is a person of its own, with no right of the other's.
    factories.person("linked", wecom=linked)
    assert ("404" if way == "todo" else NOT_ASKED) in ways[way]()
    assert unchanged(approval)
    assert refusals(approval)[-1] == ("linked", way, "not_approver")


def test_it_audits_no_small_talk_of_unknown_people(corp: Corp, cast: Cast) -> None:
    approval = asked(cast)
    for text in ("你好", "TY", f"TY 999999_0 {approval.code[:1]}", "待办"):
        assert UNKNOWN in doors.reply_as("nobody", text)
    assert UNKNOWN in doors.press_as("nobody", "TY:1")
    assert not AuditEntry.objects.filter(verb="approval.decide_refused").exists()


# --- approvals of other systems ---


@pytest.fixture
def external(corp: Corp, cast: Cast) -> Approval:
    """Asked by another system of 李四, whose callback is a webhook delivery."""
    body = {
        "message": "发布 3307",
        "verifier": "LiSi,fired",
        "obj_id": "CHG-3307",
        "callback_url": "https://cmdb.example.com/done",
    }
    made = Client().post(
        "/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": "create-approve-token"}
    )
    assert made.json()["result"] is True
    return Approval.objects.get(pk=made.json()["data"]["approve_id"])


@pytest.mark.parametrize("door", doors.DOORS)
@pytest.mark.parametrize("who", ["lisi", "admin_wx"])
def test_it_answers_another_systems_question_by_every_door(
    corp: Corp, cast: Cast, external: Approval, door: str, who: str
) -> None:
    assert doors.YES[door] in doors.DOORS[door](corp, cast[who], external, "approve")
    told = Delivery.objects.get(kind="webhook").payload["message"]
    assert (told["url"], told["data"]["obj_id"]) == ("https://cmdb.example.com/done", "CHG-3307")
    assert (told["data"]["approved"], told["data"]["approver"]) == (True, who)


@pytest.mark.parametrize("who", ["removed", "foreign", "requester", "fired"])
def test_it_lets_only_the_verifiers_answer_it(corp: Corp, cast: Cast, external: Approval, who: str) -> None:
    cast["fired"].user.is_active = False
    cast["fired"].user.save()
    table = {"reply": NOT_ASKED, "card": NOT_ASKED, **HIDDEN}
    if who == "fired":
        table = {"reply": UNKNOWN, "card": UNKNOWN, "todo": "login", "web": "login", "rest": "401"}

    for name, door in doors.DOORS.items():
        assert table[name] in door(corp, cast[who], external, "approve"), name

    assert unchanged(external)
    assert not Delivery.objects.filter(kind="webhook").exists()
    assert len(refusals(external)) == (2 if who == "fired" else 5)


# --- a browser or a phone left open ---


@pytest.mark.parametrize("page", ["todo", "todo-list", "web", "web-list"])
def test_it_asks_for_a_fresh_sign_in_before_a_yes_to_high_risk(corp: Corp, cast: Cast, page: str) -> None:
    approval = asked(cast)
    client = doors.enter_todo(corp, "lisi")
    picked = f"{approval.pk}:{approval.plan_sha256}"
    url, data = {
        "todo": (f"/wechat/todo/{approval.pk}/", {"seen": approval.plan_sha256}),
        "todo-list": ("/wechat/todo/", {"picked": picked}),
        "web": (f"/approvals/{approval.pk}/decide/", {"seen": approval.plan_sha256}),
        "web-list": ("/approvals/decide/", {"picked": picked}),
    }[page]
    session = client.session
    session["signed_in_at"] -= 901
    session.save()

    assert approval.execution is not None
    package = approval.execution.package
    assert package is not None
    package.risk = "high"
    package.save()
    answer = client.post(url, {**data, "answer": "approve"})
    assert answer.status_code == 302
    assert ("/wechat/oauth" if page.startswith("todo") else "/login/") in answer.headers["Location"]
    assert unchanged(approval)

    fresh = doors.enter_todo(corp, "lisi")
    fresh.post(url, {**data, "answer": "approve"})
    assert Approval.objects.get(pk=approval.pk).state == "approved"


@pytest.mark.parametrize(("risk", "answer"), [("low", "approve"), ("high", "refuse")])
def test_it_lets_an_old_session_do_what_harms_nothing(corp: Corp, cast: Cast, risk: str, answer: str) -> None:
    approval = asked(cast)
    assert approval.execution is not None
    assert approval.execution.package is not None
    approval.execution.package.risk = risk
    approval.execution.package.save()
    client = doors.enter_todo(corp, "lisi")
    session = client.session
    session["signed_in_at"] -= 901
    session.save()
    client.post(f"/wechat/todo/{approval.pk}/", {"answer": answer, "seen": approval.plan_sha256})
    assert Approval.objects.get(pk=approval.pk).state in ("approved", "refused")


def test_it_decides_by_no_link(corp: Corp, cast: Cast) -> None:
    approval = asked(cast)
    client = doors.enter_todo(corp, "lisi")
    for url in (f"/wechat/todo/{approval.pk}/", f"/approvals/{approval.pk}/", "/wechat/todo/"):
        for read in (client.get, client.head):
            read(
                url,
                {"answer": "approve", "seen": approval.plan_sha256, "picked": f"{approval.pk}:{approval.plan_sha256}"},
            )
    assert unchanged(approval)
