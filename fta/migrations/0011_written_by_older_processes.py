"""What processes of the release before leave out, while the portal is updated one after the other, the database fills in."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fta', '0010_credential_business'),
    ]

    operations = [
        migrations.AlterField(
            model_name='rule',
            name='void_when_resolved',
            field=models.BooleanField(db_default=False, default=False, help_text='还没有开始的执行在告警恢复时结束，等待的审批作废', verbose_name='恢复即作废'),
        ),
    ]
