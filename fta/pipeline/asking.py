"""Why a person has to approve whatever convergence says: the mode, a package that keeps failing, its budget of hosts."""

import hashlib
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from fta.convergence import lock
from fta.healing.ending import FAILURES_UNTIL_APPROVAL
from fta.healing.nodes import seconds
from fta.models import Execution, Host, Mode, Package

State = Execution.State
# States in which a package acts, or acted, or is about to act, on a host.
_REACHED = (State.READY, State.RUNNING, State.SUCCEEDED, State.ALMOST, State.FAILED, State.UNKNOWN)
_SCOPES = {
    "business": ("business",),
    "set": ("business", "set_name"),
    "module": ("business", "set_name", "module"),
}


def reasons_to_ask(execution: Execution, now: datetime) -> list[str]:
    """Return why a person has to approve, in words."""
    reasons = []
    if execution.mode == Mode.APPROVAL:
        reasons.append(_("接入规则或套餐设为审批后执行"))
    if execution.package is None:
        return reasons
    package = Package.objects.get(pk=execution.package.pk)  # its record of failures as of now
    if package.failures_in_a_row >= FAILURES_UNTIL_APPROVAL:
        reasons.append(_("套餐已连续失败 %(count)s 次") % {"count": package.failures_in_a_row})
    if package.budget and execution.host is not None:
        reasons += _over_budget(execution, execution.host, package, now)
    return reasons


def _over_budget(execution: Execution, host: Host, package: Package, now: datetime) -> list[str]:
    """Return what the package's budget (`max_hosts`, `max_percent` of the hosts in `scope`, per `window`) forbids."""
    lock([hashlib.sha256(f"budget {package.pk}".encode()).hexdigest()])  # two engines must not both find room
    most, percent = package.budget.get("max_hosts"), package.budget.get("max_percent")
    scope = package.budget.get("scope") or ("module" if percent is not None else "")
    alike = {name: getattr(host, name) for name in _SCOPES.get(scope, ())}
    window = timedelta(seconds=seconds(package.budget.get("window", "1h")))
    reached = Execution.objects.filter(
        package=package,
        state__in=_REACHED,
        received_at__gte=now - window,
        **{f"host__{k}": v for k, v in alike.items()},
    )
    others = reached.exclude(host=host).values("host").distinct().count()
    words = {"minutes": int(window.total_seconds() // 60), "hosts": others + 1, "most": most, "percent": percent}
    reasons = []
    if most is not None and others + 1 > most:
        reasons.append(_("影响面超出预算：%(minutes)s 分钟内第 %(hosts)s 台主机，最多 %(most)s 台") % words)
    if percent is not None:
        total = Host.objects.filter(archived=False, is_spare=False, **alike).count()
        if (others + 1) * 100 > percent * total:
            words["total"] = total
            text = _("影响面超出预算：%(minutes)s 分钟内第 %(hosts)s 台，同范围共 %(total)s 台，最多 %(percent)s%%")
            reasons.append(text % words)
    return reasons
