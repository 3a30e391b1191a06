"""Run a package because a person wants it: the same plan, the same approval rules, no alert."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from fta import audit
from fta.healing import inner
from fta.healing.history import shift, tell
from fta.healing.plan import freeze
from fta.lib.types import JSON
from fta.models import Execution, Host, Mode, Package, PackageVersion
from fta.operations.reasons import checked
from fta.pipeline import checks, set_going

TIMEOUT = timedelta(seconds=2400)


class CannotRun(Exception):
    """The package cannot be run on this host with these parameters; the text says why."""


@transaction.atomic
def run_by_hand(
    package: Package, user: User, ip: str, params: Mapping[str, JSON], reason: str, now: datetime, dry_run: bool = False
) -> Execution:
    """Make an execution of a package's current version on the host `ip`.

    `dry_run` only shows what would be done and what would stand in its way: the record that it leaves never acts.

    Raises ReasonMissing, CannotRun.
    """
    reason, actor = checked(reason), user.get_username()
    host, version = _host_and_version(package, ip)
    mode = Mode.SHADOW if dry_run else Mode(inner.mode_of(package))
    execution = Execution.objects.create(
        trigger_key=f"hand|{uuid.uuid4()}",
        package=package,
        version=version,
        host=host,
        business=host.business,
        mode=mode,
        requested_by=user,
        received_at=now,
        deadline_at=now + TIMEOUT,
    )
    plan = freeze(execution, None, version, params, now)
    if plan.problems:
        raise CannotRun("；".join(plan.problems))
    Execution.objects.filter(pk=execution.pk).update(plan=plan.data, plan_sha256=plan.sha256)
    execution.plan, execution.plan_sha256 = plan.data, plan.sha256
    tell(execution, "execution.by_hand", _("%(actor)s 手动执行：%(reason)s") % {"actor": actor, "reason": reason}, now)
    audit.record(
        actor, "execution.run_by_hand", execution, at=now, package=package.key, ip=ip, dry_run=dry_run, reason=reason
    )
    if execution.mode == Mode.SHADOW:
        for check in checks(execution, package, now):
            tell(execution, f"check.{check.name}", check.text, now, ok=check.ok)
        shift(execution, Execution.State.SHADOWED, now, _("演练：只生成计划，没有执行"), ended_at=now)
    else:
        set_going(execution, [], now)
    return execution


def _host_and_version(package: Package, ip: str) -> tuple[Host, PackageVersion]:
    host = Host.objects.filter(ip=ip, archived=False).first()
    if host is None:
        raise CannotRun(_("主机 %(ip)s 不在清单里") % {"ip": ip})
    if package.business_id and package.business_id != host.business_id:
        raise CannotRun(_("套餐不属于这台主机的业务"))
    if package.archived or inner.mode_of(package) == Mode.OFF or package.current is None:
        raise CannotRun(_("套餐已停用，或还没有保存过"))
    return host, package.current
