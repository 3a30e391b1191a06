"""The events that a notification rule may name."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

EVENTS = {
    "alert.firing": _("告警"),
    "alert.resolved": _("告警恢复"),
    "execution.started": _("执行开始"),
    "execution.succeeded": _("执行成功"),
    "execution.almost": _("基本成功"),
    "execution.failed": _("执行失败"),
    "execution.skipped": _("跳过执行"),
    "execution.unknown": _("结果未知"),
    "approval.asked": _("审批请求"),
    "approval.reminded": _("审批提醒"),
    "approval.decided": _("审批结果"),
    "approval.expired": _("审批过期"),
    "convergence.notice": _("收敛通知"),
    "convergence.summary": _("收敛汇总"),
    "convergence.defence": _("异常防御"),
    "shadow.summary": _("演练日报"),
    "system.fault": _("系统故障"),
}
_PATTERNS = frozenset(f"{name.split('.', 1)[0]}.*" for name in EVENTS) | {"*"}


def is_pattern(text: object) -> bool:
    """Tell whether a rule may name this: an event, a family (`execution.*`), or everything (`*`)."""
    return isinstance(text, str) and (text in EVENTS or text in _PATTERNS)


def covers(patterns: Iterable[str], event: str) -> bool:
    """Tell whether one of the patterns names the event."""
    names = {event, f"{event.split('.', 1)[0]}.*", "*"}
    return any(pattern in names for pattern in patterns)
