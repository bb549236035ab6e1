"""parse() says what the bytes say, names what it cannot read, and never raises."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import fields

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llm import frames, loose, render
from llm.exchange import PREVIEW_LENGTH, Body, Reading
from llm.parse import parse, without
from llm.problems import CODES
from llm.usage import is_odd
from tests.wire.exchanges import body, exchange, sse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from([
    "choices", "message", "delta", "content", "usage", "type", "object", "output", "error", "data", "index", "item",
    "tool_calls", "function", "arguments", "messages", "input", "model", "response", "content_block", "embedding",
    "prompt_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens", "cost", "x_groq", "_type", "summary",
    "chat.completion.chunk", "message_start", "content_block_delta", "response.output_text.delta", "text", "tool",
    "response.output_item.done", "text_delta", "thinking", "role", "user", "system", "tools", "status", "audio",
    "text_completion", "thread.run", "thread.message.delta", "value", "results", "generated_text", "relevance_score",
    "completion", "transcript.text.delta", "image_generation.completed", "b64_json", "categories", "seconds",
    "logprobs", "documents", "query", "metadata", "candidates", "parts", "usageMetadata", "billed_units", "tokens",
    "image_tokens", "modality_tokens", "prompt_audio_seconds", "web_search_call", "action", "summary_index",
])
LIKELY = st.recursive(
    WORDS | st.none() | st.integers(-3, 2**40) | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
PATHS = st.sampled_from([
    "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings", "/", "/x?y=1", "/v1/completions",
    "/v1/images/edits", "/v1/audio/transcriptions", "/v1/audio/speech", "/v1/moderations", "/v1/threads/t/runs",
    "/v1/rerank", "/v1/complete", "/ml/v1/text/generation", "/v1beta/models/m:streamGenerateContent", "/v2/chat",
    "/model/m/invoke", "/model/m/converse-stream", "/api/chat", "/v1/predictions",
])


def read_and_show(request: bytes, response: bytes, **given) -> Reading:
    url = "https://api.example.com" + given.pop("path", "/v1/chat/completions")
    reading = parse(exchange(request=Body(request), response=Body(response, **given), url=url))
    shown = render.conversation(dialect=reading.dialect, request=request, response=reading.folded_response or response)
    assert shown is not None
    assert {problem.code for problem in reading.problems} <= CODES.keys()
    assert len(reading.request_preview) <= PREVIEW_LENGTH >= len(reading.response_preview)
    return reading


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br", "zstd, gzip"]))
def test_reading_any_bytes_never_raises(request, response, encoding):
    read_and_show(request, response, content_encoding=encoding)


@given(LIKELY, LIKELY, PATHS)
def test_reading_json_of_any_shape_trips_nothing(request, response, path):
    reading = read_and_show(json.dumps(request).encode(), json.dumps(response).encode(), path=path)
    assert "unreadable" not in {problem.code for problem in reading.problems}


@given(LIKELY, st.lists(LIKELY, max_size=5), PATHS)
def test_reading_streams_of_any_shape_trips_nothing(request, events, path):
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    reading = read_and_show(json.dumps(request).encode(), stream, path=path)
    assert "unreadable" not in {problem.code for problem in reading.problems}


COUNT = st.none() | st.integers(0, 10**6)
OPENAI_USAGE = st.fixed_dictionaries({
    "prompt_tokens": COUNT, "completion_tokens": COUNT,
    "prompt_tokens_details": st.fixed_dictionaries({
        "cached_tokens": COUNT, "cache_write_tokens": COUNT, "audio_tokens": COUNT, "image_tokens": COUNT,
        "cache_write_details": st.fixed_dictionaries({"write_1h_tokens": COUNT}),
    }),
    "completion_tokens_details": st.fixed_dictionaries(
        {"reasoning_tokens": COUNT, "audio_tokens": COUNT, "image_tokens": COUNT}
    ),
})
ANTHROPIC_USAGE = st.fixed_dictionaries({
    "input_tokens": COUNT, "output_tokens": COUNT, "cache_read_input_tokens": COUNT,
    "cache_creation_input_tokens": COUNT,
    "cache_creation": st.none() | st.fixed_dictionaries({"ephemeral_1h_input_tokens": COUNT}),
    "output_tokens_details": st.none() | st.fixed_dictionaries({"thinking_tokens": COUNT}),
})


@given(OPENAI_USAGE)
def test_openai_totals_include_their_parts(usage):
    reply = {"object": "chat.completion", "choices": [], "usage": usage}
    told = parse(exchange(request=body({}), response=body(reply))).usage
    assert not is_odd(told)
    if told.output_tokens is not None:
        parts = (told.reasoning_tokens, told.output_audio_tokens, told.output_image_tokens)
        assert sum(part or 0 for part in parts) <= told.output_tokens
    if told.input_tokens is not None:
        assert (told.cache_read_tokens or 0) + (told.cache_write_tokens or 0) <= told.input_tokens
        assert (told.input_audio_tokens or 0) + (told.input_image_tokens or 0) <= told.input_tokens


@given(ANTHROPIC_USAGE)
def test_anthropic_totals_include_their_parts(usage):
    reply = {"type": "message", "content": [], "usage": usage}
    told = parse(exchange(request=body({}), response=body(reply))).usage
    assert not is_odd(told)
    if usage["input_tokens"] is not None and told.cache_write_tokens == usage["cache_creation_input_tokens"]:
        parts = (usage["cache_read_input_tokens"] or 0) + (usage["cache_creation_input_tokens"] or 0)
        assert told.input_tokens == usage["input_tokens"] + parts


def test_only_numbers_nobody_knows_are_named_as_unknown():
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "queue_time": 0.1, "hologram_tokens": 3, "zero_tokens": 0,
             "is_new": True, "tier": "gold", "completion_tokens_details": {"reasoning_tokens": 0, "smell_units": 2},
             "iterations": [{"output_tokens": 1, "warp_tokens": 1}, {"warp_tokens": 2}]}
    problems = parse(exchange(response=body({**REPLY, "usage": usage}))).problems
    found = [problem.detail for problem in problems if problem.code == "usage_key_unknown"]
    assert found == ["hologram_tokens", "completion_tokens_details.smell_units", "iterations.warp_tokens"]


def test_a_provider_whose_own_total_contradicts_its_parts_is_believed_and_named():
    usage = {"prompt_tokens": 43, "completion_tokens": 10, "total_tokens": 53,
             "completion_tokens_details": {"reasoning_tokens": 11}}
    reading = parse(exchange(response=body({"object": "chat.completion", "choices": [], "usage": usage})))
    assert (reading.usage.output_tokens, reading.usage.reasoning_tokens) == (10, 11)
    assert "usage_odd" in {problem.code for problem in reading.problems}


USAGE = {"prompt_tokens": 7, "completion_tokens": 1}
REPLY = {"object": "chat.completion", "model": "m", "choices": [], "usage": USAGE}
PLAIN = json.dumps(REPLY).encode()


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize(("encoding", "data"), [
    ("gzip", gzip.compress(PLAIN)), ("GZIP", gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:])),
    ("deflate", zlib.compress(PLAIN)), ("deflate", raw_deflate(PLAIN)),
    ("zstd", zstandard.compress(PLAIN)), ("gzip, zstd", zstandard.compress(gzip.compress(PLAIN))),
    ("gzip", PLAIN), ("br", PLAIN), ("identity", PLAIN), ("deflate", PLAIN),
    ("deflate", b"data: " + PLAIN + b"\n\ndata: [DONE]\n\n"), ("br", b"data: " + PLAIN + b"\n\ndata: [DONE]\n\n"),
])
def test_a_reply_is_read_through_its_content_encoding(encoding, data):
    reading = parse(exchange(response=Body(data, content_encoding=encoding)))
    assert (reading.usage.input_tokens, reading.problems) == (7, ())


def test_half_a_character_spoils_nothing():
    said = b'{"message": {"content": "\\ud83d and \\ude00 and \\ud83d\\ude00"}}'
    data = PLAIN.replace(b'"choices": []', b'"choices": [' + said + b"]")
    reading = parse(exchange(response=Body(data)))
    assert (reading.usage.input_tokens, reading.response_preview) == (7, "\ufffd and \ufffd and 😀")


@pytest.mark.parametrize("depth", [200, 300, 900, 100_000])
def test_json_of_any_depth_is_survived(depth):
    deep = b'{"choices": [{"message": {"content": ' + b"[" * depth + b"]" * depth + b'}}], "object": "chat.completion'
    for reply in (deep + b'"}', b"data: " + deep + b'.chunk"}\n\n'):
        reading = read_and_show(deep + b'"}', reply)
        assert "unreadable" not in {problem.code for problem in reading.problems}


def test_a_cut_gzip_body_is_read_as_far_as_it_goes_and_named():
    stream = sse([{**REPLY, "object": "chat.completion.chunk", "pad": str(number) * 50} for number in range(99)])
    reading = parse(exchange(response=Body(gzip.compress(stream)[:-200], content_encoding="gzip")))
    assert reading.usage.input_tokens == 7
    assert "encoding_broken" in {problem.code for problem in reading.problems}


def test_a_body_that_would_grow_without_end_is_read_to_a_bound(monkeypatch):
    monkeypatch.setattr(frames, "MAX_DECODED", 1000)
    for encoding, data in (("gzip", gzip.compress(b" " * 10**6)), ("zstd", zstandard.compress(b" " * 10**7))):
        problems = []
        assert len(frames.decode(data, encoding, problems)) < 2 * 2**20
        assert [problem.code for problem in problems] == ["body_too_large"]


def test_an_encoding_nobody_decodes_is_named():
    reading = parse(exchange(response=Body(b"\x8b\x02\x80\x00\xff", content_encoding="br")))
    assert "encoding_unknown" in {problem.code for problem in reading.problems}


def test_of_a_body_whose_middle_is_missing_the_usage_is_still_read():
    data = b'{"id":"c","object":"chat.completion","model":"m-1","choices":[{"message":{"content":"aaaaa' + PLAIN[-60:]
    reading = parse(exchange(response=Body(data, state="truncated")))
    assert (reading.response_model, reading.usage.input_tokens) == ("m-1", 7)
    assert "body_cut" in {problem.code for problem in reading.problems}


def test_usage_of_an_unknown_shape_is_read_by_its_usual_names():
    reply = {"model": "x", "usage": {"inputTokens": 5, "outputTokens": 6}}
    reading = parse(exchange(url="https://api.example.com/speak", response=body(reply)))
    assert (reading.dialect, reading.usage.input_tokens, reading.usage.output_tokens) == ("", 5, 6)


def test_root_counts_of_a_custom_log_are_read():
    reply = {"prompt_token_count": 5, "generation_token_count": 6, "prompt_cache_read_token_count": 2}
    usage = parse(exchange(url="custom-model-nopath", response=body(reply))).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (5, 6, 2)


@pytest.mark.parametrize(("method", "path", "kind"), [
    ("GET", "/v1/models", "other"), ("POST", "/v1/images/generations", "image"), ("POST", "/v1/rerank", "rerank"),
    ("POST", "/v1/audio/speech", "audio"), ("POST", "/v1/moderations", "moderation"), ("POST", "/v1/files", "other"),
])
def test_calls_no_dialect_knows_are_told_apart_by_their_path(method, path, kind):
    reading = parse(exchange(method=method, url=f"https://api.openai.com{path}", response=body({"data": []})))
    assert reading.kind == kind


@given(st.sampled_from(["request", "response"]))
def test_of_an_omitted_side_no_word_is_left(side):
    secret = "hunter2"
    stream = sse([{"object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {
        "content": secret, "tool_calls": [{"index": 0, "function": {"name": secret, "arguments": secret}}]}}]},
        {"error": {"message": secret}}])
    asked = body({"model": "m", "messages": [{"role": "user", "content": secret}]})
    empty = exchange(
        request=asked if side == "request" else body({"model": "m"}),
        response=body(stream) if side == "response" else body(REPLY),
    )
    assert secret in repr(parse(empty))
    left = without(parse(empty), request=side == "request", response=side == "response")
    assert secret not in repr(left)
    assert left.request_model == "m"


def test_every_field_that_is_not_told_is_empty():
    reading = parse(exchange(method="GET", url="https://api.example.com/"))
    told = {field.name for field in fields(reading) if getattr(reading, field.name)}
    assert told == {"kind", "usage"}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.test/v1/chat?x=1#y", "/v1/chat"),
        ("http://[/v1/chat?x=1", "/v1/chat"),
        ("//[/v1", "/v1"),
        ("http://[", "/"),
        ("", ""),
    ],
)
def test_the_path_of_an_address_is_told_even_where_it_is_none(url, path):
    assert loose.path(url) == path
