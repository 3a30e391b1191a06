"""Every text that a member gets in the WeCom conversation, in one place.

`APPROVED` and `failed` are fixed: other people's programs and habits rely on them to the letter.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from approvals.messages import shorten
from approvals.models import Approval
from fta.templatetags.moments import rough_text

APPROVED = "【故障自愈】审批成功"
LIST_LENGTH = 10
CODE_LENGTH = 64  # of an approval's code; what is longer was typed by somebody


def failed(reason: str) -> str:
    """Return the fixed text for an answer that changed nothing."""
    return f"【故障自愈】审批失败：{reason}"


def right_form() -> str:
    """Return how to answer."""
    return _("同意请回复：TY 编号\n驳回请回复：BH 编号\n例如：TY 20431_2")


def answer_form(code: str) -> str:
    """Return how to answer this approval."""
    return _("同意请回复：TY %(code)s\n驳回请回复：BH %(code)s") % {"code": code}


def name_the_code(code: str) -> str:
    """Return why an answer without a code is not taken for what was asked again: it may be meant for an earlier round."""
    return _("%(code)s 是重新审批的，请看过新的内容，再写明编号。\n%(form)s") % {
        "code": code,
        "form": answer_form(code),
    }


def help_text() -> str:
    """Return what the conversation understands."""
    return _(
        "【故障自愈】可以这样回复：\n"
        "TY 编号　同意，可以一次写几个编号，后面可以加意见\n"
        "BH 编号　驳回\n"
        "待办　列出等你决定的审批\n"
        "详情 编号　查看依据\n"
        "转交 编号 账号　请别人代为决定\n"
        "值班　现在谁值班\n"
        "停止 all|业务|套餐 分钟　停止自愈（管理员）\n"
        "恢复　恢复自愈（管理员）\n"
        "只有一个审批在等你时，可以只回复 TY 或 BH。"
    )


def on_duty(turns: Sequence[tuple[str, str]]) -> str:
    """Return who has the duty now, a line for each list."""
    return "\n".join([_("现在值班："), *(f"{name}　{who}" for name, who in turns)])


def no_duties() -> str:
    """Return the answer where there is no list of that name, or none for whoever asks."""
    return _("没有这样的值班表。写法：值班，或 值班 名称")


def not_understood(text: str) -> str:
    """Return the answer to a text that is no command."""
    shown = text.strip().replace("\n", " ")[:40]
    return _("没有看懂“%(text)s”。\n%(form)s\n回复“帮助”查看全部写法。") % {"text": shown, "form": right_form()}


def only_text() -> str:
    """Return the answer to a picture, a voice message and the like."""
    return _("这里只认文字。回复“帮助”查看写法。")


def not_registered(userid: str) -> str:
    """Return why somebody unknown to the portal can do nothing here."""
    return _("企业微信账号 %(userid)s 没有登记为门户的人员，请联系管理员登记。") % {"userid": userid}


def no_code() -> str:
    """Return why an answer without a code cannot be taken when nothing waits."""
    return _("没有等你决定的审批。")


def which_code(codes: Sequence[str]) -> str:
    """Return why an answer without a code cannot be taken when several wait."""
    return _("有 %(n)d 个审批在等你，请写明编号：%(codes)s") % {
        "n": len(codes),
        "codes": "、".join(codes[:LIST_LENGTH]),
    }


def unknown_code(code: str) -> str:
    """Return that no approval has this code."""
    return _("没有编号为 %(code)s 的审批。") % {"code": _cut(code)}


def misplaced_code(code: str) -> str:
    """Return why an answer whose comment mentions a code, and which names none itself, is not taken."""
    return _("%(code)s 没有写在 TY 或 BH 后面，不能确定要处理的是不是它。") % {"code": _cut(code)}


def _cut(code: str) -> str:
    return code if len(code) <= CODE_LENGTH else f"{code[:CODE_LENGTH]}…"


def unknown_button() -> str:
    """Return the answer to a button that this portal did not draw."""
    return _("这个按钮不是当前审批的，请从审批列表里打开。")


def both_answers() -> str:
    """Return why a message that says yes and no is not taken."""
    return _("消息里既有同意又有驳回，未处理。请只写一种；要分别处理几个审批，请每行写一个并带上编号。")


def pending(approvals: Sequence[Approval], now: datetime, link: str) -> str:
    """Return the list of what waits for this person."""
    if not approvals:
        return _("没有等你决定的审批。")
    lines = [_("有 %(n)d 个审批在等你：") % {"n": len(approvals)}]
    for approval in approvals[:LIST_LENGTH]:
        left = rough_text(approval.expires_at - now)
        lines.append(
            _("%(code)s　%(what)s　剩 %(left)s")
            % {"code": approval.code, "what": shorten(approval.message, 60), "left": left}
        )
    if len(approvals) > LIST_LENGTH:
        lines.append(_("另有 %(n)d 个，请打开审批列表。") % {"n": len(approvals) - LIST_LENGTH})
    return "\n".join([*lines, link])


def switched_off(scope: str, minutes: int) -> str:
    """Return that healing is halted."""
    return _("已停止自愈：%(scope)s，%(minutes)d 分钟后自动恢复。") % {"scope": scope, "minutes": minutes}


def switched_on(count: int) -> str:
    """Return that healing goes on."""
    return _("已恢复自愈，解除 %(n)d 处停止。") % {"n": count} if count else _("自愈没有被停止。")


def others_halted(scope: str, halted: Sequence[str]) -> str:
    """Return that this scope is not halted by itself, and what is; "" is everything."""
    everything = _("全部")
    names = "、".join(key or everything for key in halted[:LIST_LENGTH])
    return _("没有单独停止 %(scope)s。现在停止的有：%(names)s。") % {"scope": scope or everything, "names": names}


def only_admins() -> str:
    """Return who may halt healing."""
    return _("只有管理员可以停止或恢复自愈。")


def switch_form() -> str:
    """Return how to halt healing."""
    return _("请写明范围和分钟数，例如：停止 all 30，停止 game 30，停止 clean-disk 30。")


def resume_form() -> str:
    """Return how to let healing go on."""
    return _("请写：恢复，或 恢复 范围，例如：恢复 game。")


def unknown_scope(key: str) -> str:
    """Return that there is nothing of this name to halt or resume."""
    return _("没有代码为 %(key)s 的业务，也没有标识为 %(key)s 的套餐。") % {"key": _cut(key)}


def delegated(code: str, name: str) -> str:
    """Return that somebody else decides."""
    return _("已把 %(code)s 转交给 %(name)s。") % {"code": code, "name": name}


def delegate_form() -> str:
    """Return how to hand an approval on."""
    return _("请写明编号和对方的企业微信账号，例如：转交 20431_2 wangwu。")


def delegate_failed(reason: str) -> str:
    """Return why an approval was not handed on."""
    return _("转交失败：%(reason)s") % {"reason": reason}


def details_form() -> str:
    """Return how to ask for the evidence."""
    return _("请写明编号，例如：详情 20431_2。")


def welcome() -> str:
    """Return the greeting of somebody who newly sees the application."""
    return _("已接入故障自愈。需要你审批时，消息会发到这里；回复“帮助”查看写法。")


def details(approval: Approval, evidence: Mapping[str, Any], newer: str, link: str) -> str:
    """Return the evidence of an approval, as lines of a text; `newer` is the code under which it was asked again."""
    alert, host, incident = evidence.get("alert"), evidence.get("host"), evidence.get("incident")
    rows = [
        (_("编号"), f"{approval.code}（{Approval.State(approval.state).label}）"),
        (_("内容"), approval.message),
        (_("已重新审批"), newer),
        (_("计划变了"), "；".join(evidence.get("changes", ()))),
        (_("原因"), "；".join(evidence.get("reasons", ()))),
        (_("告警"), f"{alert['type']} {alert['content']}" if alert else ""),
        (_("主机"), f"{host['name']} {host['ip']}" if host else ""),
        (_("收敛事件"), _("%(title)s，共 %(count)d 条") % incident if incident else ""),
        (_("将执行"), "；".join(f"{run['title']} {run['text']}".strip() for run in evidence.get("runs", ()))),
        (_("风险"), evidence.get("risk")),
        (_("涉及"), _("%(n)d 台") % {"n": evidence["host_count"]} if evidence.get("host_count") else ""),
        (_("最近五次"), evidence.get("last_five_summary")),
        (_("无人回答"), evidence.get("on_silence") if approval.state == Approval.State.PENDING else ""),
        (_("计划摘要"), evidence.get("short_hash")),
    ]
    lines = [f"{name}：{shorten(str(value), 200)}" for name, value in rows if value]
    return "\n".join([*lines, link])
