"""OTLP log records as spans' documents: events of a model call, and the steps coding agents tell by events alone.

    gen_ai.* that names its span       an event of that span: the line merges both, whichever comes first
    gen_ai.* that names none           a step of its own
    claude_code.*, codex.*             steps and model calls; one trace a prompt, or a conversation
    anything else                      not kept, counted

An event told twice is one: its id is made of what it says.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from ingest_app.otlp_document import VERSION, Document, identifier, slim, text, whole

NOT_KEPT: Final = "log_record_not_kept"
"""Of an application's own log, or a piece of a stream that says nothing."""
UNREADABLE: Final = "its log record says nothing"
_AGENT_SCOPES: Final = {"com.anthropic.claude_code.events": "claude_code."}
_AGENTS: Final = ("claude_code.", "codex.", "gemini_cli.", "qwen-code.")
_STEPS: Final = frozenset({"api_response", "api_error", "tool_call", "user_prompt", "agent.finish"})
"""Of Gemini's CLI: each call is told as a request, a reply, and again in the conventions' words; the reply counts."""
_TOLD_TWICE: Final = ("gemini_cli", "gemini-cli", "qwen-code")
_CONVERSATIONS: Final = ("session.id", "conversation.id")
_PIECES: Final = frozenset({"codex.sse_event", "codex.websocket_event"})
_SAYS_SOMETHING: Final = ("_token_count", "error.message", "error")
Values = Mapping[str, Any]


def document(
    record: Values, *, resource: Values, scope: Values, attributes: Callable[[Any], tuple[dict[str, Any], int]]
) -> Document | None:
    """The document of one log record by OTLP/JSON's names; None for one that is not kept."""
    said = attributes(record.get("attributes"))[0]
    name = _name(record, said, scope)
    told = {
        "trace_id": identifier(record.get("traceId"), 16), "span_id": identifier(record.get("spanId"), 8),
        "at": whole(record.get("timeUnixNano")) or whole(record.get("observedTimeUnixNano")),
    }  # fmt: skip
    if _is_told_twice(name, scope, resource):
        return None
    if name.startswith("gen_ai."):
        inner = {**said, **_body(record.get("body"))}
        inner.pop("event.name", None)
        found = _event(name, told, inner) if told["trace_id"] and told["span_id"] else _step(name, told, inner)
    elif name.startswith(_AGENTS) and not _is_piece(name, said):
        found = _step(name, told, said)
    else:
        return None
    return slim({**found, "scope": scope, "resource": resource})


def _name(record: Values, said: Values, scope: Values) -> str:
    """As the record, an attribute or its text tells it; Claude Code's events by their whole name."""
    body = text(record.get("body"))
    name = text(record.get("eventName")) or text(said.get("event.name"))
    if not name and body.startswith(("gen_ai.", *_AGENTS)):
        name = body
    prefix = _AGENT_SCOPES.get(text(scope.get("name")), "")
    return name if name.startswith(prefix) else prefix + name


def _is_told_twice(name: str, scope: Values, resource: Values) -> bool:
    agent, _, event = name.partition(".")
    if agent == "gen_ai":
        return text(scope.get("name")) in _TOLD_TWICE or text(resource.get("service.name")) in _TOLD_TWICE
    return agent in _TOLD_TWICE and event not in _STEPS


def _is_piece(name: str, said: Values) -> bool:
    """One of a stream's hundred events that carries neither counts nor an error."""
    return name in _PIECES and not any(key.endswith(_SAYS_SOMETHING) for key in said)


def _body(value: Any) -> Values:
    if isinstance(value, Mapping):
        return value
    return {} if value in (None, "") else {"body": value}


def _event(name: str, told: Values, said: Values) -> Document:
    """A span of which nothing is known but this event."""
    event = slim({"name": name, "time_ns": told["at"], "attributes": said})
    return {"v": VERSION, "trace_id": told["trace_id"], "span_id": told["span_id"], "events": [event]}


def _step(name: str, told: Values, said: Values) -> Document:
    """A span of its own, below the one it was told in. Agents tell a step when it is over."""
    end = told["at"]
    took = _nanoseconds(said.get("duration_ms"))
    status = {"code": 2, "message": _error(said)} if _is_failed(name, said) else {}
    found = {
        "v": VERSION, "trace_id": told["trace_id"] or _trace_id(said), "parent_span_id": told["span_id"],
        "name": name, "start_ns": end - took if end else None, "end_ns": end, "attributes": said,
        "status": slim(status),
    }  # fmt: skip
    found["span_id"] = _digest(found, 8)
    found["trace_id"] = found["trace_id"] or _digest(found, 16)
    return found


def _trace_id(said: Values) -> str:
    """Of a conversation, cut by prompts where they are told; '' without either."""
    conversation = next((text(said.get(key)) for key in _CONVERSATIONS if said.get(key)), "")
    prompt = text(said.get("prompt.id")) or text(said.get("prompt_id"))
    return _digest([conversation, prompt], 16) if conversation else ""


def _digest(value: Any, size: int) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)).digest()[:size].hex()


def _nanoseconds(milliseconds: Any) -> int:
    if isinstance(milliseconds, str):
        milliseconds = whole(milliseconds.partition(".")[0])
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return 0
    return int(milliseconds * 1e6) if 0 < milliseconds < 10**9 else 0


def _is_failed(name: str, said: Values) -> bool:
    return name.endswith("_error") or bool(_error(said)) or said.get("success") in (False, "false")


def _error(said: Values) -> str:
    return text(said.get("error.message")) or text(said.get("error"))
