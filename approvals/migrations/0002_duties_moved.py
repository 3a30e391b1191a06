"""Duty lists belong to the inventory: notification rules name them too. What stands goes with them."""

from typing import Any

from django.db import migrations
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware, make_aware

_PARTS = {"person", "from", "to"}


def move(apps: Any, schema_editor: Any) -> None:
    kept = apps.get_model("fta", "Duty").objects
    for row in apps.get_model("approvals", "Duty").objects.all():
        kept.create(
            name=row.name,
            rotation=row.rotation,
            people=[str(who) for who in row.people],
            handover=row.handover,
            overrides=[each for each in map(whole, row.overrides) if each],
        )


def whole(override: Any) -> dict[str, str]:
    """Return a replacement with aware moments; {} for one that never had an effect."""
    if not isinstance(override, dict) or not set(override) >= _PARTS:
        return {}
    try:
        moments = {key: parse_datetime(str(override[key])) for key in ("from", "to")}
    except ValueError:
        return {}
    if None in moments.values():
        return {}
    aware = {key: moment if is_aware(moment) else make_aware(moment) for key, moment in moments.items()}
    return {"person": str(override["person"]), **{key: moment.isoformat() for key, moment in aware.items()}}


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial"), ("fta", "0004_duties")]
    operations = [
        migrations.RunPython(move, migrations.RunPython.noop),
        migrations.DeleteModel(name="Duty"),
    ]
