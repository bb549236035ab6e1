"""Ollama's lines are one reply, however its text is cut, and what broke off is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import render
from llm.parse import parse
from tests.wire.exchanges import body, exchange

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
CHAT, GENERATE = "http://localhost:11434/api/chat", "http://localhost:11434/api/generate"
COUNTS = {"done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2}


def line(*, done: bool = False, **said: Any) -> bytes:
    more = COUNTS if done else {}
    return json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", **said, "done": done, **more}).encode()


def read(url: str, lines: list[bytes]) -> Any:
    return parse(exchange(provider="ollama", url=url, request=body({"model": "m"}), response=body(b"\n".join(lines))))


@given(st.lists(TEXT, min_size=1, max_size=5), st.lists(TEXT, max_size=3))
def test_lines_cut_anywhere_are_one_reply(texts, thoughts):
    lines = [line(message={"role": "assistant", "content": "", "thinking": thought}) for thought in thoughts]
    lines += [line(message={"role": "assistant", "content": text}) for text in texts]
    reading = read(CHAT, [*lines, line(done=True, message={"role": "assistant", "content": ""})])
    message = json.loads(reading.folded_response)["message"]
    assert message["content"] == "".join(texts)
    assert message.get("thinking", "") == "".join(thoughts)
    assert (reading.usage.input_tokens, reading.usage.output_tokens, reading.finish_reason) == (5, 2, "stop")
    assert not reading.problems


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_texts_of_generate_are_joined(texts):
    lines = [*(line(response=text) for text in texts), line(done=True, response="")]
    assert json.loads(read(GENERATE, lines).folded_response)["response"] == "".join(texts)


@pytest.mark.parametrize("kept", [1, 2])
def test_a_stream_that_broke_off_says_so(kept):
    reading = read(GENERATE, [line(response="a"), line(response="b")][:kept])
    assert reading.is_stream
    assert [problem.code for problem in reading.problems] == ["stream_truncated", "usage_missing"]


def test_an_error_in_the_middle_is_the_streams_error():
    reading = read(GENERATE, [line(response="a"), b'{"error":"out of memory"}'])
    assert reading.error_message == "out of memory"
    assert "error_in_stream" in {problem.code for problem in reading.problems}


def test_pictures_thinking_and_tools_are_shown():
    request = {"model": "m", "messages": [
        {"role": "user", "content": "What is it?", "images": ["iVBORw0KGgo="]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {"x": 1}}}]},
        {"role": "tool", "content": "a fox", "tool_name": "look"},
    ]}  # fmt: skip
    reply = {"model": "m", "message": {"role": "assistant", "thinking": "Hm.", "content": "A fox."}, "done": True,
             **COUNTS}  # fmt: skip
    shown = render.conversation(
        dialect="ollama", request=json.dumps(request).encode(), response=json.dumps(reply).encode()
    )
    assert [[part.kind for part in message.parts] for message in shown.messages] == [
        ["text", "image"], ["tool_call"], ["tool_result"],
    ]  # fmt: skip
    assert [part.kind for part in shown.reply[0].parts] == ["reasoning", "text"]
    assert shown.reply[0].finish_reason == "stop"


VALUES = st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2) | st.dictionaries(TEXT, TEXT)


@given(st.dictionaries(st.sampled_from(["message", "response", "done", "model", "embeddings", "eval_count", "error",
                                        "done_reason", "created_at", "thinking"]), VALUES),
       st.binary(max_size=60))  # fmt: skip
def test_any_values_and_bytes_are_survived(value, noise):
    for data in (json.dumps(value).encode(), line(response="a") + b"\n" + json.dumps(value).encode() + noise):
        reading = parse(exchange(provider="ollama", url=CHAT, request=body(value), response=body(data)))
        assert "unreadable" not in {problem.code for problem in reading.problems}
