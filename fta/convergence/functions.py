"""The verdict functions: pure, each given where an execution stands in its incident, one table naming them all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.models import Execution

PROCEED, WAIT, APPROVE, BELOW, SKIP = "proceed", "wait", "approve", "below", "skip"
# The later in this list holds when rules disagree.
PRECEDENCE = (PROCEED, WAIT, APPROVE, BELOW, SKIP)

JUST_FINISHED = timedelta(minutes=5)


@dataclass(frozen=True)
class Other:
    """An earlier execution of the same group that was meant to act: not shielded, not in shadow, not only recorded."""

    execution_id: int
    state: str
    ended_at: datetime | None

    @property
    def unfinished(self) -> bool:
        return self.state not in Execution.ENDED


@dataclass(frozen=True)
class Standing:
    """Where an execution stands: its place in the incident from 1, the rule's count, the earlier ones, the newest first."""

    ordinal: int
    count: int
    crossed: bool  # this execution is the one that opened the incident
    others: Sequence[Other] = ()


@dataclass(frozen=True)
class Answer:
    """What a function says, with the reason in words."""

    kind: str
    text: str = ""


Verdict: TypeAlias = Callable[[Standing, datetime], Answer]


@dataclass(frozen=True)
class Function:
    """A way to converge. `holds_on_error`: when it cannot be judged, a person is asked. `below`: its word outside an incident.

    `asks_together`: a person is asked once about all of the incident.
    """

    name: str
    label: str | Promise
    verdict: Verdict
    holds_on_error: bool = False
    looks_at_others: bool = False
    asks_together: bool = False
    below: Answer = Answer(PROCEED)

    @property
    def runs_its_opener(self) -> bool:
        """Tell whether the execution that opens an incident is the one that runs for all, so that it has to be one that can."""
        return self.below.kind == BELOW


def skip_when_success(standing: Standing, now: datetime) -> Answer:
    """Wait for the unfinished, skip after a success, run again when all failed; an unknown result is a person's to judge."""
    for other in standing.others:
        if other.unfinished:
            return Answer(WAIT, _("等待自愈记录 #%(id)s 结束") % {"id": other.execution_id})
    for other in standing.others:
        if other.state in Execution.WELL:
            return Answer(SKIP, _("自愈记录 #%(id)s 已处理") % {"id": other.execution_id})
    for other in standing.others:
        if other.state == Execution.State.UNKNOWN:
            return Answer(APPROVE, _("自愈记录 #%(id)s 结果未知，请确认是否再次执行") % {"id": other.execution_id})
    return Answer(PROCEED, _("此前都未成功，再次执行") if standing.others else "")


def approve_when_failed(standing: Standing, now: datetime) -> Answer:
    """As skip_when_success, but when all failed a person is asked."""
    answer = skip_when_success(standing, now)
    if answer.kind == PROCEED and standing.others:
        return Answer(APPROVE, _("此前都未成功，请确认是否再次执行"))
    return answer


def skip_when_running(standing: Standing, now: datetime) -> Answer:
    """Skip while another is unfinished or has only just finished."""
    for other in standing.others:
        if other.unfinished:
            return Answer(SKIP, _("自愈记录 #%(id)s 尚未结束") % {"id": other.execution_id})
        if other.ended_at is not None and now - other.ended_at < JUST_FINISHED:
            return Answer(SKIP, _("自愈记录 #%(id)s 刚刚结束") % {"id": other.execution_id})
    return Answer(PROCEED)


def wait_when_running(standing: Standing, now: datetime) -> Answer:
    """Wait while another is unfinished."""
    for other in standing.others:
        if other.unfinished:
            return Answer(WAIT, _("等待自愈记录 #%(id)s 结束") % {"id": other.execution_id})
    return Answer(PROCEED)


def trigger(standing: Standing, now: datetime) -> Answer:
    """Run the one that crosses the threshold, skip those that come later."""
    if standing.crossed:
        return Answer(PROCEED, _("达到收敛条数，执行一次"))
    return Answer(SKIP, _("本次收敛事件已执行过"))


def collect(standing: Standing, now: datetime) -> Answer:
    """Skip those above the count; the incident's end brings their summary."""
    if standing.ordinal > standing.count:
        return Answer(SKIP, _("超出 %(count)s 条，只汇总") % {"count": standing.count})
    return Answer(PROCEED)


def defense(standing: Standing, now: datetime) -> Answer:
    """Hold every execution of a storm until a person says yes."""
    return Answer(APPROVE, _("短时间内超过 %(count)s 条，疑似异常批量告警") % {"count": standing.count})


def group_only(standing: Standing, now: datetime) -> Answer:
    """Let every execution pass: the incident itself is what the rule is for."""
    return Answer(PROCEED)


_TABLE = (
    Function("skip_when_success", gettext_lazy("成功后跳过"), skip_when_success, looks_at_others=True),
    Function(
        "approve_when_failed",
        gettext_lazy("成功后跳过，失败时审批"),
        approve_when_failed,
        holds_on_error=True,
        looks_at_others=True,
    ),
    Function("skip_when_running", gettext_lazy("执行中跳过"), skip_when_running, looks_at_others=True),
    Function("wait_when_running", gettext_lazy("执行中等待"), wait_when_running, looks_at_others=True),
    Function("relate", gettext_lazy("汇集相关事件"), group_only),
    Function(
        "trigger",
        gettext_lazy("收敛后处理"),
        trigger,
        holds_on_error=True,
        below=Answer(BELOW, gettext_lazy("未达到收敛条数，暂不处理")),  # type: ignore[arg-type]
    ),
    Function("notify", gettext_lazy("触发通知"), group_only),
    Function("collect", gettext_lazy("超出后汇总"), collect),
    Function("defense", gettext_lazy("异常防御需审批"), defense, holds_on_error=True, asks_together=True),
    Function("common_cause", gettext_lazy("共性分析"), group_only),
)
FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _TABLE}
