"""The list of models, as OpenAI's SDK reads it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from requests_app.models import ModelPrice

MATCH = {"equals": "x"}


def a_price(name: str, provider: str, **more) -> None:
    values = {"match": MATCH, "prices": {"input_mtok": "1"}, "source": "test", "is_current": True, **more}
    ModelPrice.objects.create(model_key=name, provider=provider, **values)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/models", "/ai/v1/models"])
def test_models_are_listed_once_with_who_makes_them(client, acme, path):
    ModelPrice.objects.all().delete()
    begun = datetime(2025, 8, 7, tzinfo=UTC)
    a_price("gpt-x", "azure")
    a_price("gpt-x", "openai", starts_at=begun)
    a_price("llama-x", "groq")
    a_price("old", "openai", ends_at=begun)
    a_price("replaced", "openai", is_current=False)
    a_price("their-own", "openai", organization_id=acme.id)
    told = client.get(path)
    assert told.status_code == 200
    assert told.json() == {"object": "list", "data": [
        {"id": "gpt-x", "object": "model", "created": int(begun.timestamp()), "owned_by": "openai"},
        {"id": "llama-x", "object": "model", "created": 0, "owned_by": "groq"},
    ]}  # fmt: skip
