"""What members type, and the answer to each."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.models import Approval, Asked
from fta.models import AuditEntry, Business, Duty, Person, Switch
from tests import factories
from tests.wechat.conftest import external
from wechat.commands import answer
from wechat.commands.grammar import parse


@pytest.mark.parametrize(
    ("text", "verb", "codes", "comment"),
    [
        ("TY 20431_2", "approve", ("20431_2",), ""),
        ("ty20431_2", "approve", ("20431_2",), ""),
        ("ＴＹ　２０４３１＿２", "approve", ("20431_2",), ""),
        ("  T Y   20431 _ 2  ", "approve", ("20431_2",), ""),
        ("ty:20431_2。", "approve", ("20431_2",), ""),
        ("\u200bTY\u00a020431_2\ufeff", "approve", ("20431_2",), ""),
        ("同意 20431_2 已确认业务无影响", "approve", ("20431_2",), "已确认业务无影响"),
        ("批准20431_2", "approve", ("20431_2",), ""),
        ("ty20431_2_3好的", "approve", ("20431_2_3",), "好的"),
        ("ＴＹ　２０４３１ ＿ ２＿ ３　２号", "approve", ("20431_2_3",), "2号"),
        ("TY 1_0_2/2_0、3_1_10 TY4_0_2 都看过了", "approve", ("1_0_2", "2_0", "3_1_10", "4_0_2"), "都看过了"),
        ("同意请回复: TY 1_0_2", "approve", ("1_0_2",), ""),
        ("OK 1_0，2_0、3_1；4_0 都看过了", "approve", ("1_0", "2_0", "3_1", "4_0"), "都看过了"),
        ("TY 1_0 TY 2_0", "approve", ("1_0", "2_0"), ""),
        ("TY 1_0 web-11 已摘流量", "approve", ("1_0",), "web-11 已摘流量"),
        ("同意请回复: TY 20431_2", "approve", ("20431_2",), ""),
        ("TY CHG-3307 灰度", "approve", ("CHG-3307",), "灰度"),
        ("TY", "approve", (), ""),
        ("同意。", "approve", (), "。"),
        ("BH 20431_2 先别动", "refuse", ("20431_2",), "先别动"),
        ("ＢＨ２０４３１＿２", "refuse", ("20431_2",), ""),
        ("驳回 1_0", "refuse", ("1_0",), ""),
        ("拒绝 1_0", "refuse", ("1_0",), ""),
        ("不同意 1_0", "refuse", ("1_0",), ""),
        ("待办", "list", (), ""),
        ("详情 1_0", "details", ("1_0",), ""),
        ("转交 1_0 wangwu", "delegate", ("1_0", "wangwu"), ""),
        ("停止 game 30", "halt", ("game", "30"), ""),
        ("恢复", "resume", (), ""),
        ("帮助", "help", (), ""),
        ("？", "help", (), ""),
        ("同意吗？", "unknown", (), ""),
        ("TY 1_0 吗？", "unknown", (), ""),
        ("同意不了", "unknown", (), ""),
        ("不批准 1_0", "unknown", (), ""),
        ("okay", "unknown", (), ""),
        ("type 1_0", "unknown", (), ""),
        ("待办事项明天再说", "unknown", (), ""),
        ("你好", "unknown", (), ""),
        ("TY 1_0 BH 2_0", "conflict", (), ""),
        ("BH 1_0，同意 2_0", "conflict", (), ""),
    ],
)
def test_it_reads_a_reply(text: str, verb: str, codes: tuple[str, ...], comment: str) -> None:
    command = parse(text)[0]
    assert command.verb == verb
    if verb not in ("unknown", "conflict"):
        assert (command.words, command.comment.strip("。")) == (codes, comment.strip("。"))


def test_it_reads_each_line_and_joins_a_comment_that_goes_on() -> None:
    commands = parse("TY 1_0\n已看过\nBH 2_0 不急")
    assert [(c.verb, c.words, c.comment) for c in commands] == [
        ("approve", ("1_0",), "已看过"),
        ("refuse", ("2_0",), "不急"),
    ]


def test_it_knows_codes_that_look_like_words() -> None:
    assert parse("TY 发布单甲 好", {"发布单甲"})[0].words == ("发布单甲",)


@pytest.mark.parametrize("text", ["", "\n", "TY " * 500, "‮TY 1_0", "𝕋𝕐 1_0", "TY " + "9" * 5000, "\ud800", "<xml>"])
def test_it_never_breaks(text: str) -> None:
    assert isinstance(parse(text), list)


def say(text: str, person: Person) -> str:
    return answer(text, person, timezone.now())


def test_it_takes_ty_alone_when_exactly_one_waits(operator: Person, approval: Approval) -> None:
    assert say("TY", operator) == "【故障自愈】审批成功"
    approval.refresh_from_db()
    assert approval.state == "approved"


def test_it_asks_which_one_when_several_wait(operator: Person, approval: Approval) -> None:
    external("CHG-2", operator)
    said = say("TY", operator)
    assert said.startswith("【故障自愈】审批失败：有 2 个审批在等你")
    assert "CHG-1" in said
    assert "CHG-2" in said
    assert Approval.objects.filter(state="pending").count() == 2


def test_it_says_who_has_the_duty(operator: Person, stranger: Person) -> None:
    Duty.objects.create(name="一线", people=[operator.user.get_username()])
    Duty.objects.create(name="空", people=[])
    assert say("值班", operator) == f"现在值班：\n一线　{operator.name}"
    assert say("值班 一线", operator) == say("值班", operator)
    for text, person in (("值班 二线", operator), ("值班", stranger)):
        assert say(text, person).startswith("没有这样的值班表")


def test_it_says_so_when_nothing_waits(operator: Person) -> None:
    assert say("TY", operator) == "【故障自愈】审批失败：没有等你决定的审批。"


def test_it_decides_several_and_answers_each(operator: Person, approval: Approval) -> None:
    external("CHG-2", operator)
    lines = say("ok CHG-1 CHG-2", operator).split("\n")
    assert lines == ["CHG-1 【故障自愈】审批成功", "CHG-2 【故障自愈】审批成功"]
    assert Approval.objects.filter(state="approved").count() == 2


def test_it_names_an_unknown_code_and_the_right_form(operator: Person) -> None:
    said = say("TY 99_0", operator)
    assert said.startswith("【故障自愈】审批失败：没有编号为 99_0 的审批。")
    assert "TY 编号" in said


def test_it_tells_the_second_who_was_first(operator: Person, approver: Person, approval: Approval) -> None:
    Asked.objects.create(approval=approval, user=approver.user, why="person")
    assert say("TY CHG-1", operator) == "【故障自愈】审批成功"
    said = say("BH CHG-1", approver)
    assert said.startswith("【故障自愈】审批失败：lisi")
    assert "同意" in said
    approval.refresh_from_db()
    assert approval.state == "approved"


def test_it_refuses_a_late_answer(operator: Person, approval: Approval) -> None:
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    said = say("TY CHG-1", operator)
    assert said.startswith("【故障自愈】审批失败：")
    assert "过期" in said
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_it_decides_nothing_for_a_line_that_says_both(operator: Person, approval: Approval) -> None:
    external("CHG-2", operator)
    assert "既有同意又有驳回" in say("TY CHG-1 BH CHG-2", operator)
    assert Approval.objects.filter(state="pending").count() == 2


def test_it_lists_and_shows_details(operator: Person, approval: Approval, stranger: Person) -> None:
    assert "CHG-1　发布 CHG-1　剩 " in say("待办", operator)
    assert "发布 CHG-1" in say("详情 CHG-1", operator)
    assert say("详情 CHG-1", stranger).startswith("没有编号为 CHG-1 的审批。")
    assert "详情 20431_2" in say("详情", operator)


@pytest.mark.parametrize("word", ["待办", "详情 CHG-1"])
def test_no_text_of_others_is_a_link_or_a_mention_in_a_reply(operator: Person, approval: Approval, word: str) -> None:
    hostile = "<a href=http://evil.example.com/>点此同意</a>\n<@all>"
    Approval.objects.update(message=hostile, evidence={"quorums": [1], "reasons": [hostile]})
    told = say(word, operator)
    assert "点此同意" in told
    assert not {"<", "http://evil"} & {part for part in ("<", "http://evil") if part in told}


def test_it_hands_an_approval_on_and_on(
    operator: Person, approver: Person, stranger: Person, approval: Approval
) -> None:
    assert say("转交 CHG-1 wangwu", operator) == "已把 CHG-1 转交给 wangwu。"
    assert Asked.objects.get().user == approver.user
    assert say("TY CHG-1", operator).startswith("【故障自愈】审批失败：")
    assert "转交给 stranger" in say("转交 CHG-1 stranger", approver)
    assert say("TY CHG-1", stranger) == "【故障自愈】审批成功"
    assert "没有登记" in say("转交 CHG-1 ghost", stranger)


def test_it_halts_and_resumes_healing_for_admins_only(admin: Person, operator: Person, game: Business) -> None:
    for scope in ("all", "game"):  # on the page this operator of every business may
        assert "只有管理员" in say(f"停止 {scope} 30", operator)
    assert not Switch.objects.in_force().exists()
    assert "已停止自愈：game，30 分钟" in say("停止 game 30分钟", admin)
    switch = Switch.objects.in_force().get()
    assert (switch.scope, switch.key) == ("business", "game")
    assert AuditEntry.objects.filter(actor="boss").exists()
    assert "解除 1 处" in say("恢复", admin)
    assert not Switch.objects.in_force().exists()


@pytest.mark.parametrize("text", ["停止", "停止 all", "停止 all soon", "停止 nowhere 30", "恢复 all"])
def test_it_explains_a_wrong_switch(admin: Person, text: str) -> None:
    assert say(text, admin)
    assert not Switch.objects.exists()


def test_it_halts_a_package(admin: Person) -> None:
    factories.package("clean-disk")
    say("停止 clean-disk 5", admin)
    assert Switch.objects.get().scope == "package"


@pytest.mark.parametrize("text", ["你好", "同意吗？", "帮助", "", "转交", "转交 1_0 x"])
def test_it_answers_everything(operator: Person, text: str) -> None:
    assert say(text, operator).strip()
