"""Set how far a package may go by itself: forward one step at a time, back at once."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from fta import audit
from fta.models import ConfigVersion, Mode, Package
from fta.operations.reasons import checked

STEPS = (Mode.OFF, Mode.SHADOW, Mode.APPROVAL, Mode.AUTO)


class NotPromotable(ValueError):
    """The package cannot be set to this mode from the one that it is in; the text says why."""


def reachable(mode: str) -> list[Mode]:
    """Return the modes to which a package in `mode` may be set: all that are stricter, and the next that is not."""
    place = STEPS.index(Mode(mode))
    return [step for at, step in enumerate(STEPS) if at < place or at == place + 1]


@transaction.atomic
def set_mode(package: Package, mode: str, reason: str, user: User, now: datetime) -> None:
    """Set a package's mode, with the counts of what went wrong begun anew when it goes forward.

    Raises ReasonMissing, NotPromotable for a step that is left out, or when somebody else was faster.
    """
    reason, actor = checked(reason), user.get_username()
    old = Mode(package.mode)
    if mode not in reachable(old):
        words = {"old": old.label, "new": Mode(mode).label if mode in Mode.values else mode}
        raise NotPromotable(_("不能从「%(old)s」直接改为「%(new)s」：演练 → 审批 → 自动，一次一步") % words)
    fields = {"mode": mode, "updated_at": now}
    if STEPS.index(Mode(mode)) > STEPS.index(old):
        fields |= {"failures_in_a_row": 0, "unverified_in_a_row": 0}
    if Package.objects.filter(pk=package.pk, mode=old, archived=False).update(**fields) != 1:
        raise NotPromotable(_("模式刚刚被别人改过，请看现在的状态再决定"))
    package.mode = mode
    audit.record(actor, "package.set_mode", package, at=now, old=old, new=mode, reason=reason)
    ConfigVersion.bump("packages")
