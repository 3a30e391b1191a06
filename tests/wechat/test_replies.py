"""Which approvals a reply decides: those that its writer named, or the only one that waits, and no other."""

import re

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.models import Approval, Asked
from fta.models import AuditEntry, Business, Person, StepRun, Switch
from tests import factories
from tests.wechat.conftest import external
from wechat.commands import answer, answers_in
from wechat.commands.grammar import parse

REQUEST = "【故障自愈】即将执行 清理磁盘,请审核！\n同意请回复: TY 9_0\n驳回请回复: BH 9_0"


def say(text: str, person: Person) -> str:
    return answer(text, person, timezone.now())


def states() -> dict[str, str]:
    return {row.code: row.state for row in Approval.objects.exclude(state="pending")}


UNKNOWN = [
    ("TY 5", "5"),
    ("TY 7", "7"),
    ("TY 2024-001", "2024-001"),
    ("TY 20431-2", "20431-2"),
    ("TY release", "release"),
    ("TY 3_0", "3_0"),
    ("ty3_0", "3_0"),
    ("TY 3_0已看", "3_0"),
    ("TY 3_0，已看", "3_0"),
    ("TY <3_0>", "3_0"),
    ("TY ＜3_0＞", "3_0"),
    ("TY (3_0)", "3_0"),
    ("TY（3_0）已看", "3_0"),
    ("TY “3_0”", "3_0"),
    ("TY '3_0'", "3_0"),
    ("TY `3_0`", "3_0"),
    ("TY 【3_0】", "3_0"),
    ("TY #3_0", "3_0"),
    ("TY 编号3_0", "3_0"),
    ("TY 编号：3_0", "3_0"),
    ("TY\t3_0", "3_0"),
    ("TY\v3_0\f已看", "3_0"),
    ("TY\u16803_0", "3_0"),
    ("TY\u20283_0", "3_0"),
    ("TY\u20293_0", "3_0"),
    ("TY\x853_0", "3_0"),
    ("TY\n3_0", "3_0"),
    ("TY 3 _ 0", "3_0"),
    ("TY 3_0_0", "3_0_0"),
    ("TY 3_0_2_2", "3_0_2_2"),
    ("TY ③", "3"),
    ("TY 0c6b1f0e-5d6a-4b7e-9f57-0a3f6d0f8a11", "0c6b1f0e-5d6a-4b7e-9f57-0a3f6d0f8a11"),
    ("TY CHG/3307", "CHG/3307"),
    ("OK thanks", "thanks"),
    ("OK, ok3", "ok3"),
    ("同意 已看 web-11", "web-11"),
    ("同意 已看 3_0", "3_0"),
    ("同意 编号", "编号"),
    ("同意 <编号>", "<编号>"),
    ("TY 2", "2"),
    ("TY 第2台", "2"),
    ("3_0\nTY", "3_0"),
    ("「故障自愈：即将执行 3_0」\n- - - -\nTY", "3_0"),
    ("BH 5", "5"),
    ("BH 3_0不急", "3_0"),
    ("驳回 release", "release"),
    ("拒绝 <3_0>", "3_0"),
]


@pytest.mark.parametrize(("text", "code"), UNKNOWN)
def test_it_decides_no_other_approval_than_the_one_that_is_named(operator: Person, text: str, code: str) -> None:
    external("9_0", operator)
    said = say(text, operator)
    assert f"【故障自愈】审批失败：没有编号为 {code} 的审批。\n同意请回复：TY 编号" in said
    assert states() == {}
    assert "审批成功" not in said


@pytest.mark.parametrize(
    "text",
    [
        "OK，驳回",
        "ok 拒绝",
        "TY BH",
        "TY 不同意",
        "TY 不 同意",
        "TY，还是驳回吧",
        "OK 但我不批准",
        "TY 9_0 驳回",
        "TY 9_0 BH",
        "T Y 9_0 B H",
        "TY 9_0BH",
        "TY 9_0BH 1_0",
        "TY 9_0 …BH",
        "TY 9_0 -BH",
        "TY 9_0\tBH",
        "TY 9_0 已看\n写错了，驳回",
        "我说错了，驳回\nTY 9_0",
        "BH TY",
        "BH 9_0 TY",
        "BH 9_0，同意",
        "驳回，我同意",
        "不同意 OK",
        "TY 9_0\nBH 9_0",
        "BH 9_0\nTY 9_0",
        "TY\nBH",
        "TY 9_0\nBH",
        "BH 9_0\nTY",
        REQUEST,
        f"{REQUEST}\nBH 9_0",
        f"{REQUEST}\n- - - - -\nTY",
        f"「故障自愈：{REQUEST}」\n- - - - -\nBH 9_0",
        f"{REQUEST.replace(chr(10), ' ')}\nTY 9_0",
        "12:30:00 过期。同意请回复: TY 9_0，驳回请回复: BH 9_0\nTY",
        "TY 1_0\nTY 9_0 BH 2_0",
        "驳回请回复: TY",
        "OK 驳回请回复:",
        "同意请回复: BH 9_0",
    ],
)
def test_it_decides_nothing_for_a_message_that_says_both(operator: Person, text: str) -> None:
    external("9_0", operator)
    external("1_0", operator)
    said = say(text, operator)
    assert said.startswith("【故障自愈】审批失败：消息里既有同意又有驳回")
    assert states() == {}


@pytest.mark.parametrize(
    ("text", "decided", "comment"),
    [
        ("TY", "9_0", ""),
        ("OK", "9_0", ""),
        ("OK, TY", "9_0", ""),
        ("同意 已确认业务无影响", "9_0", "已确认业务无影响"),
        ("同意，（夜间）执行", "9_0", "(夜间)执行"),
        ("TY\n已看", "9_0", "已看"),
        ("TY [强]", "9_0", "[强]"),
        ("TY 9_0\n已看过\nweb-11 已摘", "9_0", "已看过 web-11 已摘"),
        ("TY 9_0 上线单 CHG-3307", "9_0", "上线单 CHG-3307"),
        ("TY 9_0已看", "9_0", "已看"),
        ("TY 9_0 web-bh-1 已摘", "9_0", "web-bh-1 已摘"),
        ("TY 9_0 bh-web-01 已摘", "9_0", "bh-web-01 已摘"),
        ("TY 9_0 端口拒绝连接，请重启", "9_0", "端口拒绝连接,请重启"),
        ("TY 9_0 连接被拒绝", "9_0", "连接被拒绝"),
        ("TY <9_0>", "9_0", ""),
        ("TY（9_0）已看", "9_0", "已看"),
        ("TY 编号 9_0", "9_0", ""),
        ("TY\n9_0", "9_0", ""),
        ("TY\u16809_0\u2028已看", "9_0", "已看"),
        ("TY 9_0。", "9_0", ""),
        ("同意请回复: TY 9_0", "9_0", ""),
    ],
)
def test_it_takes_what_can_be_read_in_one_way(operator: Person, text: str, decided: str, comment: str) -> None:
    external("9_0", operator)
    assert say(text, operator) == "【故障自愈】审批成功"
    assert states() == {decided: "approved"}
    assert Approval.objects.get().comment.removeprefix("同意（微信审批）").removeprefix("：") == comment


@pytest.mark.parametrize(
    "text", ["TY 1_0 2_0", "TY 1_0\t2_0", "TY 1_0和2_0", "TY 1_0/2_0", "TY <1_0>、<2_0>", "ty1_0,ty2_0"]
)
def test_it_takes_several_codes_and_no_third(operator: Person, text: str) -> None:
    for code in ("1_0", "2_0", "9_0"):
        external(code, operator)
    assert say(text, operator) == "1_0 【故障自愈】审批成功\n2_0 【故障自愈】审批成功"
    assert states() == {"1_0": "approved", "2_0": "approved"}


WORDS = ("TY", "ty", "OK", "ok", "同意", "批准", "BH", "bh", "驳回", "不同意", "编号", "和", "已看", "了", "不", "我")
PIECES = [*WORDS, "9_0", "3_0", "2024-001", "rel", "5", *" \n\t<>()“”，：。、/-！「」"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
def test_a_yes_names_its_code_or_holds_nothing_that_could_be_one(text: str) -> None:
    commands = parse(text, {"9_0"})
    yes = [command for command in commands if command.verb == "approve" and not command.doubt]
    if any("9_0" in command.words for command in yes):
        assert "9_0" in text
    if any(not command.words for command in yes):
        assert not re.search("[A-Za-z0-9]", re.sub("ty|ok", "", text, flags=re.IGNORECASE))
    others = [command for command in commands if command.verb == "refuse" and command.words]
    assert not yes or others or not re.search("驳回|不同意|(?<![A-Za-z])bh(?![A-Za-z])", text, re.IGNORECASE)


def test_a_refusal_may_speak_of_consent_and_lines_of_different_codes(operator: Person) -> None:
    for code in ("1_0", "2_0"):
        external(code, operator)
    assert say("BH 1_0 等业务同意再说", operator) == "【故障自愈】审批成功"
    assert say("TY 2_0 已看\nBH 1_0", operator).startswith("【故障自愈】审批成功\n【故障自愈】审批失败：")
    assert states() == {"1_0": "refused", "2_0": "approved"}
    external("3_0", operator)
    assert say("BH 3_0 须先批准变更", operator) == "【故障自愈】审批成功"


def test_an_answer_without_a_code_means_what_waited_before_the_message(operator: Person) -> None:
    for code in ("1_0", "2_0"):
        external(code, operator)
    assert say("TY 1_0\nTY", operator) == "【故障自愈】审批成功"
    assert states() == {"1_0": "approved"}
    assert say("TY\nTY", operator) == "【故障自愈】审批成功"
    assert states() == {"1_0": "approved", "2_0": "approved"}
    external("3_0", operator)
    for text in ("TY 5\nOK", "OK\nOK, 5", "OK\n同意 见 5"):
        assert "没有编号为 5 的审批" in say(text, operator)
    assert states() == {"1_0": "approved", "2_0": "approved"}


def test_a_code_that_was_decided_is_answered_as_such_and_decides_no_other(operator: Person) -> None:
    for code in ("2024-001", "2024-002", "release"):
        external(code, operator)
    for code in ("2024-001", "release"):
        assert say(f"TY {code}", operator) == "【故障自愈】审批成功"
        assert f"同意了 {code}，你的回答没有改变它" in say(f"TY {code}", operator)
    assert states() == {"2024-001": "approved", "release": "approved"}


def offering(person: Person, *offered: int) -> Approval:
    """An approval, code 8_1, of a step that offers hosts to choose from."""
    step = factories.step(factories.execution(), state=StepRun.State.WAITING, result={"offered": list(offered)})
    made = external("8_1", person)
    Approval.objects.filter(pk=made.pk).update(step=step)
    return made


@pytest.mark.parametrize(
    ("text", "others", "comment"),
    [
        ("TY 2", (), "2"),
        ("TY 2号", (), "2号"),
        ("TY 第2台", (), "第2台"),
        ("ty12", (), "12"),
        ("TY 8_1 2", ("9_0",), "2"),
        ("TY 2", ("9_0",), None),
        ("TY 2 web-1", (), None),
        ("TY 2000", (), None),
        ("BH 2", (), None),
    ],
)
def test_a_bare_number_chooses_only_where_a_number_is_asked_for(
    operator: Person, text: str, others: tuple[str, ...], comment: str | None
) -> None:
    offering(operator, 11, 12)
    for code in others:
        external(code, operator)
    say(text, operator)
    assert states() == ({} if comment is None else {"8_1": "approved"})
    if comment:
        assert Approval.objects.get(code="8_1").comment == f"同意（微信审批）：{comment}"


def test_a_bare_number_chooses_nothing_where_it_was_asked_again(operator: Person) -> None:
    Approval.objects.filter(pk=offering(operator, 11, 12).pk).update(code="8_1_2", round=2)
    assert say("TY 2", operator).endswith("同意请回复：TY 8_1_2\n驳回请回复：BH 8_1_2")
    assert states() == {}
    assert say("TY 8_1_2 2", operator) == "【故障自愈】审批成功"
    assert Approval.objects.get().comment == "同意（微信审批）：2"


def test_a_number_that_is_a_code_is_one(operator: Person) -> None:
    offering(operator, 11, 12)
    Approval.objects.filter(pk=external("2").pk).update(state="approved")
    assert "你不是 2 的审批人" in say("TY 2", operator)
    assert states() == {"2": "approved"}


def test_of_codes_that_differ_in_case_the_one_that_was_written_is_meant(operator: Person, approver: Person) -> None:
    for code in ("CHG-1a", "CHG-1A"):
        external(code, operator)
    assert "CHG-1a、CHG-1A" in say("TY chg-1a", operator)
    assert states() == {}
    assert "发布 CHG-1a" in say("详情 CHG-1a", operator)
    assert say("转交 CHG-1a wangwu", operator) == "已把 CHG-1a 转交给 wangwu。"
    assert Asked.objects.get(user=approver.user).approval.code == "CHG-1a"
    assert say("TY CHG-1a", approver) == "【故障自愈】审批成功"
    assert states() == {"CHG-1a": "approved"}
    assert "你的回答没有改变它" in say("TY CHG-1a", approver)
    assert say("ty chg-1a", operator) == "【故障自愈】审批成功"  # of those that wait for this person
    assert states() == {"CHG-1a": "approved", "CHG-1A": "approved"}


def test_the_answer_of_an_unknown_sender_is_found_by_any_code(operator: Person) -> None:
    made = external("release", operator)
    assert answers_in("TY release") == [(made.pk, "approve")]
    assert answers_in("TY 3_0") == []


@pytest.mark.parametrize(
    ("text", "said", "form"),
    [
        ("详情 99_9", "没有编号为 99_9 的审批。", "例如：详情 20431_2"),
        ("转交 99_9 wangwu", "转交失败：没有编号为 99_9 的审批。", "例如：转交 20431_2 wangwu"),
        ("转交 CHG-1 ghost", "转交失败：企业微信账号 ghost 没有登记", "例如：转交 20431_2 wangwu"),
        ("停止 nowhere 30", "没有代码为 nowhere 的业务", "例如：停止 all 30"),
        ("恢复 gmae", "没有代码为 gmae 的业务", "例如：恢复 game"),
        ("恢复 all", "没有单独停止 全部。现在停止的有：game。", ""),
        ("恢复 clean-disk", "没有单独停止 clean-disk。现在停止的有：game。", ""),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong_and_the_right_form(
    admin: Person, approval: Approval, game: Business, text: str, said: str, form: str
) -> None:
    factories.package("clean-disk")
    say("停止 game 30", admin)
    told = say(text, admin)
    assert told.startswith(said)
    assert form in told
    assert Switch.objects.in_force().get().key == "game"
    assert not AuditEntry.objects.filter(verb="approval.hand_over").exists()
