"""A process of the release before asks without the code of the first round, while the portal is updated one after the other."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0003_codes_of_rounds'),
    ]

    operations = [
        migrations.AlterField(
            model_name='approval',
            name='first_code',
            field=models.CharField(help_text='of the first round: what all rounds share', max_length=64, null=True),
        ),
    ]
