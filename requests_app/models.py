"""The ground: one row per model call or span, its bodies, and the prices it was charged at.

`LLMRequest` and `LLMRequestBody` are partitioned by `requested_at` and made by SQL in the first migration; the
classes here describe them to Django's readers. Nothing but `store.py` writes them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class LLMRequest(models.Model):
    pk = models.CompositePrimaryKey("organization_id", "requested_at", "id")
    organization_id = models.BigIntegerField()
    requested_at = models.DateTimeField()
    id = models.UUIDField()
    client_request_id = models.TextField(null=True)
    kind = models.TextField()
    door = models.TextField()
    provider = models.TextField()
    model = models.TextField(null=True)
    request_model = models.TextField(null=True)  # empty, it and the next: as `model`
    response_model = models.TextField(null=True)
    status = models.SmallIntegerField()
    error_type = models.TextField(null=True)
    error_message = models.TextField(null=True)
    finish_reason = models.TextField(null=True)
    is_stream = models.BooleanField()
    cached = models.BooleanField()
    duration_ms = models.IntegerField(null=True)
    time_to_first_token_ms = models.IntegerField(null=True)
    input_tokens = models.IntegerField(null=True)
    output_tokens = models.IntegerField(null=True)
    cache_read_tokens = models.IntegerField(null=True)
    cache_write_tokens = models.IntegerField(null=True)
    cache_write_1h_tokens = models.IntegerField(null=True)
    reasoning_tokens = models.IntegerField(null=True)
    input_audio_tokens = models.IntegerField(null=True)
    output_audio_tokens = models.IntegerField(null=True)
    web_searches = models.IntegerField(null=True)
    usage = models.BinaryField(null=True, help_text="the provider's own object; see usage_packing.py")
    usage_parts = models.JSONField(null=True)
    cost_nano_usd = models.BigIntegerField(null=True)
    cost_reason = models.TextField()
    price_id = models.BigIntegerField(null=True)
    estimated_input_tokens = models.IntegerField(null=True)
    estimated_output_tokens = models.IntegerField(null=True)
    estimated_cost_nano_usd = models.BigIntegerField(null=True)
    estimate_method = models.TextField(null=True)
    end_user_id = models.TextField(null=True)
    session_id = models.TextField(null=True)
    session_path = models.TextField(null=True)
    session_name = models.TextField(null=True)
    properties = models.JSONField(default=dict)
    scores = models.JSONField(null=True)
    prompt_id = models.TextField(null=True)
    prompt_version = models.TextField(null=True)
    api_key_id = models.BigIntegerField(null=True)
    country_code = models.TextField(null=True)
    threat = models.BooleanField(null=True)
    method = models.TextField()
    target_url = models.TextField()
    dialect = models.TextField()
    provider_response_id = models.TextField(null=True)
    service_tier = models.TextField(null=True)
    trace_id = models.TextField(null=True)
    span_id = models.TextField(null=True)
    parent_span_id = models.TextField(null=True)
    name = models.TextField(null=True)
    request_preview = models.TextField()
    response_preview = models.TextField()
    tool_calls = ArrayField(models.TextField(), null=True, help_text="NULL: none")
    request_bytes = models.IntegerField()
    response_bytes = models.IntegerField()
    request_state = models.TextField()
    response_state = models.TextField()
    problems = ArrayField(models.TextField(), null=True, help_text="NULL: none")
    amended = models.JSONField(null=True)
    cached_from = models.UUIDField(null=True)

    class Meta:
        managed = False
        db_table = "llm_request"


class LLMRequestBody(models.Model):
    """Both sides as zstd frames, made with dictionary `dict_version` (0 = none) under key `key_version` (0 = plain).

    `together` is one frame of `request`, `response` and `headers`, which are NULL then; see `body_frame.py`.
    `response` is the folded body of a stream; the stream itself stands in `response_raw` only where it could not
    be folded cleanly. `headers` is JSON `{"request": {...}, "response": {...}}`, with `prompt` where its tags told a
    template.
    """

    pk = models.CompositePrimaryKey("organization_id", "requested_at", "id")
    organization_id = models.BigIntegerField()
    requested_at = models.DateTimeField()
    id = models.UUIDField()
    dict_version = models.IntegerField(default=0)
    key_version = models.IntegerField(default=0)
    request = models.BinaryField(null=True)
    response = models.BinaryField(null=True)
    response_raw = models.BinaryField(null=True)
    headers = models.BinaryField(null=True)
    together = models.BinaryField(null=True)
    request_type = models.TextField()
    response_type = models.TextField()

    class Meta:
        managed = False
        db_table = "llm_request_body"


class BodyDictionary(models.Model):
    """zstd dictionaries of an organisation's bodies; kept as long as a body names its version."""

    version = models.IntegerField(primary_key=True)
    organization_id = models.BigIntegerField()
    is_current = models.BooleanField(help_text="new bodies are made with it")
    content = models.BinaryField()
    made_at = models.DateTimeField()

    class Meta:
        db_table = "body_dictionary"
        indexes = (models.Index(fields=["organization_id"], name="body_dictionary_of"),)
        constraints = (
            models.UniqueConstraint(
                fields=["organization_id"], condition=models.Q(is_current=True), name="body_dictionary_current"
            ),
        )


class RequestAlias(models.Model):
    """Ids clients chose themselves, each once per organisation, and where their row is."""

    pk = models.CompositePrimaryKey("organization_id", "client_id")
    organization_id = models.BigIntegerField()
    client_id = models.TextField(db_collation="C")
    requested_at = models.DateTimeField()
    id = models.UUIDField()

    class Meta:
        db_table = "request_alias"


class PendingAmendment(models.Model):
    """Late facts that came before their request; the line applies them when it comes."""

    organization_id = models.BigIntegerField()
    request_id = models.UUIDField()
    at = models.DateTimeField(help_text="the fact's own time: the latest wins")
    facts = models.JSONField()

    class Meta:
        db_table = "pending_amendment"
        indexes = (models.Index(fields=["organization_id", "request_id"], name="pending_amendment_request"),)


class ModelPrice(models.Model):
    """A dated price. `organization_id` NULL is everybody's; an organisation's own row wins over it."""

    organization_id = models.BigIntegerField(null=True)
    provider = models.TextField(help_text="slug; empty matches any")
    model_key = models.TextField(help_text="the seed's own id of the model, or the operator's name for the rule")
    match = models.JSONField(help_text="which model names it is for: equals, starts_with, … and/or")
    prices = models.JSONField(help_text="USD per million tokens by kind, with tiers; see llm/pricing.py")
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    priority = models.IntegerField(default=0, help_text="order among rows that match: the seed's own order")
    context_window = models.IntegerField(null=True, help_text="tokens the model takes; NULL where nobody tells")
    source = models.TextField(help_text="genai-prices <version>, or operator")
    is_current = models.BooleanField(default=True, help_text="False: replaced, kept for the rows charged at it")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "model_price"
        indexes = (models.Index(fields=["provider", "is_current"], name="model_price_current"),)


class RetentionPolicy(models.Model):
    """How many whole days (UTC) an organisation keeps what; NULL is for ever, and so is having no policy.

    `body_days <= request_days <= count_days`: a body needs its row, and a count outlives what was counted.
    """

    organization_id = models.BigIntegerField(primary_key=True)
    body_days = models.PositiveIntegerField(null=True, blank=True, help_text="empty: unlimited")
    request_days = models.PositiveIntegerField(null=True, blank=True, help_text="empty: unlimited")
    count_days = models.PositiveIntegerField(null=True, blank=True, help_text="empty: unlimited")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "retention_policy"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(request_days=None) | models.Q(body_days__lte=models.F("request_days")),
                name="retention_policy_bodies_first",
            ),
            models.CheckConstraint(
                condition=models.Q(count_days=None) | models.Q(request_days__lte=models.F("count_days")),
                name="retention_policy_counts_last",
            ),
            models.CheckConstraint(
                condition=models.Q(body_days__gte=1) & models.Q(request_days__gte=1) & models.Q(count_days__gte=1),
                name="retention_policy_a_day",
            ),
        )


class SessionPin(models.Model):
    """A session retention leaves whole."""

    organization_id = models.BigIntegerField()
    session_id = models.TextField()
    created_by_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "session_pin"
        constraints = (models.UniqueConstraint("organization_id", "session_id", name="session_pin_once"),)


class RetentionRun(models.Model):
    """What one night removed of one organisation: so many rows of a kind that were older than `before_at`."""

    organization_id = models.BigIntegerField()
    what = models.TextField(help_text="bodies, requests or counts")
    before_at = models.DateTimeField()
    removed = models.BigIntegerField(help_text="rows")
    dropped = models.IntegerField(default=0, help_text="whole partitions among them")
    finished_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "retention_run"
        indexes = (models.Index(fields=["organization_id", "-finished_at"], name="retention_run_newest"),)


class SavedFilter(models.Model):
    """A view of a page somebody named: the query string of its address, without what is only a place in it."""

    organization_id = models.BigIntegerField()
    name = models.CharField(max_length=200)
    page = models.CharField(max_length=32, default="requests")
    query = models.TextField()
    tree = models.JSONField(null=True, help_text="Helicone's own form, where it was saved by its API")
    is_shared = models.BooleanField(default=True, help_text="seen by all members, else by its maker alone")
    created_by_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "saved_filter"
        indexes = (models.Index(fields=["organization_id", "page", "name"], name="saved_filter_menu"),)


class Dismissal(models.Model):
    """An entry of the unpriced inbox a member does not want to see again."""

    organization_id = models.BigIntegerField()
    what = models.TextField(help_text="section of the inbox: no_price, no_usage, usage_key")
    provider = models.TextField()
    name = models.TextField(help_text="the model, or the usage key; empty where none was told")
    created_by_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "unpriced_dismissal"
        constraints = (
            models.UniqueConstraint("organization_id", "what", "provider", "name", name="unpriced_dismissal_once"),
        )
