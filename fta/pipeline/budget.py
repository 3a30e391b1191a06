"""The budget of a package: on how many hosts it may act within a span of time before a person is asked."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from fta.convergence import gather, lock
from fta.healing.inner import holders_of
from fta.healing.nodes import seconds
from fta.lib.types import JSONDict
from fta.models import ConvergenceRule, Execution, Host, Package

State = Execution.State
LONGEST_WINDOW = 90 * 86400  # seconds
STORM = "影响面预算"  # the name of the rule in whose incidents those gather that were over a budget
_SCOPES = {
    "business": ("business",),
    "set": ("business", "set_name"),
    "module": ("business", "set_name", "module"),
}


def over_budget(execution: Execution, now: datetime) -> list[str]:
    """Return what the budgets of the execution's package and of those inside it forbid, in words; nothing when there is room.

    Nobody else finds room for these packages until the transaction ends.
    """
    package, host = execution.package, execution.host
    if package is None or host is None:
        return []
    inside = [scope["package"]["key"] for scope in execution.plan.get("scopes", {}).values()]
    found = Package.objects.filter(Q(pk=package.pk) | Q(key__in=inside)).order_by("pk")
    limited = [each for each in found if each.budget]
    lock([hashlib.sha256(f"budget {each.pk}".encode()).hexdigest() for each in limited])
    reasons = [(each, reason) for each in limited for reason in _exceeded(each, host, now)]
    return [reason if each.pk == package.pk else f"{each.name}：{reason}" for each, reason in reasons]


def gather_over_budget(execution: Execution, now: datetime) -> None:
    """Put an execution that is over its budget into the incident of all such, so that people are asked once about them."""
    if execution.alert_id is None:  # who runs something by hand is asked about it alone
        return
    rule = ConvergenceRule.objects.get_or_create(name=STORM, defaults=_storm_rule())[0]
    if incident := gather(rule, execution, now):
        Execution.objects.filter(pk=execution.pk).update(incident=incident)
        execution.incident = incident


def _storm_rule() -> JSONDict:
    """Return a rule that convergence never asks and nobody edits: it only names what its incidents have in common."""
    return {
        "function": "defense",
        "dimensions": ["business", "package"],
        "window": 1800,
        "count": 0,
        "enabled": False,
        "archived": True,
        "remark": "超出套餐影响面预算的执行归在一起审批",
    }


def _window(value: Any) -> int:
    """Return a window in seconds, no longer than may be saved: what was saved before there was a limit is held to it too."""
    return min(value if isinstance(value, int) else seconds(value), LONGEST_WINDOW)


def _exceeded(package: Package, host: Host, now: datetime) -> list[str]:
    """Compare the hosts reached with `max_hosts`, and with `max_percent` of the hosts in `scope`, per `window`."""
    budget, acting = package.budget, [package.pk, *holders_of(package.key)]
    most, percent = budget.get("max_hosts"), budget.get("max_percent")
    scope = str(budget.get("scope") or ("module" if percent is not None else ""))
    alike = {name: getattr(host, name) for name in _SCOPES.get(scope, ())}
    window = timedelta(seconds=_window(budget.get("window") or "1h"))
    # Whatever is about to act or acts counts, however long ago it came: a yes may take longer than the window.
    reached = Q(state__in=(State.READY, State.RUNNING)) | Q(started_at__gte=now - window)
    others = Execution.objects.filter(reached, package__in=acting, **{f"host__{k}": v for k, v in alike.items()})
    hosts = others.exclude(host=host).values("host").distinct().count() + 1
    words = {"minutes": int(window.total_seconds() // 60), "hosts": hosts, "most": most, "percent": percent}
    reasons = []
    if isinstance(most, int) and hosts > most:
        reasons.append(_("影响面超出预算：%(minutes)s 分钟内第 %(hosts)s 台主机，最多 %(most)s 台") % words)
    if isinstance(percent, int):
        total = Host.objects.filter(archived=False, is_spare=False, **alike).count()
        if hosts * 100 > percent * total:
            words["total"] = total
            text = _("影响面超出预算：%(minutes)s 分钟内第 %(hosts)s 台，同范围共 %(total)s 台，最多 %(percent)s%%")
            reasons.append(text % words)
    return reasons
