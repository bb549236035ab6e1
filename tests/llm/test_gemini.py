"""Google's dialects: streams however cut and framed, what a page shows, and what is told in odd places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.targets import without_credentials as gateway_query
from ingest_app.envelopes import helicone_log
from ingest_app.posting import Posting
from llm import dialects, providers, render
from llm.conversation import Message, Part, ToolSpec
from llm.dialects import gemini, gemini_interactions
from llm.exchange import Body
from llm.frames import unwrap
from llm.parse import parse
from tests.llm.test_fold import TEXT, pieces
from tests.wire.exchanges import NOON, body, exchange, sse

NAMES = [name for name, _ in dialects.every() if name.startswith("gemini")]
ADDRESS = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro"


def chunk(*parts: dict[str, Any], index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": index, **fields}]}


def usage(**counts: int) -> dict[str, Any]:
    return {"usageMetadata": counts}


def shown(dialect: str, request: Any, response: Any) -> Any:
    return render.conversation(
        dialect=dialect, request=json.dumps(request).encode(), response=json.dumps(response).encode(),
    )


# --- streams ----------------------------------------------------------------------------------------------------------


@given(st.data(), TEXT, TEXT, TEXT)
def test_thoughts_and_texts_of_several_candidates_cut_anywhere_are_one_reply(data, thought, text, other):
    events = [chunk({"text": piece, "thought": True}) for piece in data.draw(pieces(thought)) if thought]
    events += [chunk({"text": piece}) for piece in data.draw(pieces(text)) if text]
    events += [chunk({"functionCall": {"name": "look", "args": {"a": 1}}}, finishReason="STOP")]
    events += [chunk({"text": piece}, index=1) for piece in data.draw(pieces(other)) if other]
    first, *rest = gemini.fold(events)["candidates"]
    said = [part for part in first["content"]["parts"] if part.get("text") or "functionCall" in part]
    expected = [{"text": thought, "thought": True}] if thought else []
    expected += [{"text": text}] if text else []
    assert said == [*expected, {"functionCall": {"name": "look", "args": {"a": 1}}}]
    assert first["finishReason"] == "STOP"
    assert ["".join(part["text"] for part in each["content"]["parts"]) for each in rest] == ([other] if other else [])


COUNTS = st.dictionaries(
    st.sampled_from(["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"]),
    st.integers(0, 10**6),
)


@given(st.lists(COUNTS, min_size=1, max_size=5))
def test_counts_told_by_every_chunk_are_the_last_told_and_never_a_sum(told):
    events = [{**chunk({"text": "x"}), **usage(**counts)} for counts in told]
    before = json.dumps(events)
    folded = gemini.fold(events)["usageMetadata"]
    assert folded == {key: value for counts in told for key, value in counts.items()}
    assert json.dumps(events) == before


@given(st.lists(TEXT, min_size=1, max_size=5), st.sampled_from([None, 1, "\t"]), st.sampled_from([",", ",\r\n"]))
def test_an_array_of_chunks_is_the_stream_its_events_are(texts, indent, between):
    events = [{**chunk({"text": text}), **usage(promptTokenCount=1)} for text in texts]
    array = "[" + between.join(json.dumps(event, indent=indent) for event in events) + "]"
    assert unwrap(body(array)).events == unwrap(body(sse(events))).events == tuple(events)


@given(st.integers(1, 400), st.sampled_from([None, 2]))
def test_an_array_broken_off_anywhere_keeps_its_whole_chunks(cut, indent):
    events = [{**chunk({"text": f"piece {number}"}), **usage(promptTokenCount=7)} for number in range(4)]
    text = json.dumps(events, indent=indent)
    found = unwrap(body(text[: max(2, len(text) - cut)]))
    assert found.events in [tuple(events[:number]) for number in range(5)]
    if cut < 60:
        assert len(found.events) >= 3


def test_what_chunks_tell_again_grows_and_is_not_doubled():
    events = [
        chunk({"text": "a"}, groundingMetadata={"webSearchQueries": ["x"]}, safetyRatings=[{"category": "H"}]),
        chunk({"text": "b"}, groundingMetadata={"webSearchQueries": ["x", "y"]}, safetyRatings=[{"category": "H"}]),
        chunk({"text": "c"}, groundingMetadata={"groundingChunks": [{"web": {"uri": "u"}}]}),
    ]
    (candidate,) = gemini.fold(events)["candidates"]
    assert candidate["groundingMetadata"] == {
        "webSearchQueries": ["x", "y"], "groundingChunks": [{"web": {"uri": "u"}}],
    }
    assert candidate["safetyRatings"] == [{"category": "H"}]


def test_arguments_streamed_by_path_become_the_arguments():
    def call(**fields: Any) -> dict[str, Any]:
        return chunk({"functionCall": fields})

    def piece(path: str, **value: Any) -> dict[str, Any]:
        return {"jsonPath": path, **value}

    (candidate,) = gemini.fold([
        call(name="look", id="1", willContinue=True),
        call(partialArgs=[piece("$.city", stringValue="Os", willContinue=True)], willContinue=True),
        call(partialArgs=[piece("$.city", stringValue="lo"), piece("$.days", numberValue=2)], willContinue=True),
        call(),
    ])["candidates"]
    assert candidate["content"]["parts"] == [
        {"functionCall": {"name": "look", "id": "1", "args": {"city": "Oslo", "days": 2}}},
    ]


def test_an_error_in_the_middle_of_a_stream_is_told_and_what_came_before_is_kept():
    events = [{**chunk({"text": "Half"}), **usage(promptTokenCount=3, candidatesTokenCount=1)},
              {"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}]
    reading = parse(exchange(provider="google", url=f"{ADDRESS}:streamGenerateContent?alt=sse",
                             request=body({"contents": []}), response=body(sse(events))))
    assert (reading.error_type, reading.error_message) == ("UNAVAILABLE", "The model is overloaded.")
    assert (reading.response_preview, reading.usage.output_tokens) == ("Half", 1)
    assert {"error_in_stream", "stream_truncated"} <= {problem.code for problem in reading.problems}


@given(st.data(), TEXT, TEXT, TEXT)
def test_deltas_of_an_interaction_cut_anywhere_are_its_steps(data, thought, text, city):
    def deltas(index: int, whole: str, wrap: Any) -> list[dict[str, Any]]:
        return [{"event_type": "step.delta", "index": index, "delta": wrap(piece)} for piece in
                data.draw(pieces(whole))]

    arguments = json.dumps({"city": city})
    events: list[Any] = [{"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}}]
    events += deltas(0, thought, lambda piece: {
        "type": "thought_summary", "content": {"type": "text", "text": piece}})
    events += deltas(1, text, lambda piece: {"type": "text", "text": piece})
    events += [{"event_type": "step.start", "index": 2, "step": {"type": "function_call", "name": "look"}}]
    events += deltas(2, arguments, lambda piece: {"type": "arguments_delta", "arguments": piece})
    before = json.dumps(events)
    assert gemini_interactions.fold(events)["steps"] == [
        {"type": "thought", "summary": [{"type": "text", "text": thought}]},
        {"type": "model_output", "content": [{"type": "text", "text": text}]},
        {"type": "function_call", "name": "look", "arguments": {"city": city}},
    ]
    assert json.dumps(events) == before


# --- nothing raises ---------------------------------------------------------------------------------------------------

KEYS = st.sampled_from([
    "candidates", "content", "parts", "text", "thought", "functionCall", "args", "name", "finishReason", "index",
    "usageMetadata", "promptTokenCount", "promptTokensDetails", "modality", "tokenCount", "promptFeedback",
    "inlineData", "blockReason", "groundingMetadata", "webSearchQueries", "predictions", "embeddings", "values",
    "steps", "type", "event_type", "delta", "step", "interaction", "usage", "total_input_tokens", "input",
    "contents", "systemInstruction", "tools", "functionDeclarations", "response", "request", "willContinue",
    "partialArgs", "jsonPath", "mimeType", "data",
])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9)
    | st.sampled_from(["step.delta", "content.delta", "text", "STOP", "thought", "image", "thought_summary"]),
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
        for action in ("generateContent", "countTokens", "predict", "embedContent"):
            reading = parse(exchange(
                url=f"{ADDRESS}:{action}", request=body(asked), response=body(reply), provider="google",
            ))
            assert "unreadable" not in [problem.code for problem in reading.problems], reading.problems


# --- for people -------------------------------------------------------------------------------------------------------


def test_a_conversation_shows_thoughts_tools_media_and_code():
    conversation = shown("gemini", {
        "system_instruction": "Be kind.",
        "contents": [
            {"role": "user", "parts": [{"text": "Look"}, {"inline_data": {"mime_type": "image/png", "data": "-_8="}},
                                       {"fileData": {"mimeType": "audio/wav", "fileUri": "gs://b/a.wav"}}]},
            {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "weather", "args": {"city": "Oslo"}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "c", "name": "weather", "response": {"error": "?"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "object"}}]},
                  {"googleSearch": {}}],
        "generationConfig": {"temperature": 0.5}, "safetySettings": [],
    }, {"candidates": [{"finishReason": 1, "content": {"parts": [
        {"text": "Hm", "thought": True}, {"executableCode": {"language": "PYTHON", "code": "1/0"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "division by zero"}}, {"text": "No."},
        {"inlineData": {"mimeType": "audio/L16", "data": "AAAA"}}, {"thoughtSignature": "c2ln"}]}}]})
    assert conversation.messages == (
        Message("system", (Part("text", text="Be kind."),)),
        Message("user", (
            Part("text", text="Look"), Part("image", url="data:image/png;base64,+/8=", media_type="image/png"),
            Part("file", name="gs://b/a.wav", media_type="audio/wav"))),
        Message("assistant", (Part("tool_call", text='{"city":"Oslo"}', name="weather", call_id="c"),)),
        Message("user", (
            Part("tool_result", text='{\n  "error": "?"\n}', name="weather", call_id="c", is_error=True),)),
    )
    (reply,) = conversation.reply
    assert [(part.kind, part.text, part.is_error) for part in reply.parts] == [
        ("reasoning", "Hm", False), ("tool_call", "1/0", False), ("tool_result", "division by zero", True),
        ("text", "No.", False), ("audio", "", False),
    ]
    assert reply.finish_reason == "STOP"
    assert conversation.tools == (ToolSpec("weather", schema={"type": "object"}), ToolSpec("googleSearch"))
    assert conversation.settings == {"temperature": 0.5, "safetySettings": []}


def test_a_blocked_prompt_shows_why():
    (reply,) = shown("gemini", {"contents": "Hi"}, {"promptFeedback": {"blockReason": "SAFETY"}}).reply
    assert (reply.parts, reply.finish_reason) == ((Part("refusal", text="SAFETY"),), "SAFETY")


def test_an_interaction_shows_its_turns_and_steps():
    conversation = shown("gemini_interactions", {
        "input": [{"role": "user", "content": "Hi"}, {"role": "model", "content": [{"type": "text", "text": "Yes?"}]},
                  {"type": "function_result", "call_id": "f", "result": "4 °C", "is_error": True}],
        "previous_interaction_id": "i-0",
    }, {"object": "interaction", "status": "completed", "steps": [
        {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]},
        {"type": "code_execution_call", "id": "x", "arguments": {"code": "1"}},
        {"type": "code_execution_result", "call_id": "x", "result": "1"},
        {"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": "AAAA"}]}]})
    assert [(message.role, message.parts[0].text) for message in conversation.messages] == [
        ("user", "Hi"), ("assistant", "Yes?"), ("tool", "4 °C"),
    ]
    (reply,) = conversation.reply
    assert [(part.kind, part.name) for part in reply.parts] == [
        ("tool_call", "code_execution"), ("tool_result", "code_execution"), ("image", ""),
    ]
    assert conversation.settings == {"previous_interaction_id": "i-0"}


# --- odd places -------------------------------------------------------------------------------------------------------


def test_a_reply_in_the_envelope_of_googles_command_line_is_read():
    inner = {**chunk({"text": "Hi"}, finishReason="STOP"), **usage(promptTokenCount=2, candidatesTokenCount=1)}
    reading = parse(exchange(
        provider="google", url="https://cloudcode-pa.googleapis.com/v1internal:streamGenerateContent?alt=sse",
        request=body({"model": "gemini-2.5-pro", "request": {"contents": "Hey"}}),
        response=body(sse([{"response": inner}])),
    ))
    assert (reading.request_model, reading.request_preview, reading.response_preview) == ("gemini-2.5-pro", "Hey", "Hi")
    assert (reading.usage.input_tokens, reading.finish_reason) == (2, "STOP")


def test_claude_on_vertex_is_read_as_claude_and_its_counting_is_no_model_call():
    base = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/anthropic"
    asked = body({"anthropic_version": "vertex-2023-10-16", "messages": [], "max_tokens": 5})
    reply = {"type": "message", "model": "claude-sonnet-4-5-20250929", "content": [], "stop_reason": "end_turn",
             "usage": {"input_tokens": 3, "output_tokens": 4}}
    said = parse(exchange(provider="google-vertex", url=f"{base}/models/claude-sonnet-4-5@20250929:streamRawPredict",
                          request=asked, response=body(reply)))
    assert (said.dialect, said.request_model) == ("anthropic_messages", "claude-sonnet-4-5@20250929")
    assert (said.usage.input_tokens, said.usage.output_tokens) == (3, 4)
    counted = parse(exchange(
        provider="google-vertex", url=f"{base}/models/count-tokens:rawPredict",
        request=body({"model": "claude-sonnet-4-5", "messages": []}), response=body({"input_tokens": 12}),
    ))
    assert (counted.kind, counted.request_model, counted.usage.input_tokens) == ("count", "claude-sonnet-4-5", 12)


def test_a_body_whose_middle_was_not_captured_still_tells_its_usage():
    text = json.dumps({**chunk({"text": "x" * 9000}), **usage(promptTokenCount=5, candidatesTokenCount=9),
                       "modelVersion": "gemini-3-pro"})
    data = (text[:200] + text[-300:]).encode()
    reading = parse(exchange(provider="google", url=f"{ADDRESS}:generateContent",
                             request=body({"contents": []}), response=Body(data, size=len(text), state="truncated")))
    assert (reading.usage.output_tokens, reading.response_model) == (9, "gemini-3-pro")


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-flash", 1), ("gemini-3-pro", 2), ("gemini-4-argon", 2)])
def test_grounded_prompts_are_counted_as_they_are_charged(model, searches):
    reply = {**chunk({"text": "x"}, groundingMetadata={"webSearchQueries": ["a", "b", "b"]}, finishReason="STOP"),
             **usage(promptTokenCount=1), "modelVersion": model}
    reading = parse(exchange(provider="google", url=f"{ADDRESS}:generateContent", request=body({}),
                             response=body(reply)))
    assert reading.usage.web_searches == searches


@pytest.mark.parametrize(("host", "slug"), [
    ("generativelanguage.googleapis.com", "google"), ("cloudcode-pa.googleapis.com", "google"),
    ("aiplatform.googleapis.com", "google-vertex"), ("europe-west4-aiplatform.googleapis.com", "google-vertex"),
    ("aiplatform.eu.rep.googleapis.com", "google-vertex"),
])
def test_googles_hosts_are_told_apart(host, slug):
    provider = providers.by_host(host)
    assert provider is not None
    assert (provider.slug, provider.dialect, provider.credential_query) == (slug, "gemini", "key")


def test_a_key_in_an_address_is_not_kept():
    document = {"providerRequest": {"url": f"{ADDRESS}:generateContent?key=AIzaSecret&alt=sse", "json": {}, "meta": {}},
                "providerResponse": {"json": {}, "status": 200, "headers": {}},
                "timing": {"startTime": {"seconds": 1}, "endTime": {"seconds": 2}}}
    (logged,) = helicone_log.take(Posting("/custom/v1/log", {}, json.dumps(document).encode(), 1, 1, NOON)).logged
    assert logged.exchange.url == f"{ADDRESS}:generateContent?alt=sse"
    assert gateway_query("key=AIzaSecret&alt=sse") == "alt=sse"
