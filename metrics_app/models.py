"""What is counted: deltas the line appends, tiers and facets the fold moves them into.

The tables are made by SQL in the first migration; the classes describe them to Django's readers, and only
`rollup.py`, `fold.py` and `rebuild.py` write them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class _Usage(models.Model):
    """Measures of all rows under one key. What the words mean: `rollup.MEASURES`."""

    organization_id = models.BigIntegerField()
    kind = models.TextField(db_collation="C")
    provider = models.TextField(db_collation="C")
    model = models.TextField(db_collation="C", help_text="empty: none told")
    status = models.SmallIntegerField()
    cached = models.BooleanField()
    requests = models.BigIntegerField()
    priced = models.BigIntegerField(help_text="those with a cost")
    cost_nano_usd = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cache_read_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    input_audio_tokens = models.BigIntegerField()
    output_audio_tokens = models.BigIntegerField()
    duration_ms = models.BigIntegerField()
    durations = models.BigIntegerField(help_text="those with a duration")
    ttft_ms = models.BigIntegerField(help_text="sum of times to the first token")
    ttfts = models.BigIntegerField(help_text="those with such a time")
    saved_nano_usd = models.BigIntegerField(help_text="this and the following: see rollup.SAVED")
    saved_priced = models.BigIntegerField()
    saved_ms = models.BigIntegerField()
    saved_tokens = models.BigIntegerField()
    duration_hist = models.BinaryField(help_text="see histogram.py")
    ttft_hist = models.BinaryField()

    class Meta:
        abstract = True


class UsageDelta(_Usage):
    pk = models.CompositePrimaryKey("organization_id", "id")
    id = models.BigIntegerField()
    minute = models.DateTimeField()
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "usage_delta"


_TIER_KEY = ("organization_id", "bucket", "kind", "provider", "model", "status", "cached")


class UsageMinute(_Usage):
    pk = models.CompositePrimaryKey(*_TIER_KEY)
    bucket = models.DateTimeField()

    class Meta:
        db_table = "usage_minute"


class UsageHour(_Usage):
    pk = models.CompositePrimaryKey(*_TIER_KEY)
    bucket = models.DateTimeField()

    class Meta:
        db_table = "usage_hour"


class UsageDay(_Usage):
    pk = models.CompositePrimaryKey(*_TIER_KEY)
    bucket = models.DateTimeField()

    class Meta:
        db_table = "usage_day"


class FacetDelta(models.Model):
    """What one batch adds to the facets of one day: parallel arrays."""

    pk = models.CompositePrimaryKey("organization_id", "id")
    organization_id = models.BigIntegerField()
    id = models.BigIntegerField()
    day = models.DateField()
    dims = ArrayField(models.TextField(db_collation="C"))
    vals = ArrayField(models.TextField(db_collation="C"))
    requests = ArrayField(models.IntegerField())
    errors = ArrayField(models.IntegerField())
    priced = ArrayField(models.IntegerField())
    cost_nano_usd = ArrayField(models.BigIntegerField())
    input_tokens = ArrayField(models.BigIntegerField())
    output_tokens = ArrayField(models.BigIntegerField())
    duration_ms = ArrayField(models.BigIntegerField())
    durations = ArrayField(models.IntegerField())
    cache_read_tokens = ArrayField(models.BigIntegerField(), help_text="this and the following: empty for zeros only")
    cache_write_tokens = ArrayField(models.BigIntegerField())
    reasoning_tokens = ArrayField(models.BigIntegerField())
    input_audio_tokens = ArrayField(models.BigIntegerField())
    output_audio_tokens = ArrayField(models.BigIntegerField())
    cache_hits = ArrayField(models.IntegerField())
    ttft_ms = ArrayField(models.BigIntegerField())
    ttfts = ArrayField(models.IntegerField())
    saved_nano_usd = ArrayField(models.BigIntegerField())
    saved_priced = ArrayField(models.IntegerField())
    saved_ms = ArrayField(models.BigIntegerField())
    saved_tokens = ArrayField(models.BigIntegerField())
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "facet_delta"


class FacetDay(models.Model):
    """Sums of one value of one dimension on one UTC day, kinds that call a model only. Dimensions: `rollup.py`."""

    pk = models.CompositePrimaryKey("organization_id", "dim", "state", "val", "day")
    organization_id = models.BigIntegerField()
    dim = models.TextField(db_collation="C")
    state = models.SmallIntegerField(help_text="0: the value, 1: all values that were not admitted (val is empty)")
    val = models.TextField(db_collation="C")
    day = models.DateField()
    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    priced = models.BigIntegerField()
    cost_nano_usd = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    duration_ms = models.BigIntegerField()
    durations = models.BigIntegerField()
    cache_read_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    input_audio_tokens = models.BigIntegerField()
    output_audio_tokens = models.BigIntegerField()
    cache_hits = models.BigIntegerField()
    ttft_ms = models.BigIntegerField()
    ttfts = models.BigIntegerField()
    saved_nano_usd = models.BigIntegerField()
    saved_priced = models.BigIntegerField()
    saved_ms = models.BigIntegerField()
    saved_tokens = models.BigIntegerField()

    class Meta:
        db_table = "facet_day"


class FacetCap(models.Model):
    """How many values of a dimension have rows of their own on a day."""

    pk = models.CompositePrimaryKey("organization_id", "dim", "day")
    organization_id = models.BigIntegerField()
    dim = models.TextField(db_collation="C")
    day = models.DateField()
    admitted = models.IntegerField()

    class Meta:
        db_table = "facet_cap"


class CountingState(models.Model):
    """How far back an organisation's ground still reaches. Before it the counts are all that remains."""

    organization_id = models.BigIntegerField(primary_key=True)
    ground_from = models.DateTimeField(null=True, help_text="oldest moment retention has left whole; NULL: all of it")

    class Meta:
        db_table = "counting_state"


class HiddenProperty(models.Model):
    """A property key nobody of the organisation wants to see in lists. Its values are counted all the same."""

    pk = models.CompositePrimaryKey("organization_id", "key")
    organization_id = models.BigIntegerField()
    key = models.TextField(db_collation="C", help_text="as counts name it")

    class Meta:
        db_table = "hidden_property"
