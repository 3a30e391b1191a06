"""What processes of the release before leave out, while the portal is updated one after the other, the database fills in."""

import fta.lib.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('wechat', '0005_api_call_count'),
    ]

    operations = [
        migrations.AlterField(
            model_name='wecomapp',
            name='previous_aes_key',
            field=fta.lib.fields.SealedTextField(blank=True, db_default='', default=''),
        ),
        migrations.AlterField(
            model_name='wecomapp',
            name='previous_token',
            field=fta.lib.fields.SealedTextField(blank=True, db_default='', default=''),
        ),
    ]
