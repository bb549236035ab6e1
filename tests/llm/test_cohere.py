"""Cohere's dialects: streams of both versions however cut, what a page shows, and junk that never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import dialects, render
from llm.conversation import Conversation, Message, Part
from llm.dialects import cohere_chat, cohere_v1
from llm.parse import parse
from tests.llm.test_fold import TEXT, pieces
from tests.wire.exchanges import body, exchange

NAMES = [name for name, _ in dialects.every() if name.startswith("cohere")]


def event(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": message}}


def shown(dialect: str, request: Any, response: Any) -> Conversation:
    return render.conversation(
        dialect=dialect, request=json.dumps(request).encode(), response=json.dumps(response).encode(),
    )


# --- streams ----------------------------------------------------------------------------------------------------------


@given(st.data(), TEXT, TEXT, TEXT, TEXT)
def test_deltas_of_the_second_version_cut_anywhere_are_one_message(data, thinking, text, plan, arguments):
    def cut(whole: str) -> Any:
        return data.draw(pieces(whole))

    events = [{"id": "c", **event("message-start", role="assistant", content=[], tool_plan="")}]
    events += [event("content-start", 0, content={"type": "thinking", "thinking": ""})]
    events += [event("content-delta", 0, content={"thinking": piece}) for piece in cut(thinking)]
    events += [event("content-start", 1, content={"type": "text", "text": ""})]
    events += [event("content-delta", 1, content={"text": piece}) for piece in cut(text)]
    events += [event("tool-plan-delta", tool_plan=piece) for piece in cut(plan)]
    start = {"id": "t", "type": "function", "function": {"name": "look", "arguments": ""}}
    events += [event("tool-call-start", 0, tool_calls=start)]
    events += [event("tool-call-delta", 0, tool_calls={"function": {"arguments": piece}}) for piece in cut(arguments)]
    events += [{"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"tokens": {}}}}]
    before = json.dumps(events)
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": text}],
        **({"tool_plan": plan} if plan else {}),
        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "look", "arguments": arguments}}],
    }
    assert cohere_chat.fold(events) == {
        "id": "c", "finish_reason": "TOOL_CALL", "usage": {"tokens": {}}, "message": message,
    }
    assert json.dumps(events) == before


@given(st.data(), TEXT, st.booleans())
def test_text_of_the_first_version_cut_anywhere_is_one_text_with_its_end_or_without(data, text, has_end):
    events: list[Any] = [{"event_type": "stream-start", "is_finished": False, "generation_id": "g"}]
    events += [{"event_type": "text-generation", "is_finished": False, "text": piece}
               for piece in data.draw(pieces(text))]
    events += [{"event_type": "citation-generation", "citations": [{"text": "a"}]},
               {"event_type": "citation-generation", "citations": [{"text": "b"}]}]
    end = {"text": text, "generation_id": "g", "citations": [{"text": "a"}, {"text": "b"}]}
    if has_end:
        events += [{"event_type": "stream-end", "is_finished": True, "response": end}]
    assert cohere_v1.fold(events) == end
    assert cohere_v1.is_complete(events, end) == has_end


def test_a_stream_that_ends_in_an_error_tells_it():
    events = [event("content-start", 0, content={"type": "text", "text": "Half"}),
              {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "an internal error"}}]
    lines = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
    reading = parse(exchange(provider="cohere", url="https://api.cohere.com/v2/chat",
                             request=body({"model": "command-a"}), response=body(lines)))
    assert (reading.finish_reason, reading.error_message, reading.response_preview) == (
        "ERROR", "an internal error", "Half",
    )
    assert "error_in_stream" in [problem.code for problem in reading.problems]


# --- nothing raises ---------------------------------------------------------------------------------------------------

KEYS = st.sampled_from([
    "type", "index", "delta", "message", "content", "text", "thinking", "tool_plan", "tool_calls", "function",
    "arguments", "name", "citations", "finish_reason", "usage", "meta", "tokens", "billed_units", "input_tokens",
    "output_tokens", "search_units", "event_type", "response", "generations", "results", "relevance_score",
    "classifications", "prediction", "predictions", "embeddings", "float", "texts", "images", "inputs", "documents",
    "chat_history", "role", "tool_results", "call", "outputs", "parameters", "model", "id", "query",
])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["content-delta", "tool-call-start", "citation-start", "message-end", "stream-end", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@pytest.mark.parametrize("name", NAMES)
@given(request=JUNK, replies=st.lists(JUNK, min_size=1, max_size=3))
def test_whatever_stands_where_is_read_and_shown_without_an_error(name, request, replies):
    dialect = dialects.by_name(name)
    assert dialect is not None
    folded = dialect.fold(replies)
    dialect.is_complete(replies, folded)
    asked = request if isinstance(request, dict) else {}
    for reply in (folded, *replies):
        dialect.converse(asked, reply)
        for path in ("v2/chat", "v1/chat", "v1/generate", "v2/embed", "v2/rerank", "v1/classify"):
            reading = parse(exchange(
                url=f"https://api.cohere.com/{path}", request=body(asked), response=body(reply), provider="cohere",
            ))
            assert "unreadable" not in [problem.code for problem in reading.problems], reading.problems


# --- for people -------------------------------------------------------------------------------------------------------


def test_a_conversation_of_the_second_version_shows_documents_plans_thoughts_and_citations():
    picture = "data:image/png;base64,AAAA"
    conversation = shown("cohere_chat", {
        "documents": ["Oslo is cold.", {"id": "d"}], "temperature": 0.5,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look"},
                                         {"type": "image_url", "image_url": {"url": picture}}]},
            {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [
                {"id": "t", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t", "content": [
                {"type": "document", "document": {"data": "{\"warm\": false}"}}]},
        ],
    }, {"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Cold."}], "citations": [{"text": "Cold"}]}})
    documents, asked, planned, told = conversation.messages
    assert [part.kind for part in documents.parts] == ["text", "data"]
    assert asked.parts[1] == Part("image", url=picture)
    assert planned.parts == (Part("reasoning", text="I will look."),
                             Part("tool_call", text="{}", name="look", call_id="t"))
    assert (told.role, told.parts[0].kind, told.parts[0].call_id) == ("tool", "tool_result", "t")
    assert "warm" in told.parts[0].text
    (reply,) = conversation.reply
    assert [(part.kind, part.text) for part in reply.parts[:2]] == [("reasoning", "Hm"), ("text", "Cold.")]
    assert (reply.parts[2].name, reply.finish_reason) == ("citation", "COMPLETE")
    assert conversation.settings == {"temperature": 0.5}


def test_a_conversation_of_the_first_version_shows_its_history_and_results():
    conversation = shown("cohere_v1", {
        "preamble": "Be kind.", "message": "And now?",
        "chat_history": [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello"}],
        "tool_results": [{"call": {"name": "look"}, "outputs": [{"warm": False}]}],
        "tools": [{"name": "look", "description": "Looks", "parameter_definitions": {"city": {"type": "str"}}}],
    }, {"text": "", "generation_id": "g", "tool_calls": [{"name": "look", "parameters": {"city": "Oslo"}}]})
    assert [message.role for message in conversation.messages] == ["system", "user", "assistant", "user", "tool"]
    assert conversation.reply == (
        Message("assistant", (Part("tool_call", text='{"city":"Oslo"}', name="look"),)),
    )
    assert conversation.tools[0].schema == {"city": {"type": "str"}}


def test_pictures_put_into_vectors_are_shown_and_their_tokens_are_images():
    picture = "data:image/png;base64,AAAA"
    asked = {"model": "embed-v4.0", "inputs": [{"content": [
        {"type": "text", "text": "A cat"}, {"type": "image_url", "image_url": {"url": picture}}]}]}
    reply = {"id": "e", "embeddings": {"float": [[0.5]]}, "response_type": "embeddings_by_type",
             "meta": {"billed_units": {"text_tokens": 3, "image_tokens": 100}}}
    reading = parse(exchange(provider="cohere", url="https://api.cohere.com/v2/embed", request=body(asked),
                             response=body(reply)))
    assert (reading.usage.input_tokens, reading.usage.input_image_tokens) == (103, 100)
    assert [message.parts[0].kind for message in shown("cohere_embed", asked, reply).messages] == ["text", "image"]
