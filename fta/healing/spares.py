"""Spares: which hosts may stand in for a faulty one, and the reservation that keeps two executions off the same one."""

from collections.abc import Mapping
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q

from fta.healing import hosts, variables
from fta.lib.types import JSON, JSONDict
from fta.models import Execution, Host, Reservation

MOST = 5  # candidates in a plan: as many as a person can choose from on a phone


def candidates(execution: Execution, wanted: Mapping[str, JSON]) -> list[JSONDict]:
    """Return the free spares of the execution's business that fit, as the plan freezes them, the newest host first.

    `wanted` may hold `set`, `module` and `attributes`; one that is there is compared even when it is empty.
    """
    free = Q(reservation=None) | Q(reservation__execution=execution.pk)
    rows = Host.objects.filter(free, is_spare=True, archived=False, business=execution.business_id)
    rows = rows.exclude(pk=execution.host_id or 0).select_related("business").order_by("-pk")
    for name, column in (("set", "set_name"), ("module", "module")):
        if name in wanted:
            rows = rows.filter(**{column: wanted[name]})
    found = (host for host in rows if _fits(host, wanted.get("attributes")))
    return [hosts.snapshot(host) for host, _number in zip(found, range(MOST), strict=False)]


def _fits(host: Host, wanted: JSON) -> bool:
    given = host.attributes if isinstance(host.attributes, dict) else {}
    pairs = wanted.items() if isinstance(wanted, dict) else ()
    return all(name in given and variables.text_of(given[name]) == variables.text_of(value) for name, value in pairs)


def reserve(candidate: JSONDict, execution: Execution, now: datetime) -> bool:
    """Take a spare for this execution; False when it is not what was frozen any more, taken, or acted on by another."""
    try:
        with transaction.atomic():
            spares = Host.objects.select_for_update(no_key=True).filter(is_spare=True)
            host = spares.filter(pk=int(str(candidate["id"]))).first()
            if host is None or hosts.changes([candidate]) or _acted_on(host, execution):
                return False
            mine = Reservation.objects.filter(host=host, execution=execution)
            if not mine.exists():
                Reservation.objects.create(host=host, execution=execution, at=now)
    except IntegrityError:  # another has it
        return False
    return True


def _acted_on(host: Host, execution: Execution) -> bool:
    acting = Execution.objects.filter(host=host, state=Execution.State.RUNNING, acting=True)
    return acting.exclude(pk=execution.pk).exists()


def is_taken(host: Host, execution: Execution) -> bool:
    """Tell whether another execution that runs now has taken the host as its spare; the lock makes `reserve` wait or see it."""
    Host.objects.select_for_update(no_key=True).get(pk=host.pk)
    held = Reservation.objects.filter(host=host, execution__state=Execution.State.RUNNING)
    return held.exclude(execution=execution).exists()


def release(execution: Execution) -> None:
    """Give back what an ended execution has taken and not put in the place of its faulty host."""
    swapped = execution.steps.filter(type="swap_host", state="succeeded").values_list("result__host", flat=True)
    Reservation.objects.filter(execution=execution).exclude(host__in=[each for each in swapped if each]).delete()
