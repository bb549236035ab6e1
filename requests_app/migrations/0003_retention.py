
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('requests_app', '0002_ground'),
    ]

    operations = [
        migrations.CreateModel(
            name='RetentionPolicy',
            fields=[
                ('organization_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('body_days', models.PositiveIntegerField(blank=True, help_text='empty: unlimited', null=True)),
                ('request_days', models.PositiveIntegerField(blank=True, help_text='empty: unlimited', null=True)),
                ('count_days', models.PositiveIntegerField(blank=True, help_text='empty: unlimited', null=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'db_table': 'retention_policy',
                'constraints': [models.CheckConstraint(condition=models.Q(('request_days', None), ('body_days__lte', models.F('request_days')), _connector='OR'), name='retention_policy_bodies_first'), models.CheckConstraint(condition=models.Q(('count_days', None), ('request_days__lte', models.F('count_days')), _connector='OR'), name='retention_policy_counts_last'), models.CheckConstraint(condition=models.Q(('body_days__gte', 1), ('request_days__gte', 1), ('count_days__gte', 1)), name='retention_policy_a_day')],
            },
        ),
        migrations.CreateModel(
            name='RetentionRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('organization_id', models.BigIntegerField()),
                ('what', models.TextField(help_text='bodies, requests or counts')),
                ('before_at', models.DateTimeField()),
                ('removed', models.BigIntegerField(help_text='rows')),
                ('dropped', models.IntegerField(default=0, help_text='whole partitions among them')),
                ('finished_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'retention_run',
                'indexes': [models.Index(fields=['organization_id', '-finished_at'], name='retention_run_newest')],
            },
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('organization_id', models.BigIntegerField()),
                ('name', models.CharField(max_length=200)),
                ('page', models.CharField(default='requests', max_length=32)),
                ('query', models.TextField()),
                ('tree', models.JSONField(help_text="Helicone's own form, where it was saved by its API", null=True)),
                ('is_shared', models.BooleanField(default=True, help_text='seen by all members, else by its maker alone')),
                ('created_by_id', models.BigIntegerField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'saved_filter',
                'indexes': [models.Index(fields=['organization_id', 'page', 'name'], name='saved_filter_menu')],
            },
        ),
        migrations.CreateModel(
            name='SessionPin',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('organization_id', models.BigIntegerField()),
                ('session_id', models.TextField()),
                ('created_by_id', models.BigIntegerField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'session_pin',
                'constraints': [models.UniqueConstraint(models.F('organization_id'), models.F('session_id'), name='session_pin_once')],
            },
        ),
    ]
