"""Why a person has to approve whatever convergence says: the mode, a package that keeps failing."""

from django.utils.translation import gettext as _

from fta.healing.ending import FAILURES_UNTIL_APPROVAL
from fta.models import Mode, Package


def reasons_to_ask(mode: str, package: Package | None) -> list[str]:
    """Return why a person has to approve what runs in this mode, in words."""
    reasons = []
    if mode == Mode.APPROVAL:
        reasons.append(_("接入规则或套餐设为审批后执行"))
    if package is None:
        return reasons
    failures = Package.objects.values_list("failures_in_a_row", flat=True).get(pk=package.pk)  # as of now
    if failures >= FAILURES_UNTIL_APPROVAL:
        reasons.append(_("套餐已连续失败 %(count)s 次") % {"count": failures})
    return reasons
