"""From the real `helicone-helpers` manual logger through the log doors into the requests list."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from helicone_helpers import HeliconeManualLogger

from tests.journeys import check
from tests.journeys.test_openai_client import ASKED, attributed, said

USAGE = {"prompt_tokens": 812, "completion_tokens": 40, "total_tokens": 852}


@pytest.fixture
def logger(stack):
    return HeliconeManualLogger(api_key=stack.key, logging_endpoint=stack.url)


def completion(text):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": USAGE,
    }


def test_a_logged_openai_call_is_visible(stack, logger, journey):
    logger.log_request(
        request={"model": "gpt-4o-mini", "messages": ASKED},
        operation=lambda recorder: recorder.append_results(completion("On its way.")),
        additional_headers=said(journey),
        provider="openai",
    )
    row = stack.row(journey)
    attributed(row, journey)
    assert row["provider"] == "OPENAI"
    assert (row["prompt_tokens"], row["completion_tokens"]) == (812, 40)
    cost = check.price("openai", "gpt-4o-mini", input_tokens=812, output_tokens=40)
    assert row["cost"] == pytest.approx(float(cost), rel=1e-6)
    assert "On its way." in str(stack.whole(row["request_id"])["response_body"])


def test_a_logged_anthropic_call_is_visible(stack, logger, journey):
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "Soon."}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 20, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0,
                  "output_tokens": 5},
    }  # fmt: skip
    logger.log_request(
        request={"model": "claude-haiku-4-5", "max_tokens": 100, "messages": ASKED},
        operation=lambda recorder: recorder.append_results(message),
        additional_headers=said(journey),
        provider="anthropic",
    )
    row = stack.row(journey)
    cost = check.price("anthropic", "claude-haiku-4-5", input_tokens=1020, cache_read_tokens=1000, output_tokens=5)
    assert row["provider"] == "ANTHROPIC"
    assert row["cost"] == pytest.approx(float(cost), rel=1e-6)


def test_a_stream_logged_piece_by_piece_is_one_reply(stack, logger, journey):
    builder = logger.new_builder(
        {"model": "gpt-4o-mini", "messages": ASKED, "stream": True}, additional_headers=said(journey)
    )
    base = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18"}
    for text in ("On ", "its ", "way."):
        builder.add_chunk({**base, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
    builder.add_chunk({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    builder.add_chunk({**base, "choices": [], "usage": USAGE})
    asyncio.run(builder.send_log())
    row = stack.row(journey)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (812, 40)
    assert row["request_model"] == "gpt-4o-mini"


def test_a_tool_and_a_vector_search_are_steps_of_the_session(stack, logger, journey):
    logger.log_request(
        request={"_type": "tool", "toolName": "find_order", "input": {"id": "FW-1"}},
        operation=lambda recorder: recorder.append_results({"_type": "tool", "status": "success", "result": "found"}),
        additional_headers=said(journey, **{"Helicone-Session-Path": "/chat/find_order"}),
    )
    logger.log_request(
        request={"_type": "vector_db", "operation": "search", "text": "refund rules", "topK": 3},
        operation=lambda recorder: recorder.append_results({"_type": "vector_db", "status": "success", "matches": []}),
        additional_headers=said(journey, **{"Helicone-Session-Path": "/chat/search"}),
    )
    rows = {row["model"]: row for row in stack.rows(journey, 2)}
    assert set(rows) == {"tool:find_order", "vector_db"}
    assert all(not row["cost"] and not row["total_tokens"] for row in rows.values())


def test_the_same_log_twice_is_one_request(stack, logger, journey):
    headers = said(journey, **{"Helicone-Request-Id": str(uuid4())})
    for _ in range(2):
        logger.log_request(
            request={"model": "gpt-4o-mini", "messages": ASKED},
            operation=lambda recorder: recorder.append_results(completion("Once.")),
            additional_headers=headers,
            provider="openai",
        )
    logger.log_request(
        request={"model": "gpt-4o-mini", "messages": ASKED},
        operation=lambda recorder: recorder.append_results(completion("After it.")),
        additional_headers=said(journey),
        provider="openai",
    )
    assert len(stack.rows(journey, 2)) == 2
