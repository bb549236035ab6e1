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
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    end_users = ArrayField(models.TextField())
    model_names = ArrayField(models.TextField())

    class Meta:
        db_table = "session"
        indexes = (
            models.Index(fields=["organization_id", "-last_at"], name="session_newest"),
            models.Index(fields=["organization_id", "-cost_nano_usd"], name="session_costliest"),
        )
