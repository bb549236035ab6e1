"""Sums of what answers from the cache saved. A column with a constant default rewrites no table."""

import django.contrib.postgres.fields
from django.db import migrations, models

SAVED = ("saved_nano_usd", "saved_priced", "saved_ms", "saved_tokens")
TIERS = ("usage_delta", "usage_minute", "usage_hour", "usage_day")
SUMS = ", ".join(f"ADD COLUMN {name} bigint NOT NULL DEFAULT 0" for name in SAVED)
ARRAYS = ", ".join(
    f"ADD COLUMN {name} {'integer' if name == 'saved_priced' else 'bigint'}[] NOT NULL DEFAULT '{{}}'" for name in SAVED
)
DROPPED = ", ".join(f"DROP COLUMN {name}" for name in SAVED)

FORWARD = [
    *[f"ALTER TABLE {table} {SUMS}" for table in (*TIERS, "facet_day")],
    f"ALTER TABLE facet_delta {ARRAYS}",
]
BACK = [f"ALTER TABLE {table} {DROPPED}" for table in (*TIERS, "facet_day", "facet_delta")]


def _array(name):
    base = models.IntegerField() if name == "saved_priced" else models.BigIntegerField()
    return django.contrib.postgres.fields.ArrayField(base_field=base, size=None)


def _sum(name, *, is_tier):
    told = {"help_text": "this and the following: see rollup.SAVED"} if is_tier and name == SAVED[0] else {}
    return models.BigIntegerField(**told)


STATE = [
    *[
        migrations.AddField(model, name, _sum(name, is_tier=True))
        for model in ("usagedelta", "usageminute", "usagehour", "usageday")
        for name in SAVED
    ],
    *[migrations.AddField("facetday", name, _sum(name, is_tier=False)) for name in SAVED],
    *[migrations.AddField("facetdelta", name, _array(name)) for name in SAVED],
]


class Migration(migrations.Migration):
    dependencies = [("metrics_app", "0002_whole_facets")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)], state_operations=STATE
        )
    ]
