"""Facets keep every sum the tiers keep; deltas know when they were written; property keys can be hidden.

What was counted by day before this has nothing in the new columns: `manage.py rebuild` counts it again.
"""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models.functions import Now

TOKENS = (
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens",
)
BIG, SMALL = (*TOKENS, "ttft_ms"), ("cache_hits", "ttfts")
ORDER = (*TOKENS, "cache_hits", "ttft_ms", "ttfts")
DELTA = ", ".join(
    f"ADD COLUMN {name} {'bigint' if name in BIG else 'integer'}[] NOT NULL DEFAULT '{{}}'" for name in ORDER
)
DAY = ", ".join(f"ADD COLUMN {name} bigint NOT NULL DEFAULT 0" for name in ORDER)
DROPPED = ", ".join(f"DROP COLUMN {name}" for name in ORDER)

FORWARD = f"""
ALTER TABLE facet_delta {DELTA}, ADD COLUMN written_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE facet_day {DAY};
ALTER TABLE usage_delta ADD COLUMN written_at timestamptz NOT NULL DEFAULT now();
CREATE TABLE hidden_property (
    organization_id bigint NOT NULL, key text COLLATE "C" NOT NULL, PRIMARY KEY (organization_id, key)
);
"""
BACK = f"""
DROP TABLE hidden_property;
ALTER TABLE usage_delta DROP COLUMN written_at;
ALTER TABLE facet_day {DROPPED};
ALTER TABLE facet_delta {DROPPED}, DROP COLUMN written_at;
"""


def _array(name):
    base = models.BigIntegerField() if name in BIG else models.IntegerField()
    told = {"help_text": "this and the following: empty for zeros only"} if name == ORDER[0] else {}
    return django.contrib.postgres.fields.ArrayField(base_field=base, size=None, **told)


STATE = [
    *[migrations.AddField("facetdelta", name, _array(name)) for name in ORDER],
    *[migrations.AddField("facetday", name, models.BigIntegerField()) for name in ORDER],
    *[
        migrations.AddField(model, "written_at", models.DateTimeField(db_default=Now()))
        for model in ("facetdelta", "usagedelta")
    ],
    migrations.CreateModel(
        "HiddenProperty",
        [
            ("pk", models.CompositePrimaryKey(
                "organization_id", "key", blank=True, editable=False, primary_key=True, serialize=False)),
            ("organization_id", models.BigIntegerField()),
            ("key", models.TextField(db_collation="C", help_text="as counts name it")),
        ],
        options={"db_table": "hidden_property"},
    ),
]


class Migration(migrations.Migration):
    dependencies = [("metrics_app", "0001_initial")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)], state_operations=STATE
        )
    ]
