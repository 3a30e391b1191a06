"""Members know when their executions ended, those of before this migration too."""

from typing import Any

from django.db import migrations, models

from fta.lib.database import lift_time_limit


def fill(apps: Any, schema_editor: Any) -> None:
    """Take over when the executions ended that are stored."""
    ended = apps.get_model("fta", "Execution").objects.filter(pk=models.OuterRef("execution_id")).values("ended_at")
    apps.get_model("fta", "Member").objects.update(ended_at=models.Subquery(ended))


class Migration(migrations.Migration):

    dependencies = [
        ('fta', '0007_void_when_resolved'),
    ]

    operations = [
        migrations.RunPython(lift_time_limit, migrations.RunPython.noop, elidable=True),
        migrations.AddField(
            model_name='member',
            name='ended_at',
            field=models.DateTimeField(help_text='when the execution ended; kept here so that its group finds it by index', null=True),
        ),
        migrations.AddIndex(
            model_name='member',
            index=models.Index(fields=['group_key', 'ended_at'], name='member_ended'),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
