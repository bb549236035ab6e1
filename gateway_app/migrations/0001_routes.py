"""Stored routes; `edge` is told of a change as it is of keys."""

import django.db.models.functions.text
from django.db import migrations, models

TRIGGER = """
CREATE TRIGGER snapshot AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway_route
    FOR EACH STATEMENT EXECUTE FUNCTION raise_snapshot_version();
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("accounts_app", "0002_snapshot_version")]
    operations = [
        migrations.CreateModel(
            name="GatewayRoute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("organization_id", models.BigIntegerField()),
                ("name", models.TextField()),
                (
                    "pattern",
                    models.TextField(
                        blank=True, help_text="models it is for without being named: gpt-4o*; empty for none"
                    ),
                ),
                (
                    "targets",
                    models.JSONField(
                        help_text=(
                            "[{provider, model, codes: [[from, to]], calls}]; "
                            "an empty provider or model is the request's own"
                        )
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "db_table": "gateway_route",
                "constraints": [
                    models.UniqueConstraint(
                        models.F("organization_id"), django.db.models.functions.text.Lower("name"),
                        name="gateway_route_name",
                    )
                ],
            },
        ),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER snapshot ON gateway_route"),
    ]
