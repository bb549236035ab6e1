"""Failed requests that have problems, those we refused among them, have an index of their own; others cost it nothing."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0013_together")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX llm_request_failed_with_problems ON llm_request (organization_id, requested_at) "
            "WHERE (status < 200 OR status > 399) AND problems IS NOT NULL",
            "DROP INDEX llm_request_failed_with_problems",
        ),
    ]
