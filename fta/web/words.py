"""Small texts that pages put together from rows."""

import json
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

DIMENSIONS: dict[str, Promise] = {
    "host": _("主机"),
    "set": _("集群"),
    "module": _("模块"),
    "business": _("业务"),
    "alert_type": _("告警类型"),
    "package": _("套餐"),
    "source": _("告警源"),
    "severity": _("级别"),
}

CHANNELS: dict[str, Promise] = {
    "reply": _("企业微信回复"),
    "card": _("企业微信卡片"),
    "todo": _("待办页"),
    "web": _("网页"),
    "api": _("接口"),
}
WORK: dict[str, Promise] = {
    "inbox": _("读收到的告警"),
    "sleeper": _("收敛后再判断"),
    "flow_control": _("限流"),
    "backtest": _("回测"),
    "execution": _("开始执行"),
    "step": _("执行步骤"),
    "verification": _("判定自愈"),
    "approval": _("审批的提醒与过期"),
    "delivery": _("投递消息"),
}
EVENTS: dict[str, Promise] = {
    "alert.firing": _("告警"),
    "alert.resolved": _("告警恢复"),
    "execution.started": _("执行开始"),
    "execution.succeeded": _("执行成功"),
    "execution.almost": _("基本成功"),
    "execution.failed": _("执行失败"),
    "execution.skipped": _("执行跳过"),
    "execution.unknown": _("结果未知"),
    "approval.asked": _("审批请求"),
    "approval.reminded": _("审批提醒"),
    "approval.decided": _("审批已决定"),
    "approval.expired": _("审批过期"),
    "convergence.notice": _("收敛通知"),
    "convergence.summary": _("收敛汇总"),
    "convergence.defence": _("异常防御"),
    "system.fault": _("系统故障"),
    "step.message": _("通知节点"),
}


def dimension_word(name: str) -> str:
    """Return what a dimension is called; `label:switch` is 标签 switch."""
    if name.startswith("label:"):
        return gettext("标签 %(name)s") % {"name": name.removeprefix("label:")}
    return str(DIMENSIONS.get(name, name))


def shared_rows(findings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the values that the members of an incident have in common, with their counts and percentages."""
    looked_at = findings.get("looked_at", 0)
    return [
        {**each, "word": dimension_word(each["name"]), "of": looked_at, "percent": round(100 * each["share"])}
        for each in findings.get("shared", [])
    ]


def dimensions_text(dimensions: Any) -> list[tuple[str, str]]:
    """Return the dimension values of an incident as (word, value)."""
    if not isinstance(dimensions, Mapping):
        return []
    return [(dimension_word(str(name)), _plain(value)) for name, value in dimensions.items()]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def channel_word(channel: str) -> str:
    """Return by which way somebody decided."""
    return str(CHANNELS.get(channel, channel))


def work_word(kind: str) -> str:
    """Return what a kind of work does."""
    return str(WORK.get(kind, kind))


def event_word(event: str) -> str:
    """Return what a delivery tells of."""
    return str(EVENTS.get(event, event))
