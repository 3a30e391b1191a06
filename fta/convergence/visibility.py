"""Which incidents are shown: one whose executions are all in another one too is hidden behind that one.

Of two incidents that an execution joins together neither begins or ceases to be a part of the other. So a look at the rows is
needed when an incident is opened, which takes in earlier executions with all that they are in, and when one that is hidden goes on
without the one before it; a storm asks nothing.
"""

from collections.abc import Collection, Sequence

from fta.convergence.findings import note
from fta.models import Incident, Member

_HIDDEN_BY = "hidden_by"


def settle(joined: Sequence[Incident], opened: Collection[int]) -> None:
    """Show and hide the incidents that one execution is in now; `opened` are the ids of those that it has opened.

    Of equal incidents the oldest is shown.
    """
    for incident in joined:
        hider = incident.findings.get(_HIDDEN_BY)
        if incident.pk in opened:
            _place(incident, joined)
            _hide_parts(incident)
        elif hider is not None and all(other.pk != hider for other in joined):
            _place(incident, joined)
            _hide_the_outgrown(hider, incident)


def _place(incident: Incident, joined: Sequence[Incident]) -> None:
    """Hide an incident behind one of the others, or show it and hide those that are a part of it."""
    others = [other for other in joined if other.pk != incident.pk]
    cover = next((other for other in others if _covers(other, incident)), None)
    _hide(incident, cover)
    for other in others:
        if cover is None and _HIDDEN_BY not in other.findings and _covers(incident, other):
            _hide(other, incident)


def _hide_parts(incident: Incident) -> None:
    """Hide what a shown incident has swallowed by its opening, whoever is in that; as large as it are only its covers."""
    if not incident.visible:
        return
    inside = Member.objects.filter(incident=incident).values("execution")
    touched = Incident.objects.filter(
        state=Incident.State.OPEN,
        visible=True,
        execution_count__lt=incident.execution_count,
        members__execution__in=inside,
    )
    parts = set(touched.values_list("pk", flat=True))
    beyond = Member.objects.filter(incident__in=parts).exclude(execution__in=inside)
    parts -= set(beyond.values_list("incident", flat=True))
    # Others write their findings too, and two that open at once may swallow the same ones: in one order nobody waits in a circle.
    locked = list(Incident.objects.select_for_update(no_key=True).filter(pk__in=parts, visible=True).order_by("pk"))
    for part in locked:
        part.findings, part.visible = part.findings | {_HIDDEN_BY: incident.pk}, False
    Incident.objects.bulk_update(locked, ["findings", "visible"])


def _hide_the_outgrown(pk: int, incident: Incident) -> None:
    """Hide the incident behind which this one stood, when it has become a part of it."""
    outgrown = Incident.objects.filter(pk=pk, visible=True).first()
    if outgrown is not None and incident.visible and _covers(incident, outgrown):
        _hide(outgrown, incident)


def _covers(large: Incident, small: Incident) -> bool:
    """Tell whether all executions of one incident are in the other, and it is not the younger of two equal ones."""
    if (large.execution_count, -large.pk) < (small.execution_count, -small.pk):
        return False
    inside = Member.objects.filter(incident=large).values("execution")
    return not Member.objects.filter(incident=small).exclude(execution__in=inside).exists()


def _hide(incident: Incident, cover: Incident | None) -> None:
    if incident.findings.get(_HIDDEN_BY) == (cover.pk if cover else None):
        return
    note(incident, {_HIDDEN_BY: cover.pk} if cover else {}, forget=_HIDDEN_BY, visible=cover is None)
