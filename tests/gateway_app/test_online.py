"""`model:online`: each provider asked to search in its own way, and what the AI gateway says of who answered."""

from __future__ import annotations

import json

import orjson
import pytest

from gateway_app import online
from tests.gateway_app.stage import AUTH, KEY, run, staged
from tests.gateway_app.test_fallbacks import JSON_TYPE, answering_by, keys

SEARCH, CLAUDES = {"type": "web_search"}, {"type": "web_search_20250305", "name": "web_search"}
OWN_TOOL = {"type": "function", "name": "f"}


@pytest.mark.parametrize(("slug", "path", "model", "body", "found"), [
    ("openai", "/v1/responses", "gpt-4o", {}, {"model": "gpt-4o", "tools": [SEARCH]}),
    ("openai", "/v1/responses", "m", {"tools": [OWN_TOOL]}, {"model": "m", "tools": [OWN_TOOL, SEARCH]}),
    ("openai", "/v1/responses", "m", {"tools": [SEARCH]}, {"model": "m", "tools": [SEARCH]}),
    ("openai", "/v1/chat/completions", "gpt-4o", {}, None),
    ("openai", "/v1/chat/completions", "gpt-4o-search-preview", {},
     {"model": "gpt-4o-search-preview", "web_search_options": {}}),
    ("anthropic", "/v1/messages", "claude", {}, {"model": "claude", "tools": [CLAUDES]}),
    ("openrouter", "/api/v1/chat/completions", "a/b", {}, {"model": "a/b:online"}),
    ("perplexity", "/chat/completions", "sonar", {}, {"model": "sonar"}),
    ("groq", "/openai/v1/chat/completions", "llama", {}, None),
    ("openai", "/v1/responses", "m", [], {"model": "m", "tools": [SEARCH]}),
])  # fmt: skip
def test_each_provider_is_asked_to_search_in_its_own_way(slug, path, model, body, found):
    assert online.override(slug, path, model, orjson.dumps(body)) == found


def test_a_model_asked_for_online_searches_or_is_passed_over_with_the_reason(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({}, seen)) as stage:
            keys(stage, openai="stored-key", anthropic="k")
            headers = {"authorization": f"Bearer {KEY}", **JSON_TYPE}
            body = b'{"model":"gpt-4o:online/anthropic, gpt-4o:online/openai","input":"x"}'
            status, told, _ = await stage.ask(path="/v1/responses", body=body, headers=headers)
            chat, _, refusal = await stage.ask(body=b'{"model":"gpt-4o:online/openai"}', headers=headers)
            alone, mode, _ = await stage.ask(body=b'{"model":"gpt-4o"}', headers=headers)
            own, none, _ = await stage.ask(body=b'{"model":"gpt-4o"}', headers={**AUTH, "authorization": "Bearer mine"})
        assert json.loads(seen[0].body) == {"model": "gpt-4o", "input": "x", "tools": [SEARCH]}
        assert (status, told["helicone-model"], told["helicone-provider"]) == (200, "gpt-4o", "openai")
        assert (told["helicone-gateway-mode"], told["helicone-fallback-index"]) == ("BYOK", "1")
        assert (chat, "no search of the web" in json.loads(refusal)["error"]["message"]) == (400, True)
        assert (alone, mode["helicone-gateway-mode"], mode["helicone-model"]) == (200, "BYOK", "gpt-4o")
        assert "helicone-fallback-index" not in mode
        assert (own, "helicone-gateway-mode" in none) == (200, False)

    run(work())
