"""The provider's usage object in a tenth of the room: a format byte, then JSON or a frame; see usage_packing.py."""

from django.db import migrations, models

FORWARD = r"""
ALTER TABLE llm_request ALTER usage TYPE bytea USING '\x00'::bytea || convert_to(usage::text, 'UTF8')
"""
BACKWARD = "ALTER TABLE llm_request ALTER usage TYPE jsonb USING NULL"
FIELD = models.BinaryField(null=True, help_text="the provider's own object; see usage_packing.py")


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0006_dictionaries")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD, state_operations=[migrations.AlterField("llmrequest", "usage", FIELD)]),
    ]
