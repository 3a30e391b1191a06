"""What an incident knows of itself, in one column: who opened it, what hides it, what its alerts have in common.

It is written from more than one group's side, and no lock of a group covers that: so each writer keeps the row, reads what
stands there by then, and changes its own words alone.
"""

from typing import Any

from django.db import transaction

from fta.lib.types import JSON
from fta.models import Incident


@transaction.atomic
def note(incident: Incident, found: dict[str, JSON], forget: str = "", **fields: Any) -> None:
    """Add to the findings of an incident, or `forget` one; `fields` are other columns to write along."""
    row = Incident.objects.select_for_update(no_key=True).only("findings").get(pk=incident.pk)
    incident.findings = {name: value for name, value in row.findings.items() if name != forget} | found
    Incident.objects.filter(pk=incident.pk).update(findings=incident.findings, **fields)
    for name, value in fields.items():
        setattr(incident, name, value)
