"""Spans of every SDK are read, whatever it calls things, and nothing in a span trips its reader."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm import render, semconv, usage
from llm.exchange import MODEL_KINDS, PREVIEW_LENGTH, Reading, Usage
from llm.spans import every, facts, reading, showing
from llm.spans.span import nested
from tests.llm import spans_frameworks
from tests.llm.spans import GOLDEN as GOLDEN_OF_SDKS
from tests.llm.spans import Golden, document, packed

GOLDEN = {**GOLDEN_OF_SDKS, **spans_frameworks.GOLDEN}


def fact(read: Reading, name: str) -> Any:
    """A fact by its dotted name."""
    assert read.span is not None
    holder, _, field = name.rpartition(".")
    of = {"": read, "usage": read.usage, "span": read.span, "reported": read.span.reported or Usage()}[holder]
    value = getattr(of, field)
    return tuple(problem.code for problem in value) if field == "problems" else value


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=GOLDEN.keys())
def test_a_span_is_read_in_its_own_dialect(golden: Golden):
    read = reading.read(golden.document)
    assert {name: fact(read, name) for name in golden.expected} == dict(golden.expected)


def test_steps_that_call_no_model_have_no_tokens_of_their_own():
    for golden in GOLDEN.values():
        read = reading.read(golden.document)
        assert read.span is not None
        if read.kind not in MODEL_KINDS:
            assert read.usage == Usage()
            assert (read.request_model, read.span.provider, read.tool_calls) == (None, "", ())
        else:
            assert read.span.reported is None


# --- for people and for the API ---------------------------------------------------------------------------------------


def bodies(golden: Golden) -> tuple[Any, Any]:
    return render.bodies(dialect="otlp_span", request=orjson.dumps(golden.document), response=b"")


def test_a_model_call_s_span_has_the_bodies_its_call_had():
    request, reply = bodies(GOLDEN["genai today"])
    assert request["model"] == "gpt-4o"
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Paris?"},
    ]  # fmt: skip
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "tool_call"
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "weather"
    assert choice["message"]["reasoning_content"] == "hm"
    assert reply["usage"]["prompt_tokens"] == 120
    assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] == 64
    assert reply["id"] == "chatcmpl-1"


def test_a_tool_s_span_has_what_went_in_and_came_out():
    request, reply = bodies(GOLDEN["genai tool"])
    assert request == {"name": "weather", "input": {"city": "Paris"}}
    assert reply == {"output": {"t": 21}}


def test_a_failed_call_s_reply_says_why():
    _, reply = bodies(GOLDEN["openai v2, failed"])
    assert reply["error"]["type"] == "invalid_request_error"


def test_bodies_of_anything_else_are_as_they_came():
    assert render.bodies(dialect="openai_chat", request=b'{"a": 1}', response=b"no json") == ({"a": 1}, "no json")
    assert render.bodies(dialect="otlp_span", request=b"", response=b"") == (None, None)
    assert render.bodies(dialect="otlp_span", request=b"[1]", response=b"") == ([1], None)


def test_every_kind_of_part_is_shown():
    parts = [
        {"type": "text", "content": "t"}, {"type": "reasoning", "content": "r"},
        {"type": "tool_call", "id": "1", "name": "f", "arguments": {}},
        {"type": "tool_call_response", "id": "1", "result": "x"},
        {"type": "server_tool_call", "id": "2", "name": "web_search", "server_tool_call": {"type": "web_search"}},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "QUJD"},
        {"type": "uri", "modality": "audio", "uri": "https://example.org/a.mp3"},
        {"type": "file", "file_id": "file-1"}, {"type": "compaction", "content": "short"},
        {"type": "tool_approval_response", "approved": True},
    ]  # fmt: skip
    said = document({"gen_ai.operation.name": "chat", "gen_ai.input.messages": [{"role": "user", "parts": parts}]})
    shown = render.shown(dialect="otlp_span", request=orjson.dumps(said), response=b"")
    kinds = [part.kind for part in shown.messages[0].parts]
    assert kinds == [
        "text", "reasoning", "tool_call", "tool_result", "tool_call", "image", "audio", "file", "text", "data",
    ]  # fmt: skip
    assert shown.messages[0].parts[4].name == "web_search"


def test_documents_found_are_shown_one_by_one():
    shown = render.shown(dialect="otlp_span", request=orjson.dumps(GOLDEN["genai retrieval"].document), response=b"")
    assert [(part.text, part.name) for part in shown.reply[0].parts] == [("Thirty days.", "d1 · 0.9")]


@pytest.mark.parametrize("told", [
    {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"},
    {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "agent"},
    {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}, {"a": 1},
], ids=["tool", "agent", "llm", "span"])  # fmt: skip
def test_of_a_span_that_tells_no_content_nothing_was_said(told: dict[str, Any]):
    for dialect in ("otlp_span", ""):
        said = render.conversation(dialect=dialect, request=orjson.dumps(document(told)), response=b"")
        assert (said.messages, said.reply) == ((), ())


def test_a_tool_that_tells_its_result_alone_has_no_arguments():
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "w", "gen_ai.tool.call.result": "21"}
    said = render.conversation(dialect="otlp_span", request=orjson.dumps(document(told)), response=b"")
    assert said.messages == ()
    assert [part.text for message in said.reply for part in message.parts] == ["21"]


# --- laws -------------------------------------------------------------------------------------------------------------

NAMES = sorted({
    name for names in vars(semconv).values() if isinstance(names, tuple | frozenset) for name in names
} | {name for golden in GOLDEN.values() for name in golden.attributes})  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats() | st.text(max_size=12)
    | st.sampled_from(["{", "[", "{}", '"', '{"a":', "1e999", "\ud800", "\x00", "2026-11-21T00:00:00", "http://["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "parts", "type", "usage", "choices", "messages", "name", "model", "text",
                         "input", "output", "tool_calls", "function", "message", "items", "value"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
VALUES = JSON | JSON.map(lambda value: packed(value))
ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=20), VALUES, max_size=8)
EVENTS = st.lists(st.fixed_dictionaries({
    "name": st.sampled_from(["gen_ai.choice", "gen_ai.user.message", "exception", "gen_ai.content.prompt",
                             "gen_ai.client.inference.operation.details", "tool.output"]) | st.text(max_size=5),
    "attributes": ATTRIBUTES}), max_size=2)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(ATTRIBUTES, EVENTS, JSON)
def test_nothing_in_a_span_trips_its_reader(attributes: dict[str, Any], events: list[Any], odd: Any):
    for said in (
        document(attributes, events=events, scope={"attributes": odd}, resource=odd, status=odd),
        document(attributes, events=events, status={"code": 2, "message": str(odd)}, name=odd, start_ns=odd),
        {"v": 1, "attributes": odd, "events": odd},
    ):
        read = reading.read(said)
        assert read.dialect == "otlp_span"
        assert len(read.request_preview) <= PREVIEW_LENGTH
        assert not usage.is_odd(read.usage)
        request, reply = _shown(said, read)
        assert isinstance(request, dict)
        assert isinstance(reply, dict)


def _shown(said: dict[str, Any], read: Reading) -> tuple[Any, Any]:
    showing.conversation(said)
    return showing.bodies(said, read)


@given(st.permutations(range(13)))
def test_an_indexed_family_is_in_the_order_of_its_numbers(order: list[int]):
    assert nested((f"{n}.message.content", n) for n in order) == [
        {"message": {"content": n}} for n in range(13)
    ]  # fmt: skip


COUNT = st.integers(0, 10_000)


@given(COUNT, COUNT, COUNT, COUNT, COUNT)
def test_totals_hold_their_parts_and_parts_beyond_them_come_on_top(
    asked: int, answered: int, read: int, written: int, thought: int
):
    told = reading.read(document({
        "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": asked, "gen_ai.usage.output_tokens": answered,
        "gen_ai.usage.cache_read.input_tokens": read, "gen_ai.usage.cache_write.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": thought,
    })).usage  # fmt: skip
    assert told.input_tokens == (asked if read + written <= asked else asked + read + written)
    assert told.output_tokens == (answered if thought <= answered else answered + thought)


@given(COUNT, COUNT, COUNT)
def test_anthropic_s_own_words_have_the_cache_on_top(own: int, read: int, written: int):
    told = reading.read(document({
        "logfire.msg_template": "x", "gen_ai.operation.name": "chat", "gen_ai.usage.raw": packed({
            "input_tokens": own, "output_tokens": 1, "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written}),
    })).usage  # fmt: skip
    assert told.input_tokens == own + read + written


def test_huge_attributes_stay_within_bounds():
    huge = "x" * 1_000_000
    read = reading.read(document({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": huge, "session.id": huge, "user.id": huge,
        "metadata": packed({f"key{n}": huge[:2000] for n in range(500)}), "gen_ai.input.messages": huge,
        "langfuse.trace.tags": [huge] * 200,
    }))  # fmt: skip
    assert read.span is not None
    assert len(read.request_preview) <= PREVIEW_LENGTH
    assert len(read.span.properties) <= facts.MAX_PROPERTIES + 4
    assert all(len(value) <= facts.MAX_PROPERTY for value in read.span.properties.values())
    for text in (read.request_model, read.span.session_id, read.span.end_user_id):
        assert text is not None
        assert len(text) == facts.MAX_TEXT


def test_a_span_inside_a_span_is_not_read_as_one():
    inner = document({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5})
    read = reading.read(document({
        "openinference.span.kind": "LLM", "input.value": packed(inner), "output.value": packed(inner)}))  # fmt: skip
    assert read.usage == Usage()


def test_every_dialect_is_found():
    names = {dialect.__name__.rpartition(".")[2] for dialect in every()}
    assert names == {
        "claude_code", "codex", "gemini_cli", "genai", "haystack", "langfuse", "logfire", "openinference",
        "openllmetry", "others", "vercel_ai",
    }  # fmt: skip
