"""A package that keeps going well without healing anything must not go on by itself."""

from datetime import datetime

from django.db.models import F
from django.utils.translation import gettext as _

from fta import audit, signals
from fta.models import ConfigVersion, Execution, Mode, Package

UNVERIFIED_UNTIL_APPROVAL = 3  # after so many in a row a package is set back to approval


def count_judgement(execution: Execution, now: datetime) -> None:
    """Count a final judgement for the package; the third in a row that did not heal sets it back from auto to approval.

    A person has to set it forward again: unlike a failure, which the next success makes good, this shows only afterwards.
    """
    if execution.package_id is None:
        return
    package = Package.objects.filter(pk=execution.package_id)
    if execution.healed == Execution.Healed.HEALED:
        package.exclude(unverified_in_a_row=0).update(unverified_in_a_row=0)
    elif execution.healed in (Execution.Healed.NOT_HEALED, Execution.Healed.RELAPSED):
        package.update(unverified_in_a_row=F("unverified_in_a_row") + 1)
        _demote(execution.package_id, execution, now)


def _demote(package_id: int, execution: Execution, now: datetime) -> None:
    auto = Package.objects.filter(pk=package_id, mode=Mode.AUTO)
    enough = auto.filter(unverified_in_a_row__gte=UNVERIFIED_UNTIL_APPROVAL)
    if enough.update(mode=Mode.APPROVAL, unverified_in_a_row=0, updated_at=now) != 1:
        return
    package = Package.objects.get(pk=package_id)
    words = {"name": package.name, "count": UNVERIFIED_UNTIL_APPROVAL, "id": execution.pk}
    text = (
        _("套餐「%(name)s」连续 %(count)s 次执行后告警没有恢复或又复发（最近一次 #%(id)s），已从自动改为审批") % words
    )
    audit.record(
        "system",
        "package.set_mode",
        package,
        at=now,
        old=Mode.AUTO,
        new=Mode.APPROVAL,
        reason=text,
        execution=execution.pk,
    )
    ConfigVersion.bump("packages")
    signals.announce(signals.system_fault, text=text, subject=f"package:{package.pk}:unverified")
