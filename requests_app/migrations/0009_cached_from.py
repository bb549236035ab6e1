"""Whose reply a request answered from the cache was given. NULL costs a row nothing (see 0004)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0008_ids_tell_their_time")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE llm_request ADD COLUMN cached_from uuid", "ALTER TABLE llm_request DROP COLUMN cached_from",
            state_operations=[migrations.AddField("llmrequest", "cached_from", models.UUIDField(null=True))],
        ),
    ]
