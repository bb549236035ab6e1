"""Our ids tell their time, so the key finds them; nothing asked the index over ids alone."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0007_packed_usage")]
    operations = [
        migrations.RunSQL(
            "DROP INDEX llm_request_id", "CREATE INDEX llm_request_id ON llm_request (organization_id, id)"
        ),
    ]
