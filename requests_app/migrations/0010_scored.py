"""Requests that have scores are few and found by an index of their own: those without cost it nothing."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0009_cached_from")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX llm_request_scored ON llm_request (organization_id, requested_at) "
            "WHERE scores IS NOT NULL AND scores <> '{}'",
            "DROP INDEX llm_request_scored",
        ),
    ]
