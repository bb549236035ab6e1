"""What a call would have cost where nobody told, and the rare parts of a usage.

The parts share one jsonb that is NULL for nearly every row. 65 columns keep a row's header at 32 bytes (its NULL
bitmap has room for 72), so none of these costs a row anything that does not use it.
"""

from django.db import migrations, models

FORWARD = """
ALTER TABLE llm_request
    ADD COLUMN usage_parts jsonb,
    ADD COLUMN estimated_input_tokens integer,
    ADD COLUMN estimated_output_tokens integer,
    ADD COLUMN estimated_cost_nano_usd bigint,
    ADD COLUMN estimate_method text;
"""
BACKWARD = """
ALTER TABLE llm_request
    DROP COLUMN usage_parts, DROP COLUMN estimated_input_tokens, DROP COLUMN estimated_output_tokens,
    DROP COLUMN estimated_cost_nano_usd, DROP COLUMN estimate_method;
"""
FIELDS = {
    "usage_parts": models.JSONField(null=True),
    "estimated_input_tokens": models.IntegerField(null=True),
    "estimated_output_tokens": models.IntegerField(null=True),
    "estimated_cost_nano_usd": models.BigIntegerField(null=True),
    "estimate_method": models.TextField(null=True),
}


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0003_retention")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD, state_operations=[
            migrations.AddField("llmrequest", name, field) for name, field in FIELDS.items()
        ]),
    ]
