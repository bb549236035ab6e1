"""Runs that price stored requests again, and what they changed; what is known of whole traces."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Repricing(models.Model):
    """One run over an organisation's requests of a period, by the price table as it is when a row's turn comes.

    `place_at`, `place_id`: the last row that is done, so that a run cut short goes on behind it. Where the run is
    looking (`previewing`) nothing but this row is written; `found` is then what it has seen so far.
    """

    class State(models.TextChoices):
        PREVIEWING = "previewing"
        PREVIEWED = "previewed"
        APPLYING = "applying"
        PAUSED = "paused"
        APPLIED = "applied"
        CANCELLED = "cancelled"
        UNDOING = "undoing"
        UNDONE = "undone"

    organization_id = models.BigIntegerField()
    created_by_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    model_names = ArrayField(models.TextField(), default=list, help_text="empty: every model")
    provider_names = ArrayField(models.TextField(), default=list, help_text="empty: every provider")
    only_unpriced = models.BooleanField(default=False)
    state = models.TextField(choices=State.choices, default=State.PREVIEWING)
    place_at = models.DateTimeField(null=True)
    place_id = models.UUIDField(null=True)
    total = models.BigIntegerField(default=0, help_text="requests in the period when the look began")
    seen = models.BigIntegerField(default=0, help_text="requests the pass under way has come by")
    changed = models.BigIntegerField(default=0, help_text="rows whose cost is another now")
    undone = models.BigIntegerField(default=0, help_text="rows that have their old cost again")
    left_alone = models.BigIntegerField(default=0, help_text="rows not undone: gone, or changed again since")
    found = models.JSONField(default=list, help_text="what the look found, by provider, model and day")
    found_is_cut = models.BooleanField(default=False, help_text="more models and days than are kept apart")
    price_stamp = models.TextField(default="", help_text="the price table the look was made with")
    changed_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True)
    undo_until = models.DateTimeField(null=True)
    resume_as = models.TextField(default="", help_text="what a paused run was doing")
    error = models.TextField(default="")

    class Meta:
        db_table = "repricing"
        indexes = (models.Index(fields=["organization_id", "-created_at"], name="repricing_newest"),)


class RepricedRow(models.Model):
    """What a row cost before a run, so that the run can be undone; and what the run set, to tell later changes."""

    pk = models.CompositePrimaryKey("repricing_id", "requested_at", "id")
    repricing_id = models.BigIntegerField()
    requested_at = models.DateTimeField()
    id = models.UUIDField()
    cost_nano_usd = models.BigIntegerField(null=True)
    cost_reason = models.TextField()
    price_id = models.BigIntegerField(null=True)
    estimated_cost_nano_usd = models.BigIntegerField(null=True)
    new_cost_nano_usd = models.BigIntegerField(null=True)
    new_cost_reason = models.TextField()
    new_price_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "repriced_row"


class Trace(models.Model):
    """What the spans of a trace said of all of it. Its row is the lock under which a trace is changed."""

    pk = models.CompositePrimaryKey("organization_id", "trace_id")
    organization_id = models.BigIntegerField()
    trace_id = models.TextField(db_collation="C")
    last_at = models.DateTimeField(help_text="of its latest span: retention goes by it")
    session_id = models.TextField(null=True)
    session_name = models.TextField(null=True)
    end_user_id = models.TextField(null=True)
    told = models.JSONField(default=dict, help_text="each fact with who said it and when: ingest_app/traces.py, Told")

    class Meta:
        db_table = "trace"
        # The list of traces, which is of those without a session, newest first.
        indexes = (
            models.Index(
                fields=["organization_id", "last_at", "trace_id"], condition=models.Q(session_id=None),
                name="trace_newest",
            ),
        )


class SpanWatch(models.Model):
    """A step that reports its children's usage: if none of them calls a model until `due_at`, it did itself."""

    organization_id = models.BigIntegerField()
    trace_id = models.TextField()
    span_id = models.TextField()
    due_at = models.DateTimeField()

    class Meta:
        db_table = "span_watch"
        constraints = (
            models.UniqueConstraint("organization_id", "trace_id", "span_id", name="span_watch_once"),
        )
        indexes = (models.Index(fields=["due_at"], name="span_watch_due"),)


class UnfinishedCall(models.Model):
    """A call whose reply told no usage yet, or an answer looked up whose call is not here: each waits for the other."""

    pk = models.CompositePrimaryKey("organization_id", "provider_response_id", "is_answer")
    organization_id = models.BigIntegerField()
    provider_response_id = models.TextField(db_collation="C")
    is_answer = models.BooleanField()
    requested_at = models.DateTimeField()
    id = models.UUIDField()
    waits_since = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "unfinished_call"


class PendingBody(models.Model):
    """Bodies uploaded before the message about their call; the line joins them when it comes, within a day."""

    organization_id = models.BigIntegerField()
    request_id = models.UUIDField(help_text="the id its client chose")
    at = models.DateTimeField()
    request = models.BinaryField()
    response = models.BinaryField()

    class Meta:
        db_table = "pending_body"
        indexes = (
            models.Index(fields=["organization_id", "request_id"], name="pending_body_request"),
            models.Index(fields=["at"], name="pending_body_oldest"),
        )


class PendingEvent(models.Model):
    """An event about a stored request that waits to be sent to its client's PostHog."""

    organization_id = models.BigIntegerField()
    request_id = models.UUIDField(unique=True)
    host = models.TextField()
    sealed = models.TextField(help_text="envelope of the client's key; see forwarding.py")
    tries = models.IntegerField(default=0)
    due_at = models.DateTimeField()

    class Meta:
        db_table = "pending_event"
        indexes = (models.Index(fields=["due_at"], name="pending_event_due"),)
