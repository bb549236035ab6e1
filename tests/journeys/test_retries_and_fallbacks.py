"""Retries, fallbacks and token limits as the real SDKs meet them, with a provider that fails on demand."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest

from tests.journeys.stack import until
from tests.journeys.test_openai_client import ASKED, said

QUICK = {"Helicone-Retry-Enabled": "true", "Helicone-Retry-Num": "3", "Helicone-Retry-Min-Timeout": "5",
         "Helicone-Retry-Factor": "1", "Helicone-Retry-Max-Timeout": "20"}  # fmt: skip


def kinds(stack, journey, count):
    return sorted(row["response_status"] for row in stack.rows(journey, count))


def entries(*targets):
    return json.dumps([
        {"target-url": "https://api.openai.com", "onCodes": [429, {"from": 500, "to": 599}],
         "headers": {"Authorization": "Bearer sk-of-the-provider"}, **one}
        for one in targets
    ])  # fmt: skip


def test_openais_client_gets_the_last_answer_of_its_retries(stack, chat, journey):
    with pytest.raises(openai.InternalServerError) as told:
        chat.chat.completions.create(model="fail-503", messages=ASKED, extra_headers=said(journey, **QUICK))
    assert told.value.response.headers["helicone-attempts"] == "3"
    assert kinds(stack, journey, 1) == [503]


def test_openais_client_is_answered_by_the_second_target_streamed_and_not(stack, chat, journey):
    headers = said(journey, **{"Helicone-Fallbacks": entries(
        {"bodyKeyOverride": {"model": "fail-503"}}, {"bodyKeyOverride": {"model": "gpt-4.1-mini"}}
    )})  # fmt: skip
    raw = chat.chat.completions.with_raw_response.create(model="gpt-4o", messages=ASKED, extra_headers=headers)
    assert raw.headers["helicone-fallback-index"] == "1"
    assert raw.parse().model.startswith("gpt-4.1-mini")
    with chat.chat.completions.stream(model="gpt-4o", messages=ASKED, extra_headers=headers) as stream:
        assert stream.get_final_completion().model.startswith("gpt-4.1-mini")
    assert all(row["model"].startswith("gpt-4.1-mini") for row in stack.rows(journey, 2))


def test_litellms_list_of_models(stack, chat, journey):
    headers = said(journey, **{"Helicone-Fallbacks": '["fail-429", "gpt-4o-mini"]', **QUICK})
    raw = chat.chat.completions.with_raw_response.create(model="fail-500", messages=ASKED, extra_headers=headers)
    assert (raw.headers["helicone-fallback-index"], raw.headers["helicone-model"]) == ("2", "gpt-4o-mini")
    (row,) = stack.rows(journey, 1)
    assert (row["response_status"], row["cost"] > 0) == (200, True)


def test_a_comma_list_in_model_needs_no_header(stack, chat, journey):
    raw = chat.chat.completions.with_raw_response.create(
        model="fail-500/openai, gpt-4o-mini", messages=ASKED, extra_headers=said(journey)
    )
    assert raw.headers["helicone-provider"] == "openai"
    assert kinds(stack, journey, 1) == [200]


def test_where_all_fail_the_sdk_raises_what_the_provider_said(stack, chat, journey):
    with pytest.raises(openai.RateLimitError) as limited:
        chat.chat.completions.create(model="fail-429,fail-429/openai", messages=ASKED, extra_headers=said(journey))
    assert len(limited.value.body["details"]) == 2
    with pytest.raises(openai.AuthenticationError):
        chat.chat.completions.create(model="fail-401,fail-500", messages=ASKED, extra_headers=said(journey))
    assert kinds(stack, journey, 2) == [401, 429]


def test_anthropics_client_with_a_list_and_retries(stack, claude, journey):
    asked = [{"role": "user", "content": "Hello"}]
    options = {"max_tokens": 300, "messages": asked, "extra_headers": said(journey, **QUICK)}
    message = claude.messages.create(model="fail-529,claude-haiku-4-5", **options)
    assert message.model.startswith("claude-haiku-4-5")
    with pytest.raises(anthropic.BadRequestError, match="Helicone-Fallbacks"):
        claude.messages.create(model="claude-haiku-4-5", **{**options, "extra_headers": {"Helicone-Fallbacks": "no"}})
    assert kinds(stack, journey, 1) == [200]


def test_a_route_of_the_organisation_by_name(stack, database, chat, journey):
    """As an admin makes it; `edge` hears of it by the database."""
    headers = said(journey, **{"Helicone-Route": journey})

    def answer():
        try:
            return chat.chat.completions.with_raw_response.create(
                model="gpt-4o", messages=ASKED, extra_headers=headers
            ).headers
        except openai.BadRequestError as error:
            assert "No route is called" in error.message
            return None

    assert answer() is None
    targets = [{"model": "fail-503", "codes": [[503, 503]], "calls": 1}, {"model": "gpt-4o-mini", "calls": 1}]
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO gateway_route (organization_id, name, pattern, targets, updated_at) "
            "SELECT id, %s, '', %s, now() FROM organization",
            (journey, json.dumps(targets)),
        )
    told = until(answer, what="edge to know of the route")
    assert (told["helicone-fallback-index"], told["helicone-model"]) == ("1", "gpt-4o-mini")


def test_a_prompt_longer_than_its_model_takes_is_shortened(stack, chat, journey):
    headers = said(journey, **{"Helicone-Token-Limit-Exception-Handler": "middle-out"})
    asked = [{"role": "user", "content": "start " + "word " * 120_000 + "end"}]

    def shortened():
        """The context windows come with the price list, which `edge` reads every half minute."""
        raw = chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=asked, extra_headers=headers)
        return raw.headers["helicone-token-limit"] == "shortened"

    until(shortened, what="a long prompt is shortened")
    raw = chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    assert raw.headers["helicone-token-limit"] == "within"
    raw = chat.chat.completions.with_raw_response.create(model="my-own", messages=ASKED, extra_headers=headers)
    assert raw.headers["helicone-token-limit"] == "unknown"


def test_streams_for_clients_that_take_chunks_for_events_and_patience(stack, chat, journey):
    headers = said(journey, **{"Helicone-Stream-Force-Format": "true", "Helicone-Increase-Timeout": "true"})
    with chat.chat.completions.stream(model="gpt-4o-mini", messages=ASKED, extra_headers=headers) as stream:
        assert stream.get_final_completion().choices[0].message.content
    raw = chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    assert float(raw.headers["helicone-overhead-ms"]) >= 0
