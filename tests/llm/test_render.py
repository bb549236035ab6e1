"""A stored exchange is shown as what was said, whichever dialect it was said in."""

from __future__ import annotations

import json
from typing import Any

from llm import render
from llm.conversation import Conversation, Message, Part
from tests.wire.exchanges import sse


def shown(dialect: str, request: Any, response: Any) -> Conversation:
    came = response if isinstance(response, bytes) else json.dumps(response).encode()
    return render.conversation(dialect=dialect, request=json.dumps(request).encode(), response=came)


WEATHER = {"name": "weather", "description": "Of a city", "parameters": {"type": "object"}}
PICTURE = "data:image/png;base64,AAAA"


def test_a_chat_shows_roles_tools_images_reasoning_and_results():
    conversation = shown("openai_chat", {
        "model": "m", "temperature": 0.5, "tools": [{"type": "function", "function": WEATHER}],
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "name": "ada", "content": [
                {"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PICTURE}}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        ],
    }, {"choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "reasoning_content": "Sun it is", "content": "Sunny", "refusal": "no rain"}}]})
    assert conversation.messages == (
        Message("system", (Part("text", text="Be kind."),)),
        Message("user", (Part("text", text="Look"), Part("image", url=PICTURE)), "ada"),
        Message("assistant", (Part("tool_call", text="{}", name="weather", call_id="c1"),)),
        Message("tool", (Part("tool_result", text="sun", call_id="c1"),)),
    )
    (reply,) = conversation.reply
    assert [(part.kind, part.text) for part in reply.parts] == [
        ("reasoning", "Sun it is"), ("text", "Sunny"), ("refusal", "no rain"),
    ]
    assert reply.finish_reason == "stop"
    assert conversation.tools[0].name == "weather"
    assert conversation.settings == {"temperature": 0.5}


def test_an_anthropic_message_shows_thinking_tools_and_documents():
    conversation = shown("anthropic_messages", {
        "system": [{"type": "text", "text": "Be kind."}], "max_tokens": 9,
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "broken"},
        ]}],
    }, {"type": "message", "stop_reason": "tool_use", "content": [
        {"type": "thinking", "thinking": "Hm"},
        {"type": "tool_use", "id": "t2", "name": "weather", "input": {"c": 1}}]})
    assert conversation.messages[0] == Message("system", (Part("text", text="Be kind."),))
    assert conversation.messages[1].parts == (
        Part("image", url=PICTURE, media_type="image/png"),
        Part("tool_result", text="broken", call_id="t1", is_error=True),
    )
    assert conversation.reply == (Message("assistant", (
        Part("reasoning", text="Hm"), Part("tool_call", text='{"c":1}', name="weather", call_id="t2"),
    ), finish_reason="tool_use"),)


def test_responses_show_instructions_items_and_outputs():
    conversation = shown("openai_responses", {"instructions": "Be kind.", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
    ]}, {"object": "response", "status": "completed", "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny"}]},
    ]})
    assert [message.role for message in conversation.messages] == ["system", "user", "assistant", "tool"]
    assert conversation.messages[3].parts == (Part("tool_result", text="sun", call_id="c1"),)
    parts = [(part.kind, part.text) for part in conversation.reply[0].parts]
    assert parts == [("reasoning", "Hm"), ("text", "Sunny")]


def test_a_stream_that_was_kept_raw_is_shown_folded():
    stream = sse([{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}}]}
                  for piece in ("Sun", "ny")])
    assert shown("", {"messages": []}, stream).reply[0].parts == (Part("text", text="Sunny"),)


def test_what_no_dialect_knows_is_shown_as_it_is():
    conversation = shown("", {"q": 1}, b"plain words")
    assert conversation.messages[0].parts[0].kind == "data"
    assert conversation.reply == (Message("assistant", (Part("text", text="plain words"),)),)


def test_an_error_reply_is_shown():
    conversation = shown("openai_chat", {"messages": []}, {"error": {"message": "no"}})
    assert "no" in conversation.reply[0].parts[0].text


def test_an_empty_side_is_nothing():
    assert render.conversation(dialect="openai_chat", request=b"", response=b"") == Conversation()
