"""Credentials that an SDK wrote into a span are not kept."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_app.otlp_secrets import without_secrets

SECRET = "sk-ant-0123456789"  # no real one


def kept(attributes: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """(attributes as they are kept, the same as text)."""
    data = without_secrets(orjson.dumps({"v": 1, "attributes": attributes}))
    return json.loads(data)["attributes"], data.decode()


@pytest.mark.parametrize("attributes", [
    {"http.request.header.authorization": f"Bearer {SECRET}"},
    {"http.request.header.authorization": [f"Bearer {SECRET}"]},
    {"http.request.header.x-api-key": SECRET},
    {"llm.api_key": SECRET},
    {"gen_ai.headers": str({"Authorization": f"Bearer {SECRET}", "X-Other": "1"})},
    {"llm.headers": json.dumps({"X-Goog-Api-Key": SECRET})},
    {"llm.headers": {"Cookie": SECRET}},
    {"llm.invocation_parameters": json.dumps({"model": "m", "extra_headers": {"Helicone-Auth": f"Bearer {SECRET}"}})},
    {"input.value": json.dumps({"kwargs": json.dumps({"openai_api_key": SECRET})})},
    {"input.value": json.dumps({"kwargs": json.dumps({"more": json.dumps({"api_key" : SECRET})})}, indent=2)},
    {"url.full": f"https://generativelanguage.googleapis.com/v1beta/models/g:generateContent?alt=sse&key={SECRET}"},
])  # fmt: skip
def test_no_credential_is_kept(attributes: dict[str, Any]):
    found, text = kept(attributes)
    assert SECRET not in text
    assert "[redacted]" in text
    assert found.keys() == attributes.keys()


@pytest.mark.parametrize("attributes", [
    {"gen_ai.usage.input_tokens": 5, "llm.token_count.prompt": 5, "langfuse.observation.metadata.key": "value"},
    {"gen_ai.headers": str({"X-Replay-Id": "1"})},
    {"gen_ai.input.messages": json.dumps([{"role": "user", "content": "Where is my api_key: in the settings?"}])},
    {"input.value": json.dumps({"max_tokens": 5, "api_key": None, "authorization": True})},
    {"url.full": "https://api.openai.com/v1/chat/completions?alt=sse"},
])  # fmt: skip
def test_everything_else_is_kept_as_it_came(attributes: dict[str, Any]):
    assert kept(attributes)[0] == attributes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["authorization", "x-api-key", "a", "url.full", "'", '"']), inner, max_size=3),
)  # fmt: skip


@given(JSON, JSON.map(json.dumps), JSON.map(str))
def test_what_is_kept_is_json_of_the_same_shape(one: Any, packed: str, printed: str):
    found = {"one": one, "packed": packed, "printed": printed, "authorization": packed}
    assert json.loads(without_secrets(orjson.dumps(found))).keys() == found.keys()
