"""LiteLLM's generic callback, with payloads as litellm 1.106 makes them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llm.parse import parse
from llm.pricing import PriceBook, PriceRow
from tests.ingest_app.postings import Shelf, post

PATH = "/v1/log/litellm"
CALL = "b30085b7-a951-4663-a70e-1ba29bc8b769"
PRICES = PriceBook((
    PriceRow(1, "anthropic", "haiku", {"starts_with": "claude-haiku"}, {"input_mtok": "1", "output_mtok": "5"}),
))


def payload(**said: Any) -> dict[str, Any]:
    """A call that went well; keywords replace its entries."""
    usage = {"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30}
    message = {"content": "Noon.", "role": "assistant", "tool_calls": None, "function_call": None}
    return {
        "id": "chatcmpl-91af", "litellm_call_id": CALL, "trace_id": "ffa6e856-c913-44a4-b9f3-e3d9f9f557e8",
        "session_id": "", "call_type": "completion", "cache_hit": None, "stream": None, "status": "success",
        "custom_llm_provider": "anthropic", "startTime": 1795003190.25, "endTime": 1795003190.75,
        "completionStartTime": 1795003190.375, "model": "claude-haiku-4-5", "response_cost": 0.00011, **usage,
        "metadata": {"user_api_key_alias": "app", "user_api_key_hash": "88dc28", "user_api_key_team_alias": None,
                     "requester_metadata": {"Helicone-Property-Plan": "gold", "feature": "clock", "deep": {"a": 1}}},
        "request_tags": ["a", "b"], "end_user": None, "api_base": "https://api.anthropic.com/v1/messages?key=secret",
        "messages": [{"role": "user", "content": "What is the time?"}],
        "response": {"id": "chatcmpl-91af", "model": "claude-haiku-4-5", "object": "chat.completion", "usage": usage,
                     "choices": [{"finish_reason": "stop", "index": 0, "message": message}]},
        "model_parameters": {"temperature": 0.5, "user": "ada"}, "error_str": None, "error_information": None, **said,
    }  # fmt: skip


def taken(body: Any) -> list[Any]:
    shelf = Shelf()
    reply = post(body, path=PATH, shelf=shelf)
    assert reply.status == 200, reply.body
    return shelf.exchanges()


def test_a_call_is_kept_with_everything_that_is_said_of_it():
    (call,) = taken(payload(session_id="s-1", end_user="bob", stream=True))
    said, reading = call.attribution, parse(call)
    assert (call.door, call.provider, call.status, call.url) == (
        "log", "anthropic", 200, "https://api.anthropic.com/v1/messages",
    )  # fmt: skip
    assert (call.requested_at.isoformat(), call.duration_ms) == ("2026-11-18T11:59:50.250000+00:00", 500)
    assert call.time_to_first_token_ms == 125
    assert (said.client_request_id, said.session_id, said.end_user_id) == (CALL, "s-1", "bob")
    assert said.properties == {"key_alias": "app", "tags": "a, b", "plan": "gold", "feature": "clock"}
    assert said.declared_cost_nano_usd == 110_000
    assert orjson.loads(call.request.data)["temperature"] == 0.5
    assert (reading.response_model, reading.usage.input_tokens, reading.usage.output_tokens) == (
        "claude-haiku-4-5", 10, 20,
    )  # fmt: skip
    assert (reading.request_preview, reading.response_preview, reading.problems) == ("What is the time?", "Noon.", ())


def test_several_come_as_a_list_or_one_a_line():
    two = [payload(), payload(litellm_call_id="289b44ad-bc1e-4cba-8b92-49e73b56302c")]
    for body in (orjson.dumps(two), b"\n".join(map(orjson.dumps, two))):
        assert [call.attribution.client_request_id for call in taken(body)] == [CALL, two[1]["litellm_call_id"]]


def test_a_failed_call_says_why():
    error = {"error_code": "429", "error_class": "RateLimitError", "error_message": "slow down"}
    (call,) = taken(payload(status="failure", response={}, error_str="slow down", error_information=error))
    reading = parse(call)
    assert (call.status, reading.error_type, reading.error_message) == (429, "RateLimitError", "slow down")
    assert taken(payload(status="failure", error_information={"error_code": ""}))[0].status == 500


def test_counts_stand_where_message_logging_is_off():
    hidden = [{"role": "user", "content": "redacted-by-litellm"}]
    (call,) = taken(payload(response="redacted-by-litellm", messages=hidden))
    assert parse(call).usage.output_tokens == 20


@pytest.mark.parametrize(("said", "nano_usd"), [
    ({"response_cost": 0.5}, 500_000_000), ({"response_cost": 0.0}, 10 * 1000 + 20 * 5000),
    ({"response_cost": None}, 10 * 1000 + 20 * 5000), ({"response_cost": 0.0, "cache_hit": True}, 0),
])  # fmt: skip
def test_its_cost_holds_unless_it_knows_none(said, nano_usd):
    (call,) = taken(payload(**said))
    assert PRICES.charge(call, parse(call)).nano_usd == nano_usd


@pytest.mark.parametrize(("name", "slug"), [
    ("vertex_ai", "google-vertex"), ("bedrock", "bedrock"), ("together_ai", "together"), ("openai", "openai"),
    ("my_own", "my_own"), (None, "anthropic"),
])  # fmt: skip
def test_its_names_of_providers_are_ours(name, slug):
    known = {} if name is None else {"api_base": ""}
    assert taken(payload(custom_llm_provider=name, **known))[0].provider == slug


def test_a_trace_somebody_named_is_a_session():
    assert taken(payload(trace_id="sess-9"))[0].attribution.session_id == "sess-9"
    assert taken(payload())[0].attribution.session_id is None


def test_an_embedding_is_one():
    inputs = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    reply = {"object": "list", "model": "text-embedding-3-small", "data": [{"object": "embedding", "embedding": [0.1]}],
             "usage": {"prompt_tokens": 2, "total_tokens": 2}}  # fmt: skip
    (call,) = taken(payload(call_type="aembedding", custom_llm_provider="openai", messages=inputs, response=reply,
                            model="text-embedding-3-small", api_base="https://api.openai.com/v1"))  # fmt: skip
    assert orjson.loads(call.request.data)["input"] == ["a", "b"]
    assert (parse(call).kind, parse(call).usage.input_tokens) == ("embedding", 2)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"7", b"[1,2]", b"{", b"{}\n{", b"null"])
def test_what_is_no_payload_is_refused(body):
    assert post(body, path=PATH).status == 400


def test_one_that_is_none_takes_none_beside_it_down():
    shelf = Shelf()
    reply = post([payload(), 7, payload(startTime="never", endTime=None)], path=PATH, shelf=shelf)
    assert orjson.loads(reply.body) == {"accepted": 2, "rejected": 1}
    assert "time_unreadable" in [problem.code for problem in shelf.exchanges()[1].problems]
