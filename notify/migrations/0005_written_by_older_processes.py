"""What processes of the release before leave out, while the portal is updated one after the other, the database fills in."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notify', '0004_delivery_approval'),
    ]

    operations = [
        migrations.AlterField(
            model_name='allowance',
            name='second',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='of the minute, where the ten seconds begin'),
        ),
    ]
