"""When WeCom takes no message: another way within a minute, the maintainers hear of it, and silence never becomes a yes."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from approvals import services
from approvals.models import Approval, Decision, Policy
from fta.models import AuditEntry, Business, Execution, Incident, Person
from notify.models import Channel, Delivery, NotificationRule
from tests import factories
from tests.approvals.conftest import age, ask, held, policy, say, send_all
from tests.wechat.conftest import Corp

pytestmark = pytest.mark.django_db


def break_wecom(corp: Corp, code: str) -> None:
    if code == "60020":
        corp.world.faults.set({"untrusted_ip": True})
    else:  # nobody of them is in the application's scope
        Person.objects.exclude(wecom_userid="").update(wecom_userid="left_the_corp")


@pytest.mark.parametrize("code", ["60020", "81013"])
def test_it_mails_the_approvers_and_tells_of_the_fault(
    corp: Corp, default_policy: Policy, operator: Person, faults: list[tuple[str, str]], code: str
) -> None:
    break_wecom(corp, code)
    approval = ask()
    began = timezone.now()
    send_all()

    failed = Delivery.objects.filter(kind="wecom_app", event="approval.asked")
    assert {(row.state, row.last_code) for row in failed} == {("failed", code)}
    (letter,) = [letter for letter in mail.outbox if letter.to == ["lisi@example.com"]]  # of text and card together one
    for words in (f"编号 {approval.code}", "风险：", f"/wechat/todo/{approval.pk}/"):
        assert words in str(letter.body)
    sent = Delivery.objects.filter(kind="email", approval_ref=approval.pk, state="sent")
    assert all(row.sent_at is not None and row.sent_at - began < timedelta(seconds=60) for row in sent)
    assert any(subject == "channel:wecom_app" and code in text for subject, text in faults)
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_it_escalates_at_once_when_mail_fails_too(corp: Corp, operator: Person, faults: list[tuple[str, str]]) -> None:
    boss = factories.person("boss")
    type(operator.user).objects.update(email="")
    type(boss.user).objects.filter(pk=boss.user_id).update(email="boss@example.com")
    policy(on_expiry="escalate", escalate_to=[{"person": "boss"}])
    corp.world.faults.set({"untrusted_ip": True})
    approval = ask()
    send_all()

    approval.refresh_from_db()
    assert (approval.state, approval.escalated) == ("pending", True)
    assert boss.user_id in approval.asked.values_list("user_id", flat=True)
    assert AuditEntry.objects.filter(verb="approval.escalate").count() == 1
    assert any(letter.to == ["boss@example.com"] for letter in mail.outbox)
    assert [text for subject, text in faults if subject == f"approval:{approval.pk}" and "已升级给其他人" in text]


def test_it_notices_that_a_later_stage_is_not_reached(
    corp: Corp, operator: Person, game: Business, faults: list[tuple[str, str]]
) -> None:
    second = factories.person("wangwu", "operator", businesses=(game,))
    boss = factories.person("boss")
    type(second.user).objects.filter(pk=second.user_id).update(email="")
    stages = [{"approvers": [{"person": name}], "quorum": 1} for name in ("lisi", "wangwu")]
    policy(stages=stages, on_expiry="escalate", escalate_to=[{"person": "boss"}])
    approval = ask()
    send_all()
    assert Delivery.objects.filter(approval_ref=approval.pk, state="sent").exists()
    corp.world.faults.set({"untrusted_ip": True})
    say(approval, operator)
    send_all()

    approval.refresh_from_db()
    assert (approval.stage, approval.state, approval.escalated) == (1, "pending", True)
    assert boss.user_id in approval.asked.values_list("user_id", flat=True)


def test_it_never_takes_silence_for_a_yes(
    corp: Corp, default_policy: Policy, operator: Person, faults: list[tuple[str, str]]
) -> None:
    type(operator.user).objects.update(email="")
    corp.world.faults.set({"untrusted_ip": True})
    approval = ask()
    send_all()
    assert any("一条也没有送到" in text and "不会执行" in text for _subject, text in faults)

    services.expire(age(approval).pk, timezone.now())
    assert Approval.objects.get(pk=approval.pk).state == "expired"
    assert Execution.objects.get(pk=approval.execution_id).state == "skipped"


def test_it_keeps_quiet_when_the_card_came_through(
    corp: Corp, default_policy: Policy, operator: Person, faults: list[tuple[str, str]]
) -> None:
    corp.world.faults.set({"next_errcodes": [60011]})  # only the text is refused
    approval = ask()
    send_all()
    states = Delivery.objects.filter(kind="wecom_app", event="approval.asked").values_list("state", flat=True)
    assert sorted(states) == ["failed", "sent"]
    assert not [subject for subject, _text in faults if subject == f"approval:{approval.pk}"]
    assert not [letter for letter in mail.outbox if letter.to == ["lisi@example.com"]]


def test_it_does_not_take_what_others_were_told_for_a_question_that_got_through(
    corp: Corp, default_policy: Policy, operator: Person, faults: list[tuple[str, str]]
) -> None:
    type(operator.user).objects.update(email="")
    group = Channel.objects.create(name="值班群", kind="email", config={"to": ["team@example.com"]})
    NotificationRule.objects.create(name="都知道", events=["approval.asked"]).channels.add(group)
    corp.world.faults.set({"untrusted_ip": True})
    approval = ask()
    send_all()
    assert [letter for letter in mail.outbox if letter.to == ["team@example.com"]]
    assert any(subject == f"approval:{approval.pk}" and "一条也没有送到" in text for subject, text in faults)


def test_it_mails_those_who_have_no_wecom_account(
    corp: Corp, default_policy: Policy, operator: Person, game: Business
) -> None:
    factories.person("desk", "operator", businesses=(game,), wecom="")
    approval = ask()
    send_all()
    (letter,) = [letter for letter in mail.outbox if letter.to == ["desk@example.com"]]
    assert letter.subject.startswith("【故障自愈】待你审批：clean-disk（127.0.0.10，disk_full）")
    for part in (f"编号 {approval.code}", "最近五次：", "无人回答：", f"/wechat/todo/{approval.pk}/"):
        assert part in str(letter.body)


@pytest.mark.parametrize("on_expiry", ["refuse", "escalate"])
def test_it_escalates_at_once_what_nobody_can_be_written_about(
    game: Business, faults: list[tuple[str, str]], on_expiry: str
) -> None:
    desk = factories.person("desk", "operator", businesses=(game,), wecom="")
    type(desk.user).objects.update(email="")
    factories.person("boss")
    policy(on_expiry=on_expiry, escalate_to=[{"person": "boss"}])
    approval = ask()
    escalated = on_expiry == "escalate"
    told = Delivery.objects.filter(payload__message__form="approval_card", approval_ref=approval.pk)
    assert [row.recipients for row in told] == ([["boss"]] if escalated else [])
    assert AuditEntry.objects.filter(verb="approval.escalate").exists() == escalated
    (fault,) = [text for subject, text in faults if subject == f"approval:{approval.pk}"]
    assert ("已升级给其他人" in fault, "不会执行" in fault) == (escalated, not escalated)


def test_it_escalates_at_once_what_nobody_may_answer(game: Business, faults: list[tuple[str, str]]) -> None:
    boss = factories.person("boss")
    policy(on_expiry="escalate", escalate_to=[{"person": "boss"}])
    approval = ask()
    assert list(approval.asked.values_list("user_id", "stage")) == [(boss.user_id, 0)]
    assert [text for _subject, text in faults] == [f"审批 {approval.code} 第 1 阶段须 1 人同意，能审批的只有 0 人"]


def test_it_tells_once_of_a_storm_that_reaches_nobody(
    game: Business, storm: Incident, default_policy: Policy, faults: list[tuple[str, str]]
) -> None:
    desk = factories.person("desk", "operator", businesses=(game,), wecom="")
    type(desk.user).objects.update(email="")
    for number in (1, 2):
        ask(held(ip=f"127.0.4.{number}", incident=storm))
    assert {subject for subject, _text in faults} == {f"incident:{storm.pk}"}


@pytest.mark.parametrize("on_expiry", ["refuse", "escalate"])
def test_whoever_answered_one_stage_does_not_answer_another(
    game: Business, approval_admin: Person, faults: list[tuple[str, str]], on_expiry: str
) -> None:
    boss, deputy = factories.person("boss"), factories.person("deputy")
    stages = [{"approvers": [{"role": "operator"}]}, {"approvers": [{"person": "nobody"}]}]
    policy(stages=stages, on_expiry=on_expiry, escalate_to=[{"person": "boss"}])
    approval = ask()
    assert faults == []
    assert say(approval, approval_admin).stage == 1

    with pytest.raises(services.AlreadyDecided, match="你已经回答过"):
        say(approval, approval_admin)
    services.lend(approval_admin, deputy, timezone.now() + timedelta(hours=1), timezone.now())
    with pytest.raises(services.AlreadyDecided):  # nor do others in the same right
        say(approval, deputy)
    with pytest.raises(services.AlreadyDecided):
        services.hand_over(approval.pk, approval_admin.user, deputy, timezone.now())
    assert not Approval.objects.decidable_by(approval_admin.user).exists()
    assert Decision.objects.count() == 1

    ((subject, fault),) = faults  # nobody waits in silence for an answer that cannot come
    assert (subject, "能审批的只有 0 人" in fault) == (f"approval:{approval.pk}", True)
    escalated = on_expiry == "escalate"
    told = Delivery.objects.filter(payload__message__form="approval_card", recipients=["boss"])
    assert ("已升级" in fault, told.count()) == (escalated, int(escalated))
    if escalated:
        assert say(approval, boss).state == "approved"


def test_it_asks_only_the_new_ones_when_a_stage_lacks_people(
    operator: Person, game: Business, faults: list[tuple[str, str]]
) -> None:
    second, boss = factories.person("wangwu"), factories.person("boss")
    both = [{"person": "lisi"}, {"person": "wangwu"}]
    stages = [{"approvers": [{"person": "lisi"}]}, {"approvers": both, "quorum": 2}]
    policy(stages=stages, on_expiry="escalate", escalate_to=[{"person": "boss"}])
    approval = ask()
    assert say(approval, operator).stage == 1  # who answers no second time, so that one is wanting

    for form in ("approval_card", "text"):
        rows = Delivery.objects.filter(payload__message__form=form).order_by("id")
        assert [row.recipients for row in rows] == [["lisi"], ["wangwu"], ["boss"]]
    assert say(approval, second).state == "pending"
    assert say(approval, boss).state == "approved"
    assert ["已升级给其他人" in text for _subject, text in faults] == [True]


def test_it_tells_of_everybody_who_is_not_reached_within_an_hour(admin: Person) -> None:
    people = [factories.person(name, wecom="") for name in ("desk", "night")]
    User.objects.filter(person__in=people).update(email="")
    policy(stages=[{"approvers": [{"person": person.name}]} for person in people])
    approval = ask()
    say(approval, people[0])

    told = [row.payload["message"]["text"] for row in Delivery.objects.filter(event="system.fault").order_by("id")]
    assert [f"发给{person.name}的消息一条也没有送到" in text for text, person in zip(told, people, strict=True)] == [
        True,
        True,
    ]


def test_it_tells_all_that_is_wrong_with_a_question(admin: Person, game: Business) -> None:
    policy(stages=[{"approvers": [{"person": "gone"}]}, {"approvers": [{"person": "gone"}], "quorum": 2}])
    ask()
    (row,) = Delivery.objects.filter(event="system.fault")
    assert all(words in row.payload["message"]["text"] for words in ("第 1 阶段须 1 人", "第 2 阶段须 2 人"))


def test_it_tells_of_whoever_is_asked_along_and_not_reached(operator: Person, faults: list[tuple[str, str]]) -> None:
    for name in ("desk", "night"):
        User.objects.filter(pk=factories.person(name, wecom="").user_id).update(email="")
    for verifiers in (["lisi"], ["lisi", "desk"]):
        approval = services.open_external(code="CHG-1", message="发布", verifiers=verifiers, now=timezone.now())
    night = Person.objects.get(user__username="night")
    services.hand_over(approval.pk, operator.user, night, timezone.now())
    assert [text.partition("：")[0] for _subject, text in faults] == [
        "审批 CHG-1 发给desk的消息一条也没有送到",
        "审批 CHG-1 发给night的消息一条也没有送到",
    ]
