"""Whose reply a request answered from the cache was given, and an index over such requests. NULL costs a row nothing."""

from django.db import migrations, models

FORWARD = """
ALTER TABLE llm_request ADD COLUMN cached_from uuid;
CREATE INDEX llm_request_cached ON llm_request (organization_id, requested_at) WHERE cached;
"""


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0008_ids_tell_their_time")]
    operations = [
        migrations.RunSQL(
            FORWARD, "DROP INDEX llm_request_cached; ALTER TABLE llm_request DROP COLUMN cached_from",
            state_operations=[migrations.AddField("llmrequest", "cached_from", models.UUIDField(null=True))],
        ),
    ]
