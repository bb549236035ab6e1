"""The unpriced inbox: an index of the rows it is about, and what members do not want to see in it.

Rows that have a cost, or need none, are in neither index and cost them nothing. An index entry must fit in a third of
a page: a provider's name too long for that stays out, whatever else is long in it.
"""

from django.db import migrations, models

FORWARD = """
CREATE INDEX llm_request_unpriced ON llm_request (organization_id, cost_reason, provider, model, requested_at)
    INCLUDE (id, is_stream, api_key_id, input_tokens, output_tokens)
    WHERE cost_nano_usd IS NULL AND cost_reason IN ('no_price', 'no_usage', 'no_model')
        AND octet_length(provider) <= 300;
CREATE FUNCTION has_problem(problems text[], code text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT EXISTS (SELECT 1 FROM unnest(problems) AS one WHERE starts_with(one, code)) $$;
CREATE INDEX llm_request_usage_key ON llm_request (organization_id, requested_at)
    WHERE problems <> '{}' AND has_problem(problems, 'usage_key_unknown');
"""
BACKWARD = """
DROP INDEX llm_request_usage_key;
DROP FUNCTION has_problem(text[], text);
DROP INDEX llm_request_unpriced;
"""


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0004_estimates")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.CreateModel(
            name="Dismissal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("organization_id", models.BigIntegerField()),
                ("what", models.TextField(help_text="section of the inbox: no_price, no_usage, usage_key")),
                ("provider", models.TextField()),
                ("name", models.TextField(help_text="the model, or the usage key; empty where none was told")),
                ("created_by_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"db_table": "unpriced_dismissal"},
        ),
        migrations.AddConstraint(
            "dismissal",
            models.UniqueConstraint(
                models.F("organization_id"), models.F("what"), models.F("provider"), models.F("name"),
                name="unpriced_dismissal_once",
            ),
        ),
    ]
