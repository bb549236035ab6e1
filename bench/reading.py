"""How long reading takes: `llm.parse` of one exchange, beside what `orjson.loads` of the same bytes takes alone.

    python -m bench.reading [--rounds 15] [--only text]

CPU time, the best of several rounds, of exchanges of 2 KB (limit 60 µs) and of 1 MB (limit 10 ms): a whole reply, and
the stream of every dialect that streams, in events as small as providers really send them. The garbage collector is
set as it is in the product's processes.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Any, Final

import orjson

from lib import collector
from llm import sse
from llm.exchange import Exchange
from llm.parse import parse
from tests.wire.exchanges import body, exchange

SMALL, LARGE = 2_000, 1_000_000
LIMITS: Final = {SMALL: 60e-6, LARGE: 10e-3}
WORD: Final = " refrigerator"
ASKED: Final = [{"role": "user", "content": "What is in the fridge?"}]
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """A dialect's stream: how it begins, the event that is most of it, how it ends."""

    url: str
    first: Sequence[Event]
    piece: Event
    last: Sequence[Event]
    frame: str = "sse"
    """`sse`, `named` (with event lines), `lines`, `array`, or AWS's: `converse`, `invoke`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    collector.spare()
    print(f"{'':34}{'bytes':>10}{'reading':>12}{'loads alone':>13}{'ratio':>7}{'of limit':>10}")
    chosen = [case for case in cases() if given.only in case[0]]
    missed = [name for name, each, limit in chosen if not _told(name, each, limit, given.rounds)]
    print(f"over the limit: {', '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


def _told(name: str, each: Exchange, limit: float, rounds: int) -> bool:
    reading = parse(each)
    if reading.problems or reading.usage.output_tokens is None:
        print(f"{name}: {reading.problems}, {reading.usage}")
    taken = best(lambda: parse(each), rounds)
    alone = best(lambda: _loads(each.response.data), rounds) + best(lambda: _loads(each.request.data), rounds)
    size = len(each.request.data) + len(each.response.data)
    ratio, of_limit = f"{taken / alone:.1f}", f"{taken / limit:.0%}"
    print(f"{name:34}{size:>10,}{taken * 1e6:>9,.0f} µs{alone * 1e6:>10,.0f} µs{ratio:>7}{of_limit:>10}")
    return taken <= limit


def best(work: Callable[[], object], rounds: int) -> float:
    """Seconds of CPU of one call, the best of so many rounds of about 20 ms each."""
    work()
    started = time.process_time()
    work()
    repeats = max(1, int(0.02 / max(time.process_time() - started, 1e-5)))
    found = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            work()
        found.append((time.process_time() - started) / repeats)
    return min(found)


def _loads(data: bytes) -> None:
    """The bytes as JSON, without a look at what they say: a stream's payloads as one array, AWS's frames not at all."""
    if data.startswith(b"{") and data.endswith(b"}\n"):
        orjson.loads(b"[" + b",".join(data.splitlines()) + b"]")
    elif data.startswith((b"{", b"[")):
        orjson.loads(data)
    else:
        orjson.loads(b"[" + b",".join(sse.data_lines(data)) + b"]")


# --- what is read -----------------------------------------------------------------------------------------------------


def cases() -> Iterator[tuple[str, Exchange, float]]:
    for name, (url, reply) in REPLIES.items():
        for size in LIMITS:
            yield f"{name}, whole, {_size(size)}", _whole(url, reply, size), LIMITS[size]
    for name, stream in STREAMS.items():
        for size in LIMITS:
            yield f"{name}, stream, {_size(size)}", _streamed(stream, size), LIMITS[size]


def _size(size: int) -> str:
    return "2 KB" if size == SMALL else "1 MB"


def _exchange(url: str, came: bytes, kind: str) -> Exchange:
    asked = {"model": "m-1", "messages": ASKED, "stream": kind != "application/json"}
    return exchange(provider="", url=url, request=body(asked), response=body(came, content_type=kind))


def _whole(url: str, reply: Callable[[str], Event], size: int) -> Exchange:
    """A reply whose text fills it to about `size` bytes."""
    text = WORD * ((size - 500) // len(WORD))
    return _exchange(url, json.dumps(reply(text), separators=(",", ":")).encode(), "application/json")


def _streamed(stream: Stream, size: int) -> Exchange:
    """So many pieces that request and reply have about `size` bytes."""
    frame, kind = FRAMES[stream.frame]
    one = len(frame([stream.piece]))
    bare = _exchange(stream.url, frame([*stream.first, *stream.last]), kind)
    left = size - len(bare.request.data) - len(bare.response.data)
    events = [*stream.first, *[stream.piece] * max(1, left // one), *stream.last]
    return _exchange(stream.url, frame(events), kind)


def _json(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _sse(events: Sequence[Event]) -> bytes:
    return b"".join(b"data: " + _json(event) + b"\n\n" for event in events)


def _named(events: Sequence[Event]) -> bytes:
    return b"".join(
        b"event: " + str(event.get("type", "message")).encode() + b"\ndata: " + _json(event) + b"\n\n"
        for event in events
    )


def _lines(events: Sequence[Event]) -> bytes:
    return b"".join(_json(event) + b"\n" for event in events)


def _array(events: Sequence[Event]) -> bytes:
    return b"[" + b"\n,\n".join(map(_json, events)) + b"]"


def _converse(events: Sequence[Event]) -> bytes:
    return b"".join(_message(name, _json(value)) for event in events for name, value in event.items())


def _invoke(events: Sequence[Event]) -> bytes:
    inner = (base64.b64encode(_json(event)).decode() for event in events)
    return b"".join(_message("chunk", _json({"bytes": data, "p": "abcdefghijklm"})) for data in inner)


def _message(name: str, payload: bytes) -> bytes:
    told = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    head = b"".join(
        pack("B", len(key)) + key.encode() + b"\x07" + pack(">H", len(value)) + value.encode()
        for key, value in told.items()
    )
    start = pack(">II", len(head) + len(payload) + 16, len(head))
    message = start + pack(">I", zlib.crc32(start)) + head + payload
    return message + pack(">I", zlib.crc32(message))


FRAMES: Final[Mapping[str, tuple[Callable[[Sequence[Event]], bytes], str]]] = {
    "sse": (_sse, "text/event-stream"), "named": (_named, "text/event-stream"),
    "lines": (_lines, "application/x-ndjson"), "array": (_array, "application/json; stream"),
    "converse": (_converse, "application/vnd.amazon.eventstream"),
    "invoke": (_invoke, "application/vnd.amazon.eventstream"),
}

USED: Final = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
               "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
CLAUDE_USED: Final = {"input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
                      "output_tokens": 9}
GEMINI_USED: Final = {"promptTokenCount": 12, "candidatesTokenCount": 9, "totalTokenCount": 21}
_CHUNK: Final = {"id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012", "object": "chat.completion.chunk",
                 "created": 1763726400, "model": "gpt-4o-2024-08-06", "service_tier": "default",
                 "system_fingerprint": "fp_1234567890"}
_OUTPUT: Final = {"item_id": "msg_0123456789abcdef0123456789abcdef0123456789abcdef", "output_index": 0,
                  "content_index": 0}


def _chunk(delta: Event, finish: str | None = None, **more: Any) -> Event:
    return {**_CHUNK, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more}


def _response(text: str, status: str = "completed") -> Event:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": "resp_1", "object": "response", "model": "gpt-5", "status": status,
            "output": [{"type": "message", "role": "assistant", "content": content}] if text else [],
            "usage": {"input_tokens": 12, "output_tokens": 9, "total_tokens": 21} if text else None}


def _candidate(text: str, **more: Any) -> Event:
    return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}],
            "usageMetadata": GEMINI_USED, "modelVersion": "gemini-2.5-flash", "responseId": "abcdefghijklmnop"}


OPENAI: Final = "https://api.openai.com/v1"
CLAUDE: Final = "https://api.anthropic.com/v1/messages"
GEMINI: Final = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
BEDROCK: Final = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m"

REPLIES: Final[Mapping[str, tuple[str, Callable[[str], Event]]]] = {
    "OpenAI chat": (f"{OPENAI}/chat/completions", lambda text: {
        **_CHUNK, "object": "chat.completion", "usage": USED,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}),
    "OpenAI responses": (f"{OPENAI}/responses", _response),
    "Anthropic": (CLAUDE, lambda text: {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": CLAUDE_USED}),
    "Gemini": (f"{GEMINI}:generateContent", lambda text: _candidate(text, finishReason="STOP")),
    "Bedrock converse": (f"{BEDROCK}/converse", lambda text: {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 12, "outputTokens": 9, "totalTokens": 21}, "metrics": {"latencyMs": 9}}),
}
_CLAUDE: Final = (
    [{"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
        "stop_reason": None, "usage": {**CLAUDE_USED, "output_tokens": 1}}},
     {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}],
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}},
    [{"type": "content_block_stop", "index": 0},
     {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": CLAUDE_USED},
     {"type": "message_stop"}],
)
STREAMS: Final[Mapping[str, Stream]] = {
    "OpenAI chat": Stream(
        f"{OPENAI}/chat/completions", [_chunk({"role": "assistant", "content": ""})], _chunk({"content": WORD}),
        [_chunk({}, "stop"), {**_CHUNK, "choices": [], "usage": USED}]),
    "chat that thinks": Stream(
        "https://api.deepseek.com/chat/completions", [_chunk({"role": "assistant", "content": ""})],
        _chunk({"content": None, "reasoning_content": WORD}), [_chunk({"content": "Milk"}, "stop", usage=USED)]),
    "chat calling a tool": Stream(
        f"{OPENAI}/chat/completions",
        [_chunk({"role": "assistant", "tool_calls": [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}]})],
        _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "refrigerator"}}]}),
        [_chunk({}, "tool_calls"), {**_CHUNK, "choices": [], "usage": USED}]),
    "OpenRouter": Stream(
        "https://openrouter.ai/api/v1/chat/completions", [],
        {**_CHUNK, "provider": "OpenAI", "choices": [{
            "index": 0, "delta": {"role": "assistant", "content": WORD}, "finish_reason": None,
            "native_finish_reason": None, "logprobs": None}]},
        [_chunk({"content": ""}, "stop", usage={**USED, "cost": 0.0001})]),
    "OpenAI completions": Stream(
        f"{OPENAI}/completions", [],
        {**_CHUNK, "object": "text_completion",
         "choices": [{"text": WORD, "index": 0, "logprobs": None, "finish_reason": None}]},
        [{**_CHUNK, "object": "text_completion", "usage": USED,
          "choices": [{"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}]}]),
    "OpenAI responses": Stream(
        f"{OPENAI}/responses", [{"type": "response.created", "response": _response("", "in_progress")}],
        {"type": "response.output_text.delta", "sequence_number": 12, **_OUTPUT, "delta": WORD, "logprobs": [],
         "obfuscation": "aBcDeFgH"},
        [{"type": "response.completed", "response": _response("Milk")}], "named"),
    "Anthropic": Stream(CLAUDE, *_CLAUDE, "named"),
    "Gemini": Stream(
        f"{GEMINI}:streamGenerateContent?alt=sse", [], _candidate(WORD), [_candidate("", finishReason="STOP")]),
    "Gemini, one array": Stream(
        f"{GEMINI}:streamGenerateContent", [], _candidate(WORD), [_candidate("", finishReason="STOP")], "array"),
    "Cohere v1": Stream(
        "https://api.cohere.com/v1/chat", [{"is_finished": False, "event_type": "stream-start", "generation_id": "g"}],
        {"is_finished": False, "event_type": "text-generation", "text": WORD},
        [{"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": {
            "text": "Milk", "generation_id": "g", "meta": {"billed_units": {"input_tokens": 12, "output_tokens": 9}}}}],
        "lines"),
    "Cohere v2": Stream(
        "https://api.cohere.com/v2/chat", [{"type": "message-start", "id": "1", "delta": {"message": {}}}],
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": WORD}}}},
        [{"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {
            "billed_units": {"input_tokens": 12, "output_tokens": 9}}}}], "named"),
    "Ollama": Stream(
        "http://127.0.0.1:11434/api/chat", [],
        {"model": "llama3.2", "created_at": "2026-11-21T12:00:00.123456Z",
         "message": {"role": "assistant", "content": WORD}, "done": False},
        [{"model": "llama3.2", "created_at": "2026-11-21T12:00:00.123456Z", "message": {"role": "assistant"},
          "done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 9}], "lines"),
    "Bedrock converse": Stream(
        f"{BEDROCK}/converse-stream", [{"messageStart": {"p": "abc", "role": "assistant"}}],
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": WORD}, "p": "abcdefghijklm"}},
        [{"contentBlockStop": {"contentBlockIndex": 0, "p": "ab"}}, {"messageStop": {"stopReason": "end_turn"}},
         {"metadata": {"usage": {"inputTokens": 12, "outputTokens": 9, "totalTokens": 21}}}], "converse"),
    "Bedrock invoke": Stream(f"{BEDROCK}/invoke-with-response-stream", *_CLAUDE, "invoke"),
    "Text Generation Inference": Stream(
        "http://localhost:8080/generate_stream", [],
        {"index": 1, "token": {"id": 12, "text": WORD, "logprob": -0.12, "special": False}, "generated_text": None,
         "details": None},
        [{"index": 2, "token": {"id": 12, "text": ".", "logprob": -0.12, "special": False}, "generated_text": "Milk.",
          "details": {"finish_reason": "eos_token", "generated_tokens": 9, "input_length": 12}}]),
    "watsonx": Stream(
        "https://us-south.ml.cloud.ibm.com/ml/v1/text/generation_stream", [],
        {"model_id": "ibm/granite", "results": [{
            "generated_text": WORD, "generated_token_count": 9, "input_token_count": 12,
            "stop_reason": "not_finished"}]},
        [{"model_id": "ibm/granite", "results": [{
            "generated_text": "", "generated_token_count": 9, "input_token_count": 0, "stop_reason": "eos_token"}]}]),
    "Mistral conversations": Stream(
        "https://api.mistral.ai/v1/conversations", [{"type": "conversation.response.started", "conversation_id": "c"}],
        {"type": "message.output.delta", "id": "msg_1", "content": WORD, "model": "mistral-medium", "output_index": 0,
         "role": "assistant", "created_at": "2026-11-21T12:00:00.123456Z"},
        [{"type": "conversation.response.done", "usage": USED}], "named"),
    "DashScope": Stream(
        "https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation", [],
        {"output": {"choices": [{"message": {"content": WORD, "role": "assistant"}, "finish_reason": "null"}]},
         "usage": {"total_tokens": 15, "output_tokens": 3, "input_tokens": 12}, "request_id": "r-1"},
        [{"output": {"choices": [{"message": {"content": "", "role": "assistant"}, "finish_reason": "stop"}]},
          "usage": {"total_tokens": 21, "output_tokens": 9, "input_tokens": 12}, "request_id": "r-1"}]),
}


if __name__ == "__main__":
    main()
