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
        # Each order of the list; session_longest, of an expression, is made by the second migration.
        indexes = (
            models.Index(fields=["organization_id", "last_at", "session_id"], name="session_newest"),
            models.Index(fields=["organization_id", "first_at", "session_id"], name="session_begun"),
            models.Index(fields=["organization_id", "cost_nano_usd", "session_id"], name="session_costliest"),
            models.Index(fields=["organization_id", "requests", "session_id"], name="session_largest"),
            models.Index(fields=["organization_id", "errors", "session_id"], name="session_failing"),
        )
