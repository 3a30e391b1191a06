"""What would come of an execution if it were to run now: asked about, over budget, waiting for its host, halted, changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from fta.healing import inner
from fta.healing.claims import covered_by
from fta.healing.plan import drift
from fta.models import Execution, Mode, Package, Switch
from fta.pipeline.asking import reasons_to_ask
from fta.pipeline.budget import over_budget


@dataclass(frozen=True)
class Check:
    """One condition of running at once: whether it holds, and what that means, in words."""

    name: str  # approval, budget, host, switch, plan
    ok: bool
    text: str


def checks(execution: Execution, package: Package, now: datetime) -> list[Check]:
    """Return what each condition says of an execution that is frozen, judged by its package's own mode; nothing is written."""
    mode, over = Mode(inner.mode_of(package)), over_budget(execution, now)
    taken, halted, changed = list(_taken(execution)), list(_halted(execution)), drift(execution)
    return [
        _permitted(mode, package),
        _check("budget", over, _("会先请人审批：%s"), _("没有超出影响面预算")),
        _check("host", taken, _("会等待：%s"), _("主机没有被占用")),
        _check("switch", halted, _("不会开始：%s"), _("没有停止自愈")),
        _check("plan", changed, _("计划已变：%s"), _("计划与套餐当前版本和主机清单一致")),
    ]


def _permitted(mode: Mode, package: Package) -> Check:
    if mode in (Mode.OFF, Mode.SHADOW):
        return Check("approval", False, _("套餐的模式是「%s」：只会记录，不会执行") % mode.label)
    return _check("approval", reasons_to_ask(mode, package), _("会先请人审批：%s"), _("不需要审批，会直接执行"))


def _check(name: str, against: list[str], bad: str, good: str) -> Check:
    return Check(name, not against, bad % "；".join(against) if against else good)


def _taken(execution: Execution) -> Iterator[str]:
    running = Execution.objects.filter(host=execution.host, state=Execution.State.RUNNING).exclude(pk=execution.pk)
    holds = Q(package=execution.package) | Q(acting=True)
    for other in running.filter(holds).select_related("package")[:3]:
        yield _("执行 #%(id)s「%(package)s」正在这台主机上") % {"id": other.pk, "package": other.package or "—"}


def _halted(execution: Execution) -> Iterator[str]:
    for switch in Switch.objects.in_force().order_by("pk"):
        if covered_by(switch).filter(pk=execution.pk).exists():
            yield _("%(scope)s %(key)s 已停止自愈（%(reason)s）") % {
                "scope": switch.get_scope_display(),
                "key": switch.key,
                "reason": switch.reason,
            }
