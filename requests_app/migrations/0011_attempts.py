"""Attempts, found under their request and by provider; and how many tokens a model takes, which the next seeding fills.

Rows that are none, and have none, are in neither index and cost them nothing.
"""

from django.db import migrations, models

FORWARD = """
CREATE INDEX llm_request_attempt ON llm_request (organization_id, parent_span_id, requested_at)
    INCLUDE (provider, status) WHERE kind = 'attempt';
CREATE INDEX llm_request_tried ON llm_request (organization_id, requested_at)
    WHERE problems <> '{}' AND has_problem(problems, 'attempts_failed');
"""
BACKWARD = "DROP INDEX llm_request_tried; DROP INDEX llm_request_attempt;"


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0010_scored")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddField(
            "modelprice", "context_window",
            models.IntegerField(null=True, help_text="tokens the model takes; NULL where nobody tells"),
        ),
    ]
