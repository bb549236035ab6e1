"""What the gateway wants to know of the database, beside the keys."""

from __future__ import annotations

from typing import Final

from accounts_app.snapshot import Part
from gateway_app import models_known, stored_routes

ROUTES: Final = Part(
    stored_routes.PART,
    "SELECT organization_id, name, pattern, targets FROM gateway_route"
    " ORDER BY organization_id, length(pattern) DESC, name",
    stored_routes.read,
)
MODELS: Final = Part(
    models_known.PART,
    "SELECT provider, match::text AS match, context_window FROM model_price"
    " WHERE is_current AND organization_id IS NULL AND starts_with(source, 'genai-prices')"
    " ORDER BY provider, priority, id",
    models_known.Models,
)
PARTS: Final = (ROUTES, MODELS)
