
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ingest_app', '0006_trace_told'),
    ]

    operations = [
        migrations.CreateModel(
            name='PendingEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('organization_id', models.BigIntegerField()),
                ('request_id', models.UUIDField(unique=True)),
                ('host', models.TextField()),
                ('sealed', models.TextField(help_text="envelope of the client's key; see forwarding.py")),
                ('tries', models.IntegerField(default=0)),
                ('due_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'pending_event',
                'indexes': [models.Index(fields=['due_at'], name='pending_event_due')],
            },
        ),
    ]
