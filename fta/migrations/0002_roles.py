"""The roles exist from the start: they are Django groups of these names (fta.models.scope.ROLES)."""

from typing import Any

from django.db import migrations


def make_roles(apps: Any, schema_editor: Any) -> None:
    group = apps.get_model("auth", "Group")
    for name in ("admin", "operator", "approver", "viewer"):
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("fta", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
