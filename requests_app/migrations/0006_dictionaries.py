"""Dictionaries of bodies, numbered across all organisations, and the index that knows which of them bodies need."""

from django.db import migrations, models

FORWARD = """
CREATE SEQUENCE body_dictionary_version AS integer;
CREATE INDEX llm_request_body_dictionary ON llm_request_body (organization_id, dict_version) WHERE dict_version > 0;
"""
BACKWARD = """
DROP INDEX llm_request_body_dictionary;
DROP SEQUENCE body_dictionary_version;
"""


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0005_unpriced")]
    operations = [
        migrations.CreateModel(
            name="BodyDictionary",
            fields=[
                ("version", models.IntegerField(primary_key=True, serialize=False)),
                ("organization_id", models.BigIntegerField()),
                ("is_current", models.BooleanField(help_text="new bodies are made with it")),
                ("content", models.BinaryField()),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "db_table": "body_dictionary",
                "indexes": [models.Index(fields=["organization_id"], name="body_dictionary_of")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_current", True)),
                        fields=("organization_id",),
                        name="body_dictionary_current",
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
