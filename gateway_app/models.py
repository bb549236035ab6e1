"""What an organization has decided about its live calls."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower


class GatewayRoute(models.Model):
    """A named list of targets, tried in order. `edge` knows it by the snapshot (`snapshot_parts.py`)."""

    organization_id = models.BigIntegerField()
    name = models.TextField()
    pattern = models.TextField(blank=True, help_text="models it is for without being named: gpt-4o*; empty for none")
    targets = models.JSONField(
        help_text="[{provider, model, codes: [[from, to]], calls}]; an empty provider or model is the request's own"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "gateway_route"
        constraints = (models.UniqueConstraint("organization_id", Lower("name"), name="gateway_route_name"),)
