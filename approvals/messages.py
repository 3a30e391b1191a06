"""The words of approvals: the fixed WeCom texts, the card, the records. Pure functions of rows that were loaded already."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from approvals.models import Approval, Decision
from fta.lib.links import absolute
from fta.models import Incident
from fta.templatetags.moments import moment_text
from notify.message import Message
from notify.messages import clean

# Exact texts that people and programs know; they are not translated.
REQUEST = "【故障自愈】即将执行 {message},请审核！\n同意请回复: TY {code}\n驳回请回复: BH {code}"
_ANSWERS = {Decision.Answer.APPROVE: "同意", Decision.Answer.REFUSE: "驳回"}
_WAYS = {"reply": "微信审批", "card": "微信审批", "todo": "微信审批", "web": "网页审批", "api": "接口审批"}

# What a WeCom card shows of a text before it cuts it by itself (page 90236 advises these lengths).
_TITLE, _LINE, _VALUE = 36, 56, 26
MOST_READERS = 1000  # of one card
MOST = 2000  # characters of a question: in Chinese three WeCom texts of 2048 bytes, the codes at the end of the last


def one_line(text: str) -> str:
    """Return the text on one line, without characters that hide or turn it."""
    return str(clean(text, "", "", MOST))


def shorten(text: str, length: int) -> str:
    """Return at most `length` characters of a text, its cut marked, with nothing that WeCom would make a mention or link of."""
    plain = str(clean(text, "wecom_app", "text", MOST))
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def recorded(answer: str, channel: str, comment: str) -> str:
    """Return the reason that is recorded for an answer: `同意（微信审批）`, with what the person added."""
    head = f"{_ANSWERS[Decision.Answer(answer)]}（{_WAYS[channel]}）"
    return f"{head}：{comment.strip()}" if comment.strip() else head


def clock(moment: datetime) -> str:
    """Return a moment as messages show it: `14:05:12`, with the day when it is not today's."""
    return moment_text(moment, timezone.now())


def detail_link(approval: Approval) -> str:
    """Return the absolute address of the page where the approval is decided on a phone."""
    try:
        path = reverse("wechat:todo-detail", args=[approval.pk])
    except NoReverseMatch:  # the portal without its WeCom part
        path = reverse("approvals:detail", args=[approval.pk])
    return absolute(path)


def todo_link() -> str:
    """Return the absolute address of the list of what waits for the reader."""
    try:
        return absolute(reverse("wechat:todo"))
    except NoReverseMatch:
        return absolute(reverse("approvals:list"))


def request_text(approval: Approval) -> Message:
    """Return the request that is answered by `TY <code>` or `BH <code>`."""
    text = REQUEST.format(message=shorten(approval.message, MOST), code=approval.code)
    return Message(form="text", text=text)


def card(approval: Approval, evidence: Mapping[str, Any], part: str) -> Message:
    """Return the card with the evidence and the buttons; `part` tells apart the cards of one approval."""
    return Message(
        form="approval_card",
        title=shorten(approval.message, _TITLE),
        text=card_text(approval, evidence),
        url=detail_link(approval),
        facts=card_facts(evidence),
        state=approval.state,
        task_id=task_id(approval, part),
        buttons=(
            (_("驳回"), f"refuse:{approval.pk}", "2"),
            (_("同意"), f"approve:{approval.pk}", "1"),
            (_("详情"), "detail", "4"),
        ),
        data={"approval": approval.pk, "code": approval.code},
    )


def as_mail(message: Message) -> Message:
    """Return a card as a mail: its lines, its facts and the link where it is answered."""
    lines = [message.title, message.text, *(f"{name}：{value}" for name, value in message.facts)]
    title = _("【故障自愈】待你审批：%(what)s") % {"what": message.title}
    return Message(form="plain", title=title, text="\n".join(filter(None, lines)), url=message.url, data=message.data)


def card_text(approval: Approval, evidence: Mapping[str, Any]) -> str:
    """Return what stands below a card's title: which question, what changed or why it is asked, what would run."""
    runs = [line for run in evidence.get("runs", ()) for line in str(run["text"]).splitlines() if line.strip()]
    incident = evidence.get("incident")
    about = "；".join(evidence.get("changes") or evidence.get("reasons") or ())
    whole = "" if len(approval.message) <= _TITLE else approval.message
    lines = [
        (_("编号 %(code)s，计划 %(hash)s") if evidence["short_hash"] else _("编号 %(code)s"))
        % {"code": approval.code, "hash": evidence["short_hash"]},
        _("计划变了：%(what)s") % {"what": about} if evidence.get("changes") else about or whole,
        _("执行：%(command)s") % {"command": "；".join(runs)} if runs else "",
        _("收敛事件：%(title)s，共 %(n)d 条") % {"title": incident["title"], "n": incident["count"]}
        if incident
        else "",
    ]
    return "\n".join(shorten(line, _LINE) for line in lines if line)


def task_id(approval: Approval, part: str) -> str:
    """Return the id under which WeCom knows a card; it names the round, so an old card cannot answer a new question.

    WeCom takes an id once for each application, for ever. The moment of asking tells a card from that of another portal on the
    same application, or of this one before its database was restored, which numbered its approvals alike.
    """
    asked = int(approval.created_at.timestamp() * 1_000_000)
    return f"fta-{approval.pk}-{approval.round}-{asked}-{part}"


def card_facts(evidence: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return at most six rows of evidence for a card: WeCom takes no more."""
    alert, host = evidence.get("alert"), evidence.get("host")
    rows = [
        (_("告警"), f"{alert['type']} {alert['content']}" if alert else ""),
        (_("对象"), _target(host)),
        (_("将执行"), "；".join(run["title"] for run in evidence.get("runs", ()))),
        (_("风险"), _impact(str(evidence.get("risk") or ""), int(evidence.get("host_count") or 0))),
        (_("最近五次"), str(evidence.get("last_five_summary") or "")),
        (_("无人回答"), str(evidence.get("on_silence") or "").rpartition("；")[2]),
    ]
    return tuple((name, shorten(value, _VALUE)) for name, value in rows if value)


def _target(host: Mapping[str, Any] | None) -> str:
    if not host:
        return ""
    name, owners = host["name"] or host["ip"], "、".join(host["operators"][:2])
    return _("%(host)s，负责人 %(who)s") % {"host": name, "who": owners} if owners else name


def _impact(risk: str, count: int) -> str:
    return _("%(risk)s，共 %(n)d 台") % {"risk": risk, "n": count} if risk and count else risk


def outcome(approval: Approval) -> str:
    """Return one line on how an approval ended: who decided what and when."""
    if approval.state == Approval.State.PENDING:
        return _("等待审批")
    moment = clock(approval.decided_at or approval.expires_at)
    word = str(Approval.State(approval.state).label)
    if approval.decided_by:
        who = approval.decided_by.get_full_name() or approval.decided_by.get_username()
        return _("%(who)s 已在 %(moment)s %(what)s") % {"who": who, "moment": moment, "what": word.removeprefix("已")}
    return _("%(what)s（%(moment)s）") % {"what": word, "moment": moment}


def card_end(approval: Approval) -> Message:
    """Return the update that tells every receiver of the card how it ended."""
    return Message(
        form="card_update",
        title=shorten(approval.message, _TITLE),
        text=outcome(approval),
        url=detail_link(approval),
        facts=((_("编号"), approval.code), (_("意见"), shorten(approval.comment, _VALUE) or "—")),
        state=approval.state,
        data={"approval": approval.pk, "code": approval.code},
    )


def reminder(approval: Approval) -> Message:
    """Return the reminder at half time, in the form that any channel can carry."""
    lines = [
        _("【故障自愈】还没有人回答：%(message)s") % {"message": shorten(approval.message, 200)},
        _("%(moment)s 过期。同意请回复: TY %(code)s，驳回请回复: BH %(code)s")
        % {"moment": clock(approval.expires_at), "code": approval.code},
    ]
    return Message(form="plain", title=lines[0], text="\n".join(lines), url=detail_link(approval))


def storm_reminder(incident: Incident, waiting: int) -> Message:
    """Return the reminder at half time of a storm, in the form that any channel can carry."""
    title = _("【故障自愈】还没有人回答：%(what)s，%(n)d 条待审批") % {
        "what": shorten(str(incident), 60),
        "n": waiting,
    }
    return Message(form="plain", title=title, text=title, url=todo_link(), data={"incident": incident.pk})


def storm(
    incident: Incident, waiting: int, types: Sequence[str], hosts: Sequence[str], packages: Sequence[str]
) -> Message:
    """Return the one message of a storm: what came, where, what waits and how risky it is, and where all of it is decided."""
    lines = [
        _("%(n)d 条待审批，收敛事件共 %(all)d 条") % {"n": waiting, "all": incident.execution_count},
        _("类型：%(types)s") % {"types": shorten("、".join(types), 60)},
        _("主机：%(hosts)s") % {"hosts": shorten("、".join(hosts), 80)},
        _("套餐：%(package)s") % {"package": shorten("、".join(packages), 60)},
    ]
    title = _("异常防御需审批：%(title)s") % {"title": shorten(str(incident), 20)}
    return Message(form="textcard", title=title, text="\n".join(lines), url=todo_link(), data={"incident": incident.pk})


def callback(approval: Approval) -> Message:
    """Return what the system that asked is told: the answer to its own approval."""
    user = approval.decided_by
    return Message(
        form="plain",
        title=outcome(approval),
        text=approval.comment,
        url=approval.callback_url,
        data={
            "obj_id": approval.external_ref,
            "approve_id": approval.pk,
            "status": approval.state,
            "approved": approval.state == Approval.State.APPROVED,
            "approver": user.get_username() if user else "",
            "comment": approval.comment,
            "decided_at": approval.decided_at.isoformat() if approval.decided_at else None,
        },
    )
