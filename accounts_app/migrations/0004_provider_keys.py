"""Stored provider keys, and what an organisation wants looked for: `edge` is told of both."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


TABLES = ("provider_key", "organization_safety")

TRIGGERS = "".join(
    f"""
CREATE TRIGGER snapshot AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION raise_snapshot_version();
"""
    for table in TABLES
)
NO_TRIGGERS = "".join(f"DROP TRIGGER snapshot ON {table};" for table in TABLES)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts_app', '0003_stream_usage'),
    ]

    operations = [
        migrations.CreateModel(
            name='Safety',
            fields=[
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='safety', serialize=False, to='accounts_app.organization')),
                ('screens_replies', models.BooleanField(default=False, help_text='replies are screened as requests are')),
                ('blocks_when_failing', models.BooleanField(default=False, help_text='a screen that fails blocks the call')),
                ('classifier_url', models.CharField(blank=True, default='', max_length=500)),
                ('classifier_sealed', models.TextField(blank=True, default='', help_text='envelope of its bearer token')),
                ('model_provider', models.CharField(blank=True, default='', help_text='slug of a stored key', max_length=64)),
                ('model_name', models.CharField(blank=True, default='', max_length=200)),
                ('redacted_kinds', models.JSONField(default=list, help_text='names of lib/redact.py')),
                ('redacted_patterns', models.JSONField(default=list, help_text='[name, pattern] each')),
            ],
            options={
                'db_table': 'organization_safety',
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='may_borrow',
            field=models.BooleanField(db_default=False, default=False, help_text='chosen to use stored provider keys (Organization.lends_to_chosen)'),
        ),
        migrations.AddField(
            model_name='organization',
            name='lends_to_chosen',
            field=models.BooleanField(db_default=False, default=False, help_text='stored provider keys are used by the API keys chosen for it, not by every one'),
        ),
        migrations.CreateModel(
            name='ProviderKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(help_text='slug', max_length=64)),
                ('sealed', models.TextField(help_text='the envelope')),
                ('hint', models.CharField(help_text='last characters, to recognise it by', max_length=16)),
                ('extras', models.JSONField(default=dict, help_text='what else the provider needs: base URL, region, project')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='provider_keys', to='accounts_app.organization')),
            ],
            options={
                'db_table': 'provider_key',
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='provider_key',
            field=models.ForeignKey(help_text='of a proxy key: the provider key it stands for', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='proxy_keys', to='accounts_app.providerkey'),
        ),
        migrations.AddConstraint(
            model_name='providerkey',
            constraint=models.UniqueConstraint(models.F('organization'), models.F('provider'), name='provider_key_once'),
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
