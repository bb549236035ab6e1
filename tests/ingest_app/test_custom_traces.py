"""Helicone's custom traces: the three paths, the typed one's own complaints, and steps that call no model."""

from __future__ import annotations

import orjson
import pytest

from llm.exchange import Charge, PricedExchange
from llm.parse import parse
from llm.render import conversation
from requests_app.columns import row_of
from tests.ingest_app.postings import Shelf, log, post, without

LOG, TYPED = "/v1/trace/custom/log", "/v1/trace/custom/log/typed"
PATHS = ("/v1/trace/custom/v1/log", LOG, TYPED)


def traced(body, path=LOG):
    shelf = Shelf()
    reply = post(body, shelf=shelf, path=path)
    assert (reply.status, reply.body) == (200, b""), reply.body
    (exchange,) = shelf.exchanges()
    assert reply.headers["helicone-id"] == str(exchange.id)
    return exchange


@pytest.mark.parametrize("path", PATHS)
def test_a_custom_trace_is_kept_and_answered_with_nothing(path):
    exchange = traced(log(request__url="custom-model-nopath"), path)
    assert (exchange.provider, exchange.status, exchange.duration_ms) == ("openai", 200, 750)
    assert parse(exchange).usage.input_tokens == 12


@pytest.mark.parametrize(("told", "provider"), [({}, "openai"), ({"provider": "ANTHROPIC"}, "anthropic")])
def test_without_a_url_the_body_names_the_provider_and_else_it_is_openai(told, provider):
    assert traced(log(request__url="custom-model-nopath", **told)).provider == provider


def test_times_may_be_text_of_digits_or_dates():
    timing = {"startTime": "1795003190250", "endTime": "2026-11-18T11:59:51Z", "timeToFirstToken": 120}
    exchange = traced(log(timing=timing))
    assert exchange.requested_at.isoformat() == "2026-11-18T11:59:50.250000+00:00"
    assert (exchange.duration_ms, exchange.time_to_first_token_ms) == (750, 120)


def test_the_typed_path_says_which_fields_are_not_as_they_must_be():
    body = without(log(request__url="", request__meta=[], response__status="200", timing={"startTime": 1}),
                   "providerResponse", "headers")  # fmt: skip
    reply = post(without(body, "providerResponse", "json"), path=TYPED)
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert orjson.loads(reply.body) == {"isValid": False, "errors": [
        {"field": "providerRequest.url", "message": "url must be a non-empty string"},
        {"field": "providerRequest.meta", "message": "meta must be an object"},
        {"field": "providerResponse.status", "message": "status must be a number"},
        {"field": "providerResponse.headers", "message": "headers must be an object"},
        {"field": "providerResponse", "message": "either json or textBody is required"},
        {"field": "timing.endTime", "message": "endTime is required when timing is provided"},
    ]}  # fmt: skip


def test_the_typed_path_wants_both_sides():
    reply = post({}, path=TYPED)
    assert [error["message"] for error in orjson.loads(reply.body)["errors"]] == [
        "providerRequest is required", "providerResponse is required",
    ]  # fmt: skip


STEPS = [
    ({"_type": "tool", "toolName": "search", "input": {"q": "fish"}},
     {"_type": "tool", "toolName": "search", "status": "ok", "result": ["cod"]}, "tool", "tool:search", "cod"),
    ({"_type": "vector_db", "operation": "search", "text": "fish", "topK": 3, "databaseName": "sea"},
     {"_type": "vector_db", "status": "success", "matches": [{"id": "1", "score": 0.9, "text": "cod"}]},
     "retriever", "vector_db", "cod"),
    ({"_type": "data", "name": "etl", "query": "SELECT fish"},
     {"_type": "unknown", "toolName": "unknown", "data": {"rows": 3, "first": "cod"}}, "data", "data:etl", "cod"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "answered", "kind", "model", "said"), STEPS)
@pytest.mark.parametrize("path", [*PATHS, "/custom/v1/log"])
def test_a_step_that_calls_no_model_is_kept_as_what_it_is(path, asked, answered, kind, model, said):
    body = log(request__url="custom-model-nopath", request__json=asked, response__json=answered)
    shelf = Shelf()
    assert post(body, shelf=shelf, path=path).status == 200
    (exchange,) = shelf.exchanges()
    reading = parse(exchange)
    row = row_of(PricedExchange(exchange, reading, Charge(None, "not_a_model_call")))
    assert (row.kind, row.model, row.provider) == (kind, model, "custom")
    assert (row.input_tokens, row.output_tokens, row.problems) == (None, None, ())
    assert said in row.response_preview
    talk = conversation(dialect=row.dialect, request=exchange.request.data, response=exchange.response.data)
    assert [part.kind for message in (*talk.messages, *talk.reply) for part in message.parts] == [
        "tool_call", "tool_result",
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "answered"), [
    (500, {"_type": "tool", "error": {"message": "no nets"}}), (500, {"_type": "tool", "message": "no nets"}),
    (200, {"_type": "tool", "status": "error", "message": "no nets"}),
    (200, {"_type": "tool", "status": "error", "error": "no nets"}),
])  # fmt: skip
def test_a_step_that_failed_says_why(status, answered):
    asked = {"_type": "tool", "toolName": "search", "input": {}}
    exchange = traced(log(request__url="x", request__json=asked, response__json=answered, response__status=status))
    assert parse(exchange).error_message == "no nets"
