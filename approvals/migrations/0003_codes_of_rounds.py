"""A later round of a question has a code of its own; those that were asked before this get theirs."""

from typing import Any

from django.db import migrations, models
from django.db.models import F


def give_codes(apps: Any, schema_editor: Any) -> None:
    """Write each row once: PostgreSQL checks the keys of a row that one transaction changes twice, and alters no table meanwhile."""
    rows = apps.get_model("approvals", "Approval").objects
    rows.filter(round=1).update(first_code=F("code"))
    for pk, code, number in list(rows.filter(round__gt=1).order_by("pk").values_list("pk", "code", "round")):
        own = f"{code}_{number}"
        while rows.filter(code=own).exists():  # another system chose it
            own = f"{own}_{number}"
        rows.filter(pk=pk).update(first_code=code, code=own)


def take_codes(apps: Any, schema_editor: Any) -> None:
    apps.get_model("approvals", "Approval").objects.update(code=F("first_code"))


class Migration(migrations.Migration):
    dependencies = [("approvals", "0002_duties_moved")]

    operations = [
        migrations.RemoveConstraint(model_name="approval", name="approval_one_pending_per_code"),
        migrations.RemoveConstraint(model_name="approval", name="approval_round"),
        migrations.AddField(
            model_name="approval",
            name="first_code",
            field=models.CharField(default="", help_text="of the first round: what all rounds share", max_length=64),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="approval",
            name="code",
            field=models.CharField(db_index=True, max_length=80, verbose_name="编号"),
        ),
        migrations.RunPython(give_codes, take_codes),
        migrations.AlterField(
            model_name="approval",
            name="code",
            field=models.CharField(max_length=80, unique=True, verbose_name="编号"),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "pending")), fields=("first_code",), name="approval_one_pending_round"
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(fields=("first_code", "round"), name="approval_round"),
        ),
    ]
