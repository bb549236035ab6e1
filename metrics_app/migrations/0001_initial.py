"""Tables of what is counted. By SQL for storage settings and partitions; Django's state follows in the same step."""

import django.contrib.postgres.fields
from django.db import migrations, models

MEASURES = (
    "requests", "priced", "cost_nano_usd", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens", "duration_ms", "durations",
    "ttft_ms", "ttfts",
)
FACET_MEASURES = (
    "requests", "errors", "priced", "cost_nano_usd", "input_tokens", "output_tokens", "duration_ms", "durations",
)
KEY = """kind text COLLATE "C" NOT NULL, provider text COLLATE "C" NOT NULL, model text COLLATE "C" NOT NULL,
    status smallint NOT NULL, cached boolean NOT NULL"""
SUMS = ", ".join(f"{name} bigint NOT NULL" for name in MEASURES) + (
    ", duration_hist bytea NOT NULL, ttft_hist bytea NOT NULL"
)
FACET_SUMS = ", ".join(f"{name} bigint NOT NULL" for name in FACET_MEASURES)

USAGE_DELTA = f"""
CREATE TABLE usage_delta (
    organization_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, minute timestamptz NOT NULL,
    {KEY}, {SUMS}, PRIMARY KEY (organization_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""


def tier(name):
    return f"""
CREATE TABLE {name} (
    organization_id bigint NOT NULL, bucket timestamptz NOT NULL, {KEY}, {SUMS},
    PRIMARY KEY (organization_id, bucket, kind, provider, model, status, cached)
) WITH (fillfactor = 70);
"""


FACETS = f"""
CREATE TABLE facet_delta (
    organization_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, day date NOT NULL,
    dims text[] COLLATE "C" NOT NULL, vals text[] COLLATE "C" NOT NULL,
    requests integer[] NOT NULL, errors integer[] NOT NULL, priced integer[] NOT NULL,
    cost_nano_usd bigint[] NOT NULL, input_tokens bigint[] NOT NULL, output_tokens bigint[] NOT NULL,
    duration_ms bigint[] NOT NULL, durations integer[] NOT NULL, PRIMARY KEY (organization_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE TABLE facet_day (
    organization_id bigint NOT NULL, dim text COLLATE "C" NOT NULL, state smallint NOT NULL,
    val text COLLATE "C" NOT NULL, day date NOT NULL, {FACET_SUMS},
    PRIMARY KEY (organization_id, dim, state, val, day)
) PARTITION BY RANGE (day);
CREATE TABLE facet_cap (
    organization_id bigint NOT NULL, dim text COLLATE "C" NOT NULL, day date NOT NULL, admitted integer NOT NULL,
    PRIMARY KEY (organization_id, dim, day)
);
CREATE TABLE counting_state (organization_id bigint PRIMARY KEY, ground_from timestamptz);
"""

def usage_fields():
    return [
        ("organization_id", models.BigIntegerField()),
        ("kind", models.TextField(db_collation="C")),
        ("provider", models.TextField(db_collation="C")),
        ("model", models.TextField(db_collation="C", help_text="empty: none told")),
        ("status", models.SmallIntegerField()),
        ("cached", models.BooleanField()),
        ("requests", models.BigIntegerField()),
        ("priced", models.BigIntegerField(help_text="those with a cost")),
        *[(name, models.BigIntegerField()) for name in MEASURES[2:11]],
        ("durations", models.BigIntegerField(help_text="those with a duration")),
        ("ttft_ms", models.BigIntegerField(help_text="sum of times to the first token")),
        ("ttfts", models.BigIntegerField(help_text="those with such a time")),
        ("duration_hist", models.BinaryField(help_text="see histogram.py")),
        ("ttft_hist", models.BinaryField()),
    ]


def key(*names):
    return ("pk", models.CompositePrimaryKey(*names, blank=True, editable=False, primary_key=True, serialize=False))


def tier_model(name, table):
    names = ("organization_id", "bucket", "kind", "provider", "model", "status", "cached")
    return migrations.CreateModel(
        name, [key(*names), *usage_fields(), ("bucket", models.DateTimeField())], options={"db_table": table}
    )


def array(base):
    return django.contrib.postgres.fields.ArrayField(base_field=base, size=None)


STATE = [
    migrations.CreateModel(
        "UsageDelta",
        [
            key("organization_id", "id"), *usage_fields(), ("id", models.BigIntegerField()),
            ("minute", models.DateTimeField()),
        ],
        options={"db_table": "usage_delta"},
    ),
    tier_model("UsageMinute", "usage_minute"),
    tier_model("UsageHour", "usage_hour"),
    tier_model("UsageDay", "usage_day"),
    migrations.CreateModel(
        "FacetDelta",
        [
            key("organization_id", "id"), ("organization_id", models.BigIntegerField()),
            ("id", models.BigIntegerField()), ("day", models.DateField()),
            ("dims", array(models.TextField(db_collation="C"))), ("vals", array(models.TextField(db_collation="C"))),
            ("requests", array(models.IntegerField())), ("errors", array(models.IntegerField())),
            ("priced", array(models.IntegerField())), ("cost_nano_usd", array(models.BigIntegerField())),
            ("input_tokens", array(models.BigIntegerField())), ("output_tokens", array(models.BigIntegerField())),
            ("duration_ms", array(models.BigIntegerField())), ("durations", array(models.IntegerField())),
        ],
        options={"db_table": "facet_delta"},
    ),
    migrations.CreateModel(
        "FacetDay",
        [
            key("organization_id", "dim", "state", "val", "day"), ("organization_id", models.BigIntegerField()),
            ("dim", models.TextField(db_collation="C")),
            ("state", models.SmallIntegerField(
                help_text="0: the value, 1: all values that were not admitted (val is empty)")),
            ("val", models.TextField(db_collation="C")), ("day", models.DateField()),
            *[(name, models.BigIntegerField()) for name in FACET_MEASURES],
        ],
        options={"db_table": "facet_day"},
    ),
    migrations.CreateModel(
        "FacetCap",
        [
            key("organization_id", "dim", "day"), ("organization_id", models.BigIntegerField()),
            ("dim", models.TextField(db_collation="C")), ("day", models.DateField()),
            ("admitted", models.IntegerField()),
        ],
        options={"db_table": "facet_cap"},
    ),
    migrations.CreateModel(
        "CountingState",
        [
            ("organization_id", models.BigIntegerField(primary_key=True, serialize=False)),
            ("ground_from", models.DateTimeField(
                null=True, help_text="oldest moment retention has left whole; NULL: all of it")),
        ],
        options={"db_table": "counting_state"},
    ),
]

DROP = (
    "DROP TABLE usage_delta, usage_minute, usage_hour, usage_day, facet_delta, facet_day, facet_cap, counting_state"
)


class Migration(migrations.Migration):
    initial = True
    dependencies = [("requests_app", "0002_ground")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    USAGE_DELTA + tier("usage_minute") + tier("usage_hour") + tier("usage_day") + FACETS, DROP
                )
            ],
            state_operations=STATE,
        )
    ]
