"""What an organization has set to be warned of or held to, and what was seen of it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts_app.models import Organization
from alerts_app.segments import KINDS


class _Counted(models.Model):
    """By whom something is counted; see `segments.Segment`."""

    by = models.CharField(max_length=16, choices=[(kind, kind) for kind in KINDS], default="organization")
    property_name = models.CharField(max_length=200, blank=True, default="", help_text="in lower case")
    value = models.CharField(max_length=2000, blank=True, default="", help_text="empty: each value apart")

    class Meta:
        abstract = True


class RateLimitRule(_Counted):
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="rate_limit_rules")
    name = models.CharField(max_length=200)
    quota = models.FloatField()
    window_seconds = models.IntegerField()
    unit = models.CharField(max_length=8, default="request", help_text="request or cents")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "rate_limit_rule"


class Budget(_Counted):
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="budgets")
    name = models.CharField(max_length=200)
    limit_nano_usd = models.BigIntegerField()
    span = models.CharField(max_length=8, default="month", help_text="day, week, month or rolling")
    hours = models.IntegerField(default=0, help_text="of a rolling window")
    time_zone = models.CharField(max_length=64, default="UTC", help_text="whose midnight a period begins at")
    warn_percents = ArrayField(models.IntegerField(), default=list)
    is_hard = models.BooleanField(default=True, help_text="calls beyond are refused")
    edition = models.IntegerField(default=1, help_text="see budgets.Budget")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    looked_at = models.DateTimeField(null=True, help_text="when Redis was last compared with Postgres")
    tried_at = models.DateTimeField(null=True, help_text="when that was last tried")
    trouble = models.TextField(blank=True, default="", help_text="why it could not be")

    class Meta:
        db_table = "budget"


class BudgetState(models.Model):
    """What one segment of a budget came to at the last look, in nano-USD. Written by the reconciliation alone."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="states")
    organization_id = models.BigIntegerField()
    value = models.CharField(max_length=2000, blank=True, default="")
    since = models.DateTimeField(help_text="start of the period looked at")
    spent_nano_usd = models.BigIntegerField(help_text="as Postgres says")
    reserved_nano_usd = models.BigIntegerField()
    drift_nano_usd = models.BigIntegerField(help_text="what Redis had beyond Postgres, before it was corrected")
    requests = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0, help_text="requests of unknown cost, which count nothing")

    class Meta:
        db_table = "budget_state"
        constraints = (models.UniqueConstraint("budget", "value", name="budget_state_once"),)


class BudgetEvent(models.Model):
    """A threshold was crossed; once a period, segment and threshold."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="events")
    organization_id = models.BigIntegerField()
    value = models.CharField(max_length=2000, blank=True, default="")
    percent = models.IntegerField()
    since = models.DateTimeField(help_text="start of the period")
    spent_nano_usd = models.BigIntegerField()
    limit_nano_usd = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        db_table = "budget_event"
        constraints = (models.UniqueConstraint("budget", "value", "percent", "since", name="budget_event_once"),)
        indexes = (models.Index(fields=["organization_id", "-at"], name="budget_event_newest"),)


class SessionGuard(models.Model):
    """What any session of an organization may come to; NULL is no bound."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="session_guard")
    max_cost_nano_usd = models.BigIntegerField(null=True, blank=True)
    max_calls = models.IntegerField(null=True, blank=True)
    max_depth = models.IntegerField(null=True, blank=True)
    max_repeats = models.IntegerField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "session_guard"
