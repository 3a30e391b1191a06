"""Every door with everybody in front of it: whoever may decide does, nobody else changes anything, and each refusal is audited."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Decision
from fta import audit
from fta.models import AuditEntry, Execution
from notify.models import Delivery
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import age
from tests.approvals.scene import Scene, setting

pytestmark = pytest.mark.django_db

NOT_ASKED, OWN, UNKNOWN = "不是", "由你发起", "没有登记"
SAID = dict.fromkeys(doors.DOORS, NOT_ASKED)
HIDDEN = {**SAID, "todo": "404", "web": "404", "rest": "404"}  # the doors that would have to show it first
ASLEEP = {"reply": UNKNOWN, "card": UNKNOWN, "todo": "login"}
OUT = {**ASLEEP, "web": "login", "rest": "401"}

# Who stands before the doors of a gate approval that game's operators and the approval admins were asked about. All of them
# were asked but stranger, foreign, viewer and linked; `scene` tells what happened to each since.
REFUSED_AT_GATE = {
    "stranger": HIDDEN,
    "foreign": HIDDEN,  # an operator and approver of another business
    "linked": HIDDEN,  # wwcorp/lisi, of a linked corp
    "late": HIDDEN,  # the deputy, whose time is over
    "viewer": SAID,
    "removed": SAID,
    "lost_admin": SAID,
    "giver": SAID,
    "requester": dict.fromkeys(doors.DOORS, OWN),
    "asleep": {**SAID, **ASLEEP},
    "fired": OUT,
}
# Another system asked lisi, giver, lender, asleep and fired by name; a business or a role gives no right to its approvals.
REFUSED_OF_ANOTHER_SYSTEM = {
    "stranger": HIDDEN,
    "foreign": HIDDEN,
    "linked": HIDDEN,
    "late": HIDDEN,
    "viewer": HIDDEN,
    "removed": HIDDEN,
    "requester": HIDDEN,
    "giver": HIDDEN,
    "lost_admin": SAID,
    "asleep": {**SAID, **ASLEEP},
    "fired": OUT,
}
MAY = ("lisi", "LiSi", "delegate", "deputy", "admin_wx")
REFUSED = [("gate", who, table) for who, table in REFUSED_AT_GATE.items()]
REFUSED += [("external", who, table) for who, table in REFUSED_OF_ANOTHER_SYSTEM.items()]


@pytest.fixture(scope="module")
def scene(django_db_setup: None, django_db_blocker: Any) -> Iterator[Scene]:
    """Everybody before every door, made once for all of them."""
    with django_db_blocker.unblock(), setting() as made:
        yield made


def refusals(approval: Approval) -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(verb="approval.decide_refused", object_id=str(approval.pk)).order_by("id")
    return [(row.actor, row.data["channel"], row.data["why"]) for row in rows]


def unchanged(approval: Approval) -> bool:
    execution = approval.execution
    fresh = Approval.objects.get(pk=approval.pk)
    waits = execution is None or Execution.objects.get(pk=execution.pk).state == "held"
    return fresh.state == "pending" and fresh.decided_by is None and waits and not Decision.objects.exists()


@pytest.mark.parametrize("door", doors.DOORS)
@pytest.mark.parametrize("who", MAY)
def test_it_takes_the_answer_of_whoever_may_decide(scene: Scene, door: str, who: str) -> None:
    said = doors.DOORS[door](scene.corp, scene.people[who], scene.gate, "approve")

    assert doors.YES[door] in said
    decided = Approval.objects.select_related("execution").get(pk=scene.gate.pk)
    user = scene.people[who].user
    assert (decided.state, decided.decided_by, decided.channel) == ("approved", user, doors.CHANNEL[door])
    assert decided.execution is not None
    assert decided.execution.state == "ready"
    assert refusals(scene.gate) == []
    assert AuditEntry.objects.get(verb="approval.decide").actor == user.username


@pytest.mark.parametrize("door", doors.DOORS)
@pytest.mark.parametrize("who", MAY)
def test_it_takes_the_answer_to_another_systems_question(scene: Scene, door: str, who: str) -> None:
    assert doors.YES[door] in doors.DOORS[door](scene.corp, scene.people[who], scene.external, "approve")
    told = Delivery.objects.get(kind="webhook").payload["message"]
    assert (told["url"], told["data"]["obj_id"]) == ("https://cmdb.example.com/done", "CHG-3307")
    assert (told["data"]["approved"], told["data"]["approver"]) == (True, scene.people[who].user.username)


@pytest.mark.parametrize(("question", "who", "table"), REFUSED, ids=[f"{row[0]}-{row[1]}" for row in REFUSED])
def test_it_refuses_everybody_else_in_words_and_audits_it(
    scene: Scene, question: str, who: str, table: dict[str, str]
) -> None:
    approval = scene.question(question)
    person = scene.people[who]
    expected: list[tuple[str, str, str]] = []

    for name, door in doors.DOORS.items():
        assert table[name] in door(scene.corp, person, approval, "approve"), name
        assert unchanged(approval), name
        why = {OWN: "requester_may_not_decide", UNKNOWN: "not_registered"}.get(table[name], "not_approver")
        if table[name] not in ("login", "401"):  # there nobody came in, so nobody answered
            expected.append((who, doors.CHANNEL[name], why))

    assert refusals(approval) == expected
    assert not Delivery.objects.filter(kind="webhook").exists()
    assert audit.verify() is None


@pytest.mark.parametrize("case", ["decided", "expired", "cancelled"])
def test_it_tells_who_comes_late_how_it_ended(scene: Scene, case: str) -> None:
    approval = scene.gate
    assert approval.execution is not None
    if case == "decided":
        services.decide(approval.pk, scene.people["admin_wx"].user, "refuse", "", "web", timezone.now())
    elif case == "expired":
        approval = age(Approval.objects.get(pk=approval.pk))
    else:
        services.withdraw(approval.execution, "已停止", timezone.now())
    before = Approval.objects.values("state", "decided_by", "comment").get(pk=approval.pk)
    words, why = {
        "decided": ("admin_wx 已在", "already_decided"),
        "expired": ("过期", "expired"),
        "cancelled": ("不能再决定", "not_pending"),
    }[case]

    for name, door in doors.DOORS.items():
        assert words in door(scene.corp, scene.people["lisi"], approval, "approve"), name

    assert Approval.objects.values("state", "decided_by", "comment").get(pk=approval.pk) == before
    assert refusals(approval) == [("lisi", channel, why) for channel in doors.CHANNEL.values()]


# --- whose account it is ---


@pytest.mark.parametrize("way", ["reply", "card", "todo"])
def test_it_takes_a_member_of_a_linked_corp_for_nobody_it_knows(scene: Scene, way: str) -> None:
    approval = scene.gate
    linked = "wwcorp2/lisi"
    ways: dict[str, Callable[[], str]] = {
        "reply": lambda: doors.reply_as(linked, f"TY {approval.code}"),
        "card": lambda: doors.press_as(linked, f"approve:{approval.pk}"),
        "todo": lambda: doors.words(
            doors.enter_todo(scene.corp, linked), f"/wechat/todo/{approval.pk}/", {"answer": "approve"}
        ),
    }
    assert ("login" if way == "todo" else UNKNOWN) in ways[way]()
    assert unchanged(approval)
    assert refusals(approval) == ([] if way == "todo" else [(linked, way, "not_registered")])


def test_it_audits_no_small_talk_of_unknown_people(scene: Scene) -> None:
    for text in ("你好", "TY", f"TY 999999_0 {scene.gate.code[:1]}", "待办"):
        assert UNKNOWN in doors.reply_as("nobody", text)
    assert UNKNOWN in doors.press_as("nobody", "TY:1")
    assert not AuditEntry.objects.filter(verb="approval.decide_refused").exists()


# --- several at once ---


@pytest.mark.parametrize(("url", "channel"), [("/wechat/todo/", "todo"), ("/approvals/decide/", "web")])
def test_it_decides_of_a_list_what_is_the_readers_and_audits_the_rest(scene: Scene, url: str, channel: str) -> None:
    foreign = factories.person("both", "operator", businesses=(factories.business("pay"),))
    client = Client()
    client.force_login(foreign.user)
    picked = [f"{row.pk}:{row.plan_sha256}" for row in (scene.gate, scene.external)]

    page = client.post(url, {"answer": "approve", "picked": [*picked, "x:y", f"{'9' * 30}:"]}, follow=True)

    assert page.content.decode().count("没有这个审批") == 2
    assert unchanged(scene.gate)
    assert unchanged(scene.external)
    for approval in (scene.gate, scene.external):
        assert refusals(approval) == [("both", channel, "not_approver")]


# --- a browser or a phone left open ---


@pytest.mark.parametrize("page", ["todo", "todo-list", "web", "web-list"])
def test_it_asks_for_a_fresh_sign_in_before_a_yes_to_high_risk(scene: Scene, page: str) -> None:
    approval = scene.gate
    picked = f"{approval.pk}:{approval.plan_sha256}"
    url, data = {
        "todo": (f"/wechat/todo/{approval.pk}/", {"seen": approval.plan_sha256}),
        "todo-list": ("/wechat/todo/", {"picked": picked}),
        "web": (f"/approvals/{approval.pk}/decide/", {"seen": approval.plan_sha256}),
        "web-list": ("/approvals/decide/", {"picked": picked}),
    }[page]
    scene.risk("high")
    answer = scene.old_session().post(url, {**data, "answer": "approve"})
    assert answer.status_code == 302
    assert ("/wechat/oauth" if page.startswith("todo") else "/login/") in answer.headers["Location"]
    assert unchanged(approval)

    fresh = doors.enter_todo(scene.corp, "lisi")
    fresh.post(url, {**data, "answer": "approve"})
    assert Approval.objects.get(pk=approval.pk).state == "approved"


def test_the_risk_of_a_yes_is_that_of_the_plan(scene: Scene) -> None:
    scene.risk("low")  # of the package; one inside of it was riskier when the question was asked
    Execution.objects.update(plan={"package": {"risk": "high"}})
    answer = scene.old_session().post("/approvals/decide/", {"picked": str(scene.gate.pk), "answer": "approve"})
    assert "/login/" in answer.headers["Location"]
    assert unchanged(scene.gate)


@pytest.mark.parametrize(("risk", "answer"), [("low", "approve"), ("high", "refuse")])
def test_it_lets_an_old_session_do_what_harms_nothing(scene: Scene, risk: str, answer: str) -> None:
    scene.risk(risk)
    said = {"answer": answer, "seen": scene.gate.plan_sha256}
    scene.old_session().post(f"/wechat/todo/{scene.gate.pk}/", said)
    assert Approval.objects.get(pk=scene.gate.pk).state in ("approved", "refused")


def test_it_decides_by_no_link(scene: Scene) -> None:
    approval = scene.gate
    client = doors.enter_todo(scene.corp, "lisi")
    said = {"answer": "approve", "seen": approval.plan_sha256, "picked": f"{approval.pk}:{approval.plan_sha256}"}
    for url in (f"/wechat/todo/{approval.pk}/", f"/approvals/{approval.pk}/", "/wechat/todo/"):
        for read in (client.get, client.head):
            read(url, said)
    assert unchanged(approval)
