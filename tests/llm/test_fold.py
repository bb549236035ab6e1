"""A stream folds into the body it would have been, however it was cut into chunks and however they were framed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import dialects
from llm.dialects import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from llm.frames import unwrap
from llm.parse import parse
from tests.wire.exchanges import body, exchange, sse

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """`text` cut anywhere, empty pieces among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def chunk(**delta: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta}]}


@given(st.data(), TEXT, TEXT, TEXT)
def test_chat_deltas_cut_anywhere_are_one_message(data, content, reasoning, arguments):
    events = [chunk(role="assistant")]
    events += [chunk(reasoning_content=piece) for piece in data.draw(pieces(reasoning))]
    events += [chunk(content=piece) for piece in data.draw(pieces(content))]
    start = {"index": 0, "id": "call", "type": "function", "function": {"name": "look", "arguments": ""}}
    events += [chunk(tool_calls=[start])]
    events += [
        chunk(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in data.draw(pieces(arguments))
    ]
    events += [{**chunk(), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    (choice,) = openai_chat.fold(events)["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": content,
        "reasoning_content": reasoning or None,
        "tool_calls": [{"id": "call", "type": "function", "function": {"name": "look", "arguments": arguments}}],
    }


@given(st.data(), TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
def test_anthropic_deltas_cut_anywhere_are_one_message(data: st.DataObject, text, thinking, tool_input) -> None:
    def deltas(index: int, kind: str, key: str, whole: str) -> list[dict[str, Any]]:
        return [
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, key: piece}}
            for piece in data.draw(pieces(whole))
        ]

    def start(index: int, **block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    events = [
        {"type": "message_start", "message": {"type": "message", "content": [], "usage": {"output_tokens": 1}}},
        start(0, type="thinking", thinking=""), *deltas(0, "thinking_delta", "thinking", thinking),
        start(1, type="text", text=""), *deltas(1, "text_delta", "text", text),
        start(2, type="tool_use", id="t", name="look", input={}),
        *deltas(2, "input_json_delta", "partial_json", json.dumps(tool_input)),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    ]
    folded = anthropic_messages.fold(events)
    assert folded["usage"] == {"output_tokens": 9}
    assert folded["content"] == [
        {"type": "thinking", "thinking": thinking},
        {"type": "text", "text": text},
        {"type": "tool_use", "id": "t", "name": "look", "input": tool_input},
    ]


@given(st.data(), TEXT, TEXT)
def test_broken_response_streams_keep_what_came_however_it_was_cut(data, text, arguments):
    events = [{"type": "response.created", "response": {"status": "in_progress", "output": []}}]
    events += [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": piece}
        for piece in data.draw(pieces(text))
    ]
    events += [{"type": "response.output_item.added", "output_index": 1,
                "item": {"type": "function_call", "name": "look", "arguments": ""}}]
    events += [
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": piece}
        for piece in data.draw(pieces(arguments))
    ]
    assert openai_responses.fold(events)["output"] == [
        {"type": "message", "content": [{"type": "output_text", "text": text}]},
        {"type": "function_call", "name": "look", "arguments": arguments},
    ]


@given(st.data(), TEXT, TEXT)
def test_response_deltas_of_several_parts_in_any_order_find_their_places(data, first, second):
    """Pieces of two texts of one item, mixed; each is joined in its own order."""
    def deltas(index: int, text: str) -> list[dict[str, Any]]:
        return [{"type": "response.output_text.delta", "output_index": 0, "content_index": index, "delta": piece}
                for piece in data.draw(pieces(text))]

    left, right = deltas(0, first), deltas(1, second)
    events = []
    while left or right:
        source = left if left and (not right or data.draw(st.booleans())) else right
        events.append(source.pop(0))
    (item,) = openai_responses.fold(events)["output"]
    assert {part["text"] for part in item["content"]} == {first, second}


def piece_of_chat(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, **more}]}


def piece_of_call(piece: str, **more: Any) -> dict[str, Any]:
    return piece_of_chat({"tool_calls": [{"index": 0, "function": {"arguments": piece}, **more}]})


def piece_of_gemini(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


def piece_of_cohere(piece: str, **more: Any) -> dict[str, Any]:
    return {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece, **more}}}}


def piece_of_anthropic(piece: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}, **more}


PIECES = {
    "openai_chat": (
        lambda piece: piece_of_chat({"content": piece}),
        lambda piece: {"choices": [{"delta": {"role": "assistant", "content": piece}, "finish_reason": None, "x": 1}]},
        lambda body: body["choices"][0]["message"]["content"]),
    "openai_chat, a tool": (
        piece_of_call, lambda piece: piece_of_call(piece, type="function", id=None),
        lambda body: body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]),
    "openai_completions": (
        lambda piece: {"object": "text_completion", "choices": [{"index": 0, "text": piece}]},
        lambda piece: {"model": None, "choices": [{"text": piece, "logprobs": {"tokens": [1]}, "finish_reason": "x"}]},
        lambda body: body["choices"][0]["text"]),
    "openai_audio": (
        lambda piece: {"type": "transcript.text.delta", "delta": piece},
        lambda piece: {"type": "transcript.text.delta", "delta": piece, "logprobs": None},
        lambda body: body.get("text", "")),
    "openai_assistants": (
        lambda piece: {"object": "thread.message.delta", "id": "m", "delta": {
            "content": [{"index": 0, "type": "text", "text": {"value": piece}}]}},
        lambda piece: {"object": "thread.message.delta", "id": "m", "delta": {
            "role": None, "content": [{"index": 0, "type": "text", "text": {"value": piece, "annotations": []}}]}},
        lambda body: body["messages"][0]["content"][0]["text"]["value"]),
    "anthropic_messages": (
        piece_of_anthropic, lambda piece: piece_of_anthropic(piece, p="abc"), lambda body: body["content"][0]["text"]),
    "anthropic_complete": (
        lambda piece: {"type": "completion", "completion": piece},
        lambda piece: {"type": "completion", "completion": piece, "stop": None}, lambda body: body["completion"]),
    "bedrock_converse": (
        lambda piece: {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}}},
        lambda piece: {"contentBlockDelta": {"delta": {"text": piece, "x": None}, "p": "ab"}},
        lambda body: body["output"]["message"]["content"][0]["text"]),
    "cohere_chat": (
        piece_of_cohere, lambda piece: {**piece_of_cohere(piece, type="text"), "logprobs": {"text": piece}},
        lambda body: body["message"]["content"][0]["text"]),
    "gemini": (
        lambda piece: piece_of_gemini({"text": piece}, index=0),
        lambda piece: {**piece_of_gemini({"text": piece, "thought": None}, safetyRatings=[]), "modelVersion": None},
        lambda body: "".join(part["text"] for part in body["candidates"][0]["content"]["parts"])),
    "ollama": (
        lambda piece: {"message": {"role": "assistant", "content": piece}, "done": False},
        lambda piece: {"model": None, "message": {"content": piece, "thinking": None, "tool_calls": []}, "done": None},
        lambda body: body["message"]["content"]),
    "watsonx": (
        lambda piece: {"results": [{"generated_text": piece, "generated_token_count": 1}]},
        lambda piece: {"results": [{"generated_text": piece, "generated_token_count": 1, "stop_reason": None}], "x": 1},
        lambda body: body["results"][0]["generated_text"]),
}
"""Of each dialect: an event as nearly all are, one that says the same at length, and where the text stands."""


@pytest.mark.parametrize("name", sorted(PIECES))
@given(data=st.data(), text=TEXT)
def test_text_cut_anywhere_and_said_at_any_length_is_one_text_in_every_dialect(name, data, text):
    dialect, (brief, at_length, said) = dialects.by_name(name.partition(",")[0]), PIECES[name]
    assert dialect is not None
    events = [data.draw(st.sampled_from((brief, at_length)))(piece) for piece in data.draw(pieces(text))]
    before = json.dumps(events)
    assert said(dialect.fold(events)) == text
    assert said(dialect.fold(events)) == text
    assert json.dumps(events) == before


@given(st.lists(st.none() | st.integers(0, 9) | st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))))
def test_what_gemini_tells_of_usage_is_laid_over_what_it_told_before(told):
    """Nulls tell nothing; what is no object takes the place of all before it."""
    known: Any = None
    for usage in told:
        if usage is not None:
            known = {**known, **usage} if isinstance(known, dict) and isinstance(usage, dict) else usage
    folded = gemini.fold([{"candidates": [], "usageMetadata": usage} for usage in told])
    assert folded.get("usageMetadata") == known


@given(st.sampled_from([{}, {"index": None}, {"index": 0}]), st.booleans(), st.sampled_from(["finish_reason", "x"]))
def test_whatever_a_piece_of_a_chat_leaves_out_its_facts_are_read(place, has_delta, key):
    piece = {**place, **({"delta": {"content": "a"}} if has_delta else {}), key: "stop", "logprobs": None}
    (choice,) = openai_chat.fold([{"choices": [piece]}])["choices"]
    assert (choice[key], choice["index"]) == ("stop", 0)


def test_of_every_fact_the_latest_that_is_no_null_stands():
    events = [{"candidates": [], "model": "a", "x": 1}, {"model": "b", "x": 0}, {"model": None, "x": None}]
    assert gemini.fold(events) == {"model": "b", "x": 0}
    assert ollama.fold([{"done": False, "model": "a", "response": "x"}, {"model": None, "response": None}]) == {
        "done": False, "model": "a", "response": "x"}


USAGE = st.fixed_dictionaries({"prompt_tokens": st.integers(0, 10**6), "completion_tokens": st.integers(0, 10**6)})


@given(st.lists(USAGE, min_size=1, max_size=4))
def test_usage_told_again_and_again_is_the_last_told_and_never_a_sum(told):
    events = [{**chunk(content="x"), "usage": usage} for usage in told]
    assert openai_chat.fold(events)["usage"] == told[-1]


def test_a_tool_call_under_a_used_index_with_another_id_is_another_call():
    events = [
        chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "one", "arguments": "{}"}}]),
        chunk(tool_calls=[{"index": 0, "id": "b", "function": {"name": "two", "arguments": "{}"}}]),
    ]
    (choice,) = openai_chat.fold(events)["choices"]
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["one", "two"]


def test_content_that_comes_as_parts_stays_parts():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    more = {"type": "thinking", "thinking": [{"type": "text", "text": "m."}]}
    events = [chunk(content=[thought]), chunk(content=[more]), chunk(content="Yes")]
    (choice,) = openai_chat.fold(events)["choices"]
    assert choice["message"]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]}, {"type": "text", "text": "Yes"},
    ]
    assert thought == {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}


# --- framing ----------------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.fixed_dictionaries({"type": st.just("content_block_delta"), "text": TEXT, "n": st.integers(-5, 5)}),
    min_size=1, max_size=6,
)


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans(), st.booleans())
def test_an_event_stream_is_read_whatever_its_line_ends_names_comments_and_terminal(events, end, named, done, comments):
    stream = sse(events, named=named, done=done).decode()
    if comments:
        stream = ": hello\n\n" + stream.replace("\n\n", "\n\n: keep-alive\n\n")
    payload = unwrap(body(stream.replace("\n", end)))
    assert (payload.shape, list(payload.events), payload.is_done, payload.problems) == ("sse", events, done, ())


@given(EVENTS)
def test_json_lines_are_the_stream_they_were(events):
    lines = "\n".join(json.dumps(event) for event in events)
    payload = unwrap(body(lines))
    assert (payload.shape, list(payload.events), payload.problems) == ("lines", events, ())


@given(EVENTS, st.integers(1, 40))
def test_a_stream_cut_anywhere_keeps_its_whole_events(events, cut):
    stream = sse(events)
    kept = unwrap(body(stream[:-cut])).events
    assert list(kept) == events[: len(kept)]
    assert len(kept) >= len(events) - 1 - cut // 10


def test_one_event_over_several_data_lines_is_one_event():
    assert unwrap(body('data: {"a":\ndata: 1}\n\ndata: {"a": 2}\n\n')).events == ({"a": 1}, {"a": 2})


def test_events_without_the_empty_line_between_them_are_told_apart():
    assert unwrap(body('data: {"a": 1}\ndata: {"a": 2}\ndata: [DONE]\n\n')).events == ({"a": 1}, {"a": 2})


def test_a_dialect_is_found_by_being_there():
    assert {name for name, _ in dialects.every()} >= {"openai_chat", "anthropic_messages"}


def test_folding_leaves_the_events_as_they_were():
    events = [chunk(content=[{"type": "text", "text": "a"}]), chunk(content=[{"type": "text", "text": "b"}])]
    before = json.dumps(events)
    openai_chat.fold(events)
    openai_chat.fold(events)
    assert json.dumps(events) == before


def test_a_folded_body_reads_like_the_stream():
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    stream = sse([chunk(role="assistant", content="Hi"), {**chunk(), "usage": usage}])
    streamed = parse(exchange(request=body({"model": "m"}), response=body(stream)))
    assert streamed.folded_response is not None
    whole = parse(exchange(request=body({"model": "m"}), response=body(streamed.folded_response)))
    assert (whole.usage, whole.response_preview) == (streamed.usage, streamed.response_preview)
