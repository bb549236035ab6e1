"""Sessions: one row per (organisation, session id), kept by the line from every Change."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Session(models.Model):
    pk = models.CompositePrimaryKey("organization_id", "session_id")
    organization_id = models.BigIntegerField()
    session_id = models.TextField()
    name = models.TextField(null=True, help_text="latest non-empty name")
    named_at = models.DateTimeField(null=True)
    requests = models.BigIntegerField()
    steps = models.BigIntegerField(help_text="rows of any kind")
    errors = models.BigIntegerField()
    priced = models.BigIntegerField()
    cost_nano_usd = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    duration_ms = models.BigIntegerField(help_text="sum over its model calls, not the time between first and last")
    duration_hist = models.BinaryField(default=b"", help_text="durations of its model calls, see histogram.py")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    last_begun_at = models.DateTimeField(help_text="when its last request began")
    end_users = ArrayField(models.TextField())
    model_names = ArrayField(models.TextField())

    class Meta:
        db_table = "session"
        # Each order of the list; session_longest and session_named, of expressions, are made by migrations.
        indexes = (
            models.Index(fields=["organization_id", "last_at", "session_id"], name="session_newest"),
            models.Index(fields=["organization_id", "first_at", "session_id"], name="session_begun"),
            models.Index(fields=["organization_id", "cost_nano_usd", "session_id"], name="session_costliest"),
            models.Index(fields=["organization_id", "requests", "session_id"], name="session_largest"),
            models.Index(fields=["organization_id", "errors", "session_id"], name="session_failing"),
        )


class _Counted(models.Model):
    """Sums over the sessions that began on one day, made their last request on one day and have one name."""

    organization_id = models.BigIntegerField()
    begun = models.DateField(help_text="UTC day of its first request")
    ended = models.DateField(help_text="UTC day its last request began on")
    name = models.TextField(help_text="empty: none")
    sessions = models.BigIntegerField()
    requests = models.BigIntegerField()
    steps = models.BigIntegerField()
    cost_nano_usd = models.BigIntegerField()
    duration_ms = models.BigIntegerField()

    class Meta:
        abstract = True


class SessionDay(_Counted):
    pk = models.CompositePrimaryKey("organization_id", "begun", "ended", "name")

    class Meta:
        db_table = "session_day"


class SessionDelta(_Counted):
    """What a statement on `session` changed, written by its triggers and moved into SessionDay by `rollup.fold`."""

    pk = models.CompositePrimaryKey("organization_id", "id")
    id = models.BigIntegerField()

    class Meta:
        db_table = "session_delta"
