"""The claim of a step: the one statement without which nothing ever acts."""

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Concat
from django.utils.translation import gettext_noop

from fta import ports
from fta.engine.claim import NotClaimed, claim, worker_name
from fta.healing import spares
from fta.models import Execution, StepAttempt, StepRun, Switch
from fta.models.engine import DbNow, lease

LOST = gettext_noop("执行进程失去联系")
RETRY_CLAIM_SECONDS = 2  # a step that may not run yet is tried again after so long


class HostBusy(NotClaimed):
    """Another execution acts on the host; this step has to wait for its end."""


def not_halted() -> Q:
    """Return the condition on Execution that no switch in force covers it, its package or one of those inside its plan."""
    inside = KeyTextTransform("scopes", OuterRef("plan"))
    covering = Switch.objects.in_force().annotate(inside=inside)
    covering = covering.filter(
        Q(scope=Switch.Scope.ALL)
        | Q(scope=Switch.Scope.BUSINESS, key=OuterRef("business__code"))
        | Q(scope=Switch.Scope.PACKAGE, key=OuterRef("package__key"))
        | (Q(scope=Switch.Scope.PACKAGE) & _names_package("inside", F("key")))
    )
    return ~Q(Exists(covering))


def covered_by(switch: Switch) -> QuerySet[Execution]:
    """Return the executions that the switch covers while it is in force: the same rule from the other side."""
    if switch.scope == Switch.Scope.ALL:
        return Execution.objects.all()
    if switch.scope == Switch.Scope.BUSINESS:
        return Execution.objects.filter(business__code=switch.key)
    runs = Execution.objects.annotate(inside=KeyTextTransform("scopes", "plan"))
    return runs.filter(Q(package__key=switch.key) | _names_package("inside", Value(switch.key)))


def _names_package(scopes: str, key: Combinable) -> Q:
    """Return the condition that the text of a plan's scopes names this package; databases write JSON with and without blanks."""
    forms = [Concat(Value(f'"key":{blank}"'), key, Value('"')) for blank in ("", " ")]
    return Q(**{f"{scopes}__contains": forms[0]}) | Q(**{f"{scopes}__contains": forms[1]})


def may_run() -> Q:
    """Return the condition on StepRun that its execution runs, on this plan, in time, not stopped and not halted.

    Nor has a later round begun: all that waits is of the present one, for a retry begins when everything has ended. These are
    EXISTS subqueries: a join would take the test of the step's own state out of the outer WHERE (see engine.claim).
    """
    execution = Execution.objects.filter(
        not_halted(),
        pk=OuterRef("execution_id"),
        state=Execution.State.RUNNING,
        cancel_requested=False,
        deadline_at__gt=DbNow(),
        plan_sha256=OuterRef("plan_sha256"),
    )
    later = StepRun.objects.filter(execution_id=OuterRef("execution_id"), iteration__gt=OuterRef("iteration"))
    return Q(Exists(execution)) & ~Q(Exists(later))


def ready_steps() -> QuerySet[StepRun]:
    """Return the steps that are ready, whose time has come and which no switch holds back."""
    going = Execution.objects.filter(not_halted(), pk=OuterRef("execution_id"), state=Execution.State.RUNNING)
    free = Q(not_before=None) | Q(not_before__lte=DbNow())
    return StepRun.objects.filter(free, Exists(going), state=StepRun.State.READY)


def claim_step(step: StepRun, acting: bool, now: datetime) -> int:
    """Take a ready step for this worker and write its attempt; return the fence.

    Raises NotClaimed when it is taken or a condition does not hold, HostBusy when another execution acts on the host.
    """
    with transaction.atomic():
        if acting:
            _begin_to_act(step.execution_id)
        fence = claim(
            StepRun,
            step.pk,
            StepRun.State.READY,
            StepRun.State.RUNNING,
            may_run(),
            ports.gate().permits(),
            Q(plan_sha256=step.execution.plan_sha256),  # the plan that this worker has read
            attempt=F("attempt") + 1,
            journal="",
            ended_at=None,
            started_at=now,
        )
        number = StepRun.objects.values_list("attempt", flat=True).get(pk=step.pk)
        StepAttempt.objects.create(step=step, fence=fence, number=number, worker=worker_name(), started_at=now)
    return fence


def claim_to_stop(step: StepRun, now: datetime) -> int:
    """Take a parked step whose execution goes on no more, only to end what it has left running; return the fence.

    Nothing begins by this, so neither a switch nor a missing approval stands in its way. Raises NotClaimed.
    """
    over = Q(cancel_requested=True) | Q(deadline_at__lte=DbNow())
    gone = Q(Exists(Execution.objects.filter(over, pk=OuterRef("execution_id"))))
    with transaction.atomic():
        fence = claim(StepRun, step.pk, StepRun.State.READY, StepRun.State.RUNNING, gone, started_at=now)
        StepAttempt.objects.create(step=step, fence=fence, number=step.attempt, worker=worker_name(), started_at=now)
    return fence


def take_over(step: StepRun, now: datetime) -> int:
    """Take a running step whose worker let the lease lapse, only to find out what came of it; return the fence.

    Nothing begins by this either. Raises NotClaimed when another was first, or the worker is back.
    """
    with transaction.atomic():
        lapsed = StepRun.objects.filter(
            pk=step.pk, fence=step.fence, journal=step.journal, state=StepRun.State.RUNNING, lease_until__lt=DbNow()
        )
        fence = step.fence + 1
        if lapsed.update(fence=fence, lease_until=lease(settings.FTA_LEASE_SECONDS), worker=worker_name()) != 1:
            raise NotClaimed(f"StepRun {step.pk}")
        StepAttempt.objects.filter(step=step, fence=step.fence).update(ended_at=now, state="unknown", error=LOST)
        StepAttempt.objects.create(step=step, fence=fence, number=step.attempt, worker=worker_name(), started_at=now)
    return fence


def _begin_to_act(execution_id: int) -> None:
    """Mark the execution as the one that acts on its host; the mark falls with the claim if that fails."""
    quiet = Execution.objects.filter(pk=execution_id, state=Execution.State.RUNNING, acting=False)
    try:
        with transaction.atomic():
            begins = quiet.update(acting=True)
    except IntegrityError as error:
        raise HostBusy(f"The host of execution {execution_id} is being acted on") from error
    if begins:
        execution = Execution.objects.select_related("host").get(pk=execution_id)
        host = execution.host
        if host and host.is_spare and spares.is_taken(host, execution):
            raise HostBusy(f"The host of execution {execution_id} is another one's spare")


def postpone(step_id: int) -> None:
    """Have a step that may not run yet looked at again in a while."""
    ready = StepRun.objects.filter(
        Q(not_before=None) | Q(not_before__lte=DbNow()), pk=step_id, state=StepRun.State.READY
    )
    ready.update(not_before=lease(RETRY_CLAIM_SECONDS))
