"""Fields only Helicone's AI gateway knows: said in each provider's own words, or left out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app import ai_words, online
from tests.gateway_app.stage import AUTH, KEY, json_answer, read_request, run, staged
from tests.gateway_app.test_fallbacks import JSON_TYPE, answering_by, keys

THINKING = {"reasoning_options": {"budget_tokens": 2048}}
WEB = {"id": "web", "max_uses": 3, "allowed_domains": ["a.test"], "user_location": {"type": "approximate"}}


@pytest.mark.parametrize(("slug", "path", "said"), [
    ("anthropic", "/v1/chat/completions", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ("anthropic", "/v1/messages", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ("google", "/v1beta/openai/chat/completions",
     {"extra_body": {"google": {"thinking_config": {"thinking_budget": 2048}}}}),
    ("openrouter", "/api/v1/chat/completions", {"reasoning": {"max_tokens": 2048}}),
    ("openai", "/v1/chat/completions", {}),
])  # fmt: skip
def test_thinking_is_asked_for_in_each_providers_own_way(slug, path, said):
    assert ai_words.override(ai_words.read(orjson.dumps(THINKING)), slug, path) == said


@pytest.mark.parametrize(("slug", "path", "tool"), [
    ("anthropic", "/v1/messages", {"type": "web_search_20250305", "name": "web_search", **WEB}),
    ("openai", "/v1/responses", {"type": "web_search", "filters": {"allowed_domains": ["a.test"]},
                                 "user_location": {"type": "approximate"}}),
    ("azure", "/openai/responses", {"type": "web_search_preview", "user_location": {"type": "approximate"}}),
])  # fmt: skip
def test_the_web_plugins_options_go_where_the_tool_has_them(slug, path, tool):
    found = online.override(slug, path, "m", b"{}", WEB)
    tool.pop("id", None)
    assert found == {"model": "m", "tools": [tool]}


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9999) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*ai_words.NAMES, "id", "budget_tokens"]), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_whatever_stands_in_a_body_is_read(value):
    words = ai_words.read(orjson.dumps(value))
    assert words.said.keys() == (set(ai_words.NAMES) & value.keys() if isinstance(value, dict) else set())
    for slug in ("anthropic", "openai", "google", "openrouter"):
        ai_words.override(words, slug, "/v1/chat/completions")
    online.override("anthropic", "/v1/messages", "m", b"{}", words.web)


def sent_by(tmp_path, body: dict[str, Any], *, path: str = "/v1/chat/completions", headers: Any = None):
    """(status, what reached providers, the answer)"""
    seen: list[Any] = []
    told: list[Any] = []

    async def work():
        async with staged(tmp_path, answering_by({}, seen)) as stage:
            keys(stage, openai="k", anthropic="k", openrouter="k")
            given = headers or {"authorization": f"Bearer {KEY}", **JSON_TYPE}
            told.extend(await stage.ask(path=path, body=orjson.dumps(body), headers=given))

    run(work())
    return told[0], [json.loads(one.body) for one in seen], told[2]


def test_a_call_to_ones_own_provider_is_sent_without_them(tmp_path):
    body = {"model": "gpt-4o", "messages": [], **THINKING, "context_editing": {"enabled": True}, "plugins": []}
    status, sent, _ = sent_by(tmp_path, body)
    assert (status, sent) == (200, [{"model": "gpt-4o", "messages": []}])


def test_each_of_a_list_gets_its_own_words(tmp_path):
    body = {"model": "claude-sonnet-4-5/anthropic,gpt-4o/openai", "messages": [], **THINKING}
    status, (first, *_), _ = sent_by(tmp_path, body)
    assert status == 200
    assert first == {
        "model": "claude-sonnet-4-5", "messages": [], "thinking": {"type": "enabled", "budget_tokens": 2048},
    }  # fmt: skip


def test_the_web_plugin_searches_or_is_refused_with_the_reason(tmp_path):
    status, sent, _ = sent_by(tmp_path, {"model": "gpt-4o", "input": "x", "plugins": [WEB]}, path="/v1/responses")
    assert (status, sent[0]["tools"][0]["type"], "plugins" in sent[0]) == (200, "web_search", False)
    status, sent, refusal = sent_by(tmp_path / "2", {"model": "gpt-4o/openai", "messages": [], "plugins": [WEB]})
    assert (status, sent) == (400, [])
    assert "no search of the web" in json.loads(refusal)["error"]["message"]


def test_openrouter_has_plugins_of_its_own():
    words = ai_words.read(orjson.dumps({"plugins": [{"id": "web"}], **THINKING}))
    assert ai_words.dropped(words, "openrouter") == THINKING
    assert ai_words.dropped(words, "openai") == {**THINKING, "plugins": [{"id": "web"}]}


def test_with_a_provider_key_of_ones_own_the_body_goes_on_as_it_came(tmp_path):
    body = {"model": "gpt-4o", "messages": [], **THINKING, "plugins": [WEB]}
    status, sent, _ = sent_by(tmp_path, body, headers={**AUTH, "authorization": "Bearer mine", **JSON_TYPE})
    assert (status, sent) == (200, [body])


@pytest.mark.parametrize(("body", "slug", "said"), [
    ({"thinking": {"type": "disabled"}}, "anthropic", {}),
    ({"reasoning": {"effort": "high"}}, "openrouter", {}),
    ({"max_tokens": 1500}, "anthropic", {"thinking": {"type": "enabled", "budget_tokens": 1499}}),
    ({"max_tokens": 500}, "anthropic", {}),
])  # fmt: skip
def test_what_a_client_says_in_the_providers_own_words_stays(body, slug, said):
    words = ai_words.read(orjson.dumps({**THINKING, **body}))
    assert ai_words.override(words, slug, "/v1/chat/completions") == said


@pytest.mark.parametrize(("models", "more"), [
    ("gpt-4o/openai,claude-sonnet-4-5/anthropic", [{"reasoning_options": {"budget_tokens": n}} for n in (1024, 9000)]),
    ("sonar/perplexity,gpt-5/openrouter", [{}, {"plugins": [{"id": "web"}]}]),
])  # fmt: skip
def test_what_only_a_later_candidate_acts_on_is_another_question_to_the_cache(tmp_path, models, more):
    asked: list[Any] = []

    async def play(reader, writer):
        while True:
            body = json.loads((await read_request(reader)).body)
            asked.append(body)
            if body["model"] in ("gpt-4o", "sonar"):
                writer.write(json_answer(b"{}", "500 Internal Server Error"))
                continue
            await asyncio.sleep(0.2)
            writer.write(json_answer(orjson.dumps([body.get("thinking"), body.get("plugins")])))

    async def work():
        async with staged(tmp_path, play) as stage:
            here = f"http://127.0.0.1:{stage.upstream_port}"
            stage.gateway.policy.provider_urls.update({"openrouter": here, "perplexity": here})
            keys(stage, openai="k", anthropic="k", openrouter="k", perplexity="k")
            headers = {"authorization": f"Bearer {KEY}", **JSON_TYPE, "helicone-cache-enabled": "true"}
            bodies = [orjson.dumps({"model": models, "messages": [], **one}) for one in more]
            answers = await asyncio.gather(*(stage.ask(body=body, headers=headers) for body in bodies))
        assert len({answer for _, _, answer in answers}) == 2

    run(work())


def test_a_body_nested_too_deeply_to_be_changed_is_refused_in_words(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({}, [])) as stage:
            keys(stage, openai="k")
            body = b'{"model":"gpt-4o","plugins":[],"x":' + b"[" * 300 + b"]" * 300 + b"}"
            status, _, answer = await stage.ask(body=body, headers={"authorization": f"Bearer {KEY}", **JSON_TYPE})
        assert (status, "nested too deeply" in json.loads(answer)["error"]["message"]) == (400, True)

    run(work())
