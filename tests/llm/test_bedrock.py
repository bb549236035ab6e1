"""AWS's event streams are taken apart whatever state they are in, and what was in them is read by who speaks it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llm import eventstream, frames
from llm.exchange import Body
from llm.parse import parse
from tests.wire.exchanges import body, exchange

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


def message(payload: Any, *, event: str = "chunk", kind: str = "event", **headers: str) -> bytes:
    """One message as AWS frames it."""
    named = {":event-type": event, ":content-type": "application/json", ":message-type": kind, **headers}
    block = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in named.items()
    )
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(block) + len(data), len(block))
    framed = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + data
    return framed + struct.pack(">I", zlib.crc32(framed))


def chunk(event: Any) -> bytes:
    """An event of InvokeModelWithResponseStream."""
    return message({"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcd"})


def invoked(model: str, data: bytes, **given: Any) -> Any:
    return parse(exchange(
        provider="bedrock", url=f"{HOST}/{model}/invoke-with-response-stream", request=body({"prompt": "Hi"}),
        response=body(data), **given,
    ))


CLAUDE = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "model": "claude-3", "content": [],
                                          "usage": {"input_tokens": 14, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 14, "outputTokenCount": 10}},
]  # fmt: skip
CONVERSED = [
    message({"role": "assistant", "p": "a"}, event="messageStart"),
    message({"contentBlockIndex": 0, "delta": {"text": "Hel"}}, event="contentBlockDelta"),
    message({"contentBlockIndex": 0, "delta": {"text": "lo"}}, event="contentBlockDelta"),
    message({"contentBlockIndex": 0}, event="contentBlockStop"),
    message({"stopReason": "end_turn"}, event="messageStop"),
    message({"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}, event="metadata"),
]


def test_claudes_own_events_stand_in_an_invoke_stream():
    reading = invoked("anthropic.claude-v2", b"".join(map(chunk, CLAUDE)))
    assert (reading.dialect, reading.is_stream, reading.finish_reason) == ("anthropic_messages", True, "end_turn")
    assert (reading.usage.input_tokens, reading.usage.output_tokens, reading.response_preview) == (14, 10, "Hello")
    assert (reading.request_model, reading.response_model, reading.problems) == ("anthropic.claude-v2", "claude-3", ())


def test_a_stream_of_converse_is_read_with_and_without_a_content_type():
    for kind in ("application/vnd.amazon.eventstream", ""):
        reading = parse(exchange(
            provider="bedrock", url=f"{HOST}/amazon.nova-lite-v1%3A0/converse-stream",
            request=body({"messages": []}), response=body(b"".join(CONVERSED), content_type=kind),
        ))  # fmt: skip
        assert (reading.dialect, reading.response_preview, reading.finish_reason) == ("bedrock_converse", "Hello",
                                                                                      "end_turn")
        assert (reading.usage.input_tokens, reading.usage.output_tokens) == (3, 2)
        assert reading.request_model == "amazon.nova-lite-v1:0"


def test_counts_that_stand_only_beside_the_reply_are_read_there():
    metrics = {"inputTokenCount": 6, "outputTokenCount": 2, "cacheReadInputTokenCount": 4}
    events = [{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "stop_reason": "stop"}],
               "amazon-bedrock-invocationMetrics": metrics}]  # fmt: skip
    reading = invoked("mistral.mistral-large-2402-v1%3A0", b"".join(map(chunk, events)))
    assert (reading.usage.input_tokens, reading.usage.output_tokens, reading.usage.cache_read_tokens) == (10, 2, 4)
    told = {"x-amzn-bedrock-input-token-count": "5", "x-amzn-bedrock-output-token-count": "7"}
    reading = parse(exchange(
        provider="bedrock", url=f"{HOST}/cohere.command-text-v14/invoke", request=body({"prompt": "Hi"}),
        response=body({"generations": [{"text": "Hello", "finish_reason": "COMPLETE"}]}), response_headers=told,
    ))  # fmt: skip
    assert (reading.usage.input_tokens, reading.usage.output_tokens, reading.finish_reason) == (5, 7, "COMPLETE")
    assert not reading.problems


def test_an_exception_in_a_stream_is_its_error():
    threw = message({"message": "Too many requests"}, kind="exception", **{":exception-type": "throttlingException"})
    reading = invoked("anthropic.claude-v2", b"".join(map(chunk, CLAUDE[:3])) + threw)
    assert (reading.error_type, reading.error_message) == ("throttlingException", "Too many requests")
    assert {problem.code for problem in reading.problems} >= {"error_in_stream", "stream_truncated"}
    failed = message(b"", kind="error", **{":error-code": "InternalError", ":error-message": "Sorry"})
    reading = parse(exchange(url=f"{HOST}/x/converse-stream", response=body(b"".join(CONVERSED[:2]) + failed)))
    assert (reading.error_type, reading.error_message, reading.response_preview) == ("InternalError", "Sorry", "Hel")


def test_a_cut_stream_keeps_what_is_whole_and_says_so():
    data = b"".join(map(chunk, CLAUDE))[:-20]
    reading = invoked("anthropic.claude-v2", data)
    assert (reading.usage.output_tokens, reading.response_preview) == (10, "Hello")
    assert [problem.code for problem in reading.problems] == ["event_unreadable"]


def test_behind_a_hole_the_next_message_is_found():
    data = b"".join(CONVERSED)
    hole = len(CONVERSED[0]) + 40
    data = data[:hole] + data[hole + 30 :]
    reading = parse(exchange(url=f"{HOST}/x/converse-stream", response=Body(data, size=9, state="truncated")))
    assert (reading.response_preview, reading.usage.output_tokens) == ("lo", 2)
    assert [problem.code for problem in reading.problems] == ["body_cut", "event_unreadable"]


def test_a_wrong_checksum_alone_loses_nothing():
    broken = [piece[:-4] + b"\0\0\0\0" for piece in CONVERSED]
    assert eventstream.take(b"".join(broken)) == eventstream.take(b"".join(CONVERSED))


def test_an_endpoint_of_sagemaker_streams_its_own_frames_in_aws_frames():
    events = [{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
              for text in ("Hel", "lo")]  # fmt: skip
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
    pieces = [message(data[start : start + 37], event="PayloadPart") for start in range(0, len(data), 37)]
    reading = parse(exchange(response=body(b"".join(pieces))))
    assert (reading.dialect, reading.response_preview) == ("openai_chat", "Hello")


@given(st.lists(TEXT, max_size=5), TEXT, st.data())
def test_converse_deltas_cut_anywhere_are_one_message(texts, arguments, data):
    cut = data.draw(st.integers(0, len(arguments)))
    whole = [{"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}} for text in texts]
    events = [{"messageStart": {"role": "assistant"}}, *whole, {"contentBlockStop": {"contentBlockIndex": 0}}]
    events += [{"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "n"}}}}]
    tool = json.dumps({"a": arguments})
    events += [{"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": piece}}}}
               for piece in (tool[:cut], tool[cut:])]  # fmt: skip
    framed = b"".join(message(value, event=name) for event in events for name, value in event.items())
    folded = json.loads(parse(exchange(url=f"{HOST}/x/converse-stream", response=body(framed))).folded_response or b"")
    text = [{"text": "".join(texts)}] if texts else []
    used = {"toolUse": {"toolUseId": "t", "name": "n", "input": {"a": arguments}}}
    assert folded["output"]["message"]["content"] == [*text, used]


@given(st.binary(max_size=200), st.integers(0, 900), st.integers(0, 300))
def test_any_bytes_in_a_stream_are_survived(noise, place, length):
    data = b"".join(CONVERSED)
    spoiled = data[:place] + noise + data[place + length :]
    problems = parse(exchange(url=f"{HOST}/x/converse-stream", response=body(spoiled))).problems
    assert "unreadable" not in {problem.code for problem in problems}
    frames.unwrap(Body(noise))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["messageStart", "contentBlockDelta", "contentBlockIndex", "delta", "toolUse",
                                         "input", "usage", "output", "message", "content", "outputs", "text",
                                         "generation", "stop_reason", "results", "choices", "stopReason", "metadata",
                                         "reasoningContent", "start", "contentBlockStart", "images", "embedding"]),
                        inner, max_size=4), max_leaves=12))  # fmt: skip
def test_any_values_in_a_stream_are_survived(value):
    for event in ("contentBlockDelta", "metadata", "chunk"):
        data = message({"bytes": base64.b64encode(json.dumps(value).encode()).decode()}) + message(value, event=event)
        for path in ("converse-stream", "invoke-with-response-stream"):
            reading = parse(exchange(url=f"{HOST}/x/{path}", response=body(data)))
            assert "unreadable" not in {problem.code for problem in reading.problems}
