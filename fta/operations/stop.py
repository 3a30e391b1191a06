"""Stop one execution, or healing as a whole, and let it go on."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from fta import audit
from fta.engine import doorbell
from fta.healing.ending import end_execution
from fta.healing.history import lock, tell
from fta.healing.steps import stop_running
from fta.models import Business, Execution, Package, Switch
from fta.models.engine import NotInState
from fta.operations.reasons import checked


class InvalidSwitch(ValueError):
    """The scope, the object or the end of a switch makes no sense; the text says which."""


class NotInForce(Exception):
    """The switch was ended already, by somebody else or by its time."""


@transaction.atomic
def abort(execution: Execution, user: User, reason: str, now: datetime) -> None:
    """Stop an execution: what waits is cancelled at once, what runs is told to stop.

    Raises ReasonMissing, and NotInState for an execution that has ended.
    """
    reason, actor = checked(reason), user.get_username()
    locked = lock(execution.pk)
    if locked.state in Execution.ENDED:
        raise NotInState(Execution, execution.pk, "open")
    why = _("%(actor)s 停止：%(reason)s") % {"actor": actor, "reason": reason}
    Execution.objects.filter(pk=locked.pk).update(cancel_requested=True, reason=why)
    locked.cancel_requested, locked.reason = True, why
    tell(locked, "execution.stop", why, now)
    audit.record(actor, "execution.abort", locked, at=now, reason=reason)
    if locked.state == Execution.State.RUNNING:
        stop_running(locked, now, late=False)
    else:
        end_execution(locked, Execution.State.CANCELLED, why, now, "cancelled")


@transaction.atomic
def halt(scope: str, key: str, reason: str, until: datetime | None, user: User, now: datetime) -> Switch:
    """Stop healing for all, a business (by code) or a package (by key), until it is resumed or `until` has passed.

    Raises ReasonMissing, InvalidSwitch.
    """
    reason = checked(reason)
    known = {
        Switch.Scope.ALL: key == "",
        Switch.Scope.BUSINESS: Business.objects.filter(code=key).exists(),
        Switch.Scope.PACKAGE: Package.objects.filter(key=key).exists(),
    }
    if scope not in Switch.Scope.values:
        raise InvalidSwitch(_("停止范围只能是 all、business、package"))
    if not known[Switch.Scope(scope)]:
        raise InvalidSwitch(_("没有这个对象：%(key)s") % {"key": key})
    if until is not None and until <= now:
        raise InvalidSwitch(_("到期时间已经过去"))
    switch = Switch.objects.create(scope=scope, key=key, reason=reason, until=until, created_by=user.get_username())
    audit.record(user.get_username(), "switch.halt", switch, at=now, scope=scope, key=key, until=until, reason=reason)
    return switch


@transaction.atomic
def resume(switch: Switch, user: User, now: datetime) -> None:
    """End a switch, so that healing goes on where no other one covers it. Raises NotInForce."""
    actor = user.get_username()
    if Switch.objects.in_force().filter(pk=switch.pk).update(ended_at=now, ended_by=actor) != 1:
        raise NotInForce(_("已经恢复过了"))
    held = switch.held_back.count()
    audit.record(actor, "switch.resume", switch, at=now, scope=switch.scope, key=switch.key, held_back=held)
    ready = Execution.objects.filter(state=Execution.State.READY).values_list("pk", flat=True)
    for pk in ready[:100]:
        doorbell.ring("execution", pk)
