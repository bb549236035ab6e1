"""Recorded spans, what their answer key says of them, and where the key is not followed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ingest_app import otlp
from ingest_app.otlp_document import Document, document, json_attributes
from ingest_app.posting import Posting
from llm.exchange import MODEL_KINDS, Reading, Usage
from llm.spans import reading

Record = Mapping[str, Any]

KINDS: Final[Mapping[str | None, frozenset[str]]] = {
    "chat": frozenset({"llm"}), "LLM": frozenset({"llm"}), "generation": frozenset({"llm"}),
    "generate_content": frozenset({"llm"}), "text_completion": frozenset({"llm"}),
    "embeddings": frozenset({"embedding"}), "embedding": frozenset({"embedding"}),
    "image_generation": frozenset({"image"}), "execute_tool": frozenset({"tool"}), "TOOL": frozenset({"tool"}),
    "tool": frozenset({"tool"}), "ai.toolCall": frozenset({"tool"}), "invoke_agent": frozenset({"agent"}),
    "AGENT": frozenset({"agent"}), "CHAIN": frozenset({"chain"}), "task": frozenset({"chain"}),
    "workflow": frozenset({"workflow"}), "retriever": frozenset({"retriever"}), "span": frozenset({"span"}),
    **{name: frozenset({"chain"}) for name in (
        "ai.embed", "ai.generateObject", "ai.generateText", "ai.streamText",
    )},
    **{name: frozenset({"llm"}) for name in (
        "ai.generateObject.doGenerate", "ai.generateText.doGenerate", "ai.streamText.doStream",
    )},
    "ai.embed.doEmbed": frozenset({"embedding"}),
}  # fmt: skip
"""What the key's `span_kind_hint` (the SDK's own word) is with us."""

COUNTS: Final[Mapping[str, Callable[[Usage], int | None]]] = {
    "prompt_tokens_total": lambda usage: usage.input_tokens,
    "completion_tokens_total": lambda usage: usage.output_tokens,
    "cache_read_tokens": lambda usage: usage.cache_read_tokens,
    "cache_write_tokens": lambda usage: usage.cache_write_tokens,
    "reasoning_tokens": lambda usage: usage.reasoning_tokens,
}
OF_CALLS: Final = ("request_model", "response_model", "finish_reason", "tool_names", "stream")


@dataclass(frozen=True, slots=True)
class Difference:
    record: Record
    fact: str
    ours: Any
    theirs: Any
    kind: str

    @property
    def dialect(self) -> str:
        return str(self.record["dialect"])

    @property
    def id(self) -> str:
        return str(self.record["id"])


def recorded(path: Path) -> Iterator[Record]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def document_of(record: Record) -> Document:
    """The span as the door would make it; some records are a span's attributes alone."""
    span = record["span"]
    scope, resource = record["scope"] or {}, record["resource"] or {}
    return document(
        span if {"attributes", "name"} & span.keys() else {"attributes": span},
        resource=json_attributes(resource.get("attributes"))[0],
        scope={"name": scope.get("name", ""), "attributes": json_attributes(scope.get("attributes"))[0]},
        attributes=json_attributes,
    )  # fmt: skip


def differences(record: Record) -> list[Difference]:
    truth = record["truth"]
    read = reading.read(document_of(record))
    ours, theirs = _ours(read), _theirs(truth)
    wanted = [fact for fact, value in theirs.items() if value is not None]
    if read.kind not in MODEL_KINDS:
        wanted = [fact for fact in wanted if fact not in OF_CALLS]
    found = [Difference(record, fact, ours[fact], theirs[fact], read.kind) for fact in wanted
             if ours[fact] != theirs[fact]]  # fmt: skip
    hint = truth.get("span_kind_hint")
    if hint is not None and read.kind not in KINDS[hint]:
        found.append(Difference(record, "kind", read.kind, hint, read.kind))
    return found


def _ours(read: Reading) -> dict[str, Any]:
    assert read.span is not None, "a span's reading has its facts"
    told = read.usage if read.kind in MODEL_KINDS else read.span.reported or Usage()
    cost = read.provider_cost_nano_usd if read.kind in MODEL_KINDS else read.span.reported_nano_usd
    return {
        **{name: count(told) for name, count in COUNTS.items()},
        "request_model": read.request_model, "response_model": read.response_model or read.request_model,
        "finish_reason": read.finish_reason, "tool_names": list(read.tool_calls) or None,
        "session_id": read.span.session_id, "user_id": read.span.end_user_id, "error_type": read.error_type,
        "failed_status": read.span.http_status, "stream": read.is_stream,
        "cost_usd": None if cost is None else round(cost / 1e9, 9),
    }  # fmt: skip


def _theirs(truth: Mapping[str, Any]) -> dict[str, Any]:
    cost, status = truth.get("cost_usd"), truth.get("http_status")
    return {
        **{name: truth.get(name, truth.get(name.removesuffix("_total"))) for name in COUNTS},
        **{name: truth.get(name) for name in (*OF_CALLS, "session_id", "user_id", "error_type")},
        "failed_status": status if status and status >= 400 else None, "stream": truth.get("stream"),
        "cost_usd": round(cost, 9) if isinstance(cost, float) else cost,
    }  # fmt: skip


# --- where the key is not followed ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Class:
    """Records and facts whose key asks for what their bytes do not say; docs/decisions has each."""

    name: str
    why: str
    holds: Callable[[Difference], bool]


def _text(one: Difference) -> str:
    return json.dumps(document_of(one.record), ensure_ascii=False)


def _is_untold(one: Difference) -> bool:
    """Nothing is read, and nothing in the bytes could be: a number that stands nowhere among them, or a 0 left out."""
    if one.ours is not None or one.fact not in COUNTS:
        return False
    return one.theirs == 0 or not any(str(one.theirs) == str(n) for n in _numbers(document_of(one.record)))


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield value


_NORMALISED: Final = {"openllmetry", "pydantic-ai", "vercel-ai-sdk", "otel-genai"}
_SERVER_TOOLS: Final = frozenset({"web_search_call", "bash_code_execution", "advisor"})
_NATIVE: Final = "com.anthropic.sdk.python"
"""Anthropic's own SDK: usage, and no text."""


def _is_native(one: Difference) -> bool:
    return (one.record["scope"] or {}).get("name") == _NATIVE


CLASSES: Final = (
    Class("placeholders", "the expectation of a project's own test, `<IsInt()>`, stands where a value was",
          lambda one: isinstance(one.theirs, str) and one.theirs.startswith("<")),
    Class("quoted reply", "a task, workflow or tool that only quotes a reply's id; it calls no model",
          lambda one: one.kind in ("chain", "workflow", "tool") and one.dialect in ("openllmetry", "vercel-ai-sdk")
          and one.ours is None),
    Class("unsaid", "the SDK leaves the count out, zeroes above all",
          lambda one: _is_untold(one) and one.kind in (*MODEL_KINDS, "agent")),
    Class("finish reason by another name", "the SDK writes its own word: `tool-calls`, `stop`, `tool_call`",
          lambda one: one.fact == "finish_reason" and one.ours is not None and one.dialect in _NORMALISED),
    Class("finish reason unsaid", "the SDK tells none: Langfuse 3 of unary calls, OTel of streams, Logfire of some",
          lambda one: one.fact == "finish_reason" and one.ours is None
          and one.dialect in ("langfuse", "otel-genai", "logfire")),
    Class("model as answered", "Langfuse and Logfire's stream logs keep one model's name alone",
          lambda one: one.fact in ("request_model", "response_model") and one.dialect in ("langfuse", "logfire")
          and one.ours == (one.record["truth"]["response_model"] if one.dialect == "langfuse"
                           else one.record["truth"]["request_model"])),
    Class("counted by the SDK", "OpenLLMetry counts the tokens of Anthropic's streams itself",
          lambda one: one.dialect == "openllmetry" and one.record["truth"].get("stream") is True
          and one.fact in ("prompt_tokens_total", "completion_tokens_total") and one.ours is not None),
    Class("thoughts left out", "OTel's Gemini instrumentation tells the candidates' tokens without the thoughts'",
          lambda one: one.dialect == "otel-genai" and one.fact == "completion_tokens_total"
          and one.ours == one.record["truth"]["completion_tokens"]),
    Class("tools unsaid", "no text is captured: OTel without content, and Anthropic's own spans",
          lambda one: one.fact == "tool_names" and one.ours is None
          and (one.dialect == "otel-genai" or _is_native(one))),
    Class("server tools", "tools the provider runs are left out, or go by the SDK's name: `web_search`",
          lambda one: one.fact == "tool_names" and set(one.theirs) <= _SERVER_TOOLS and one.dialect in _NORMALISED),
    Class("exception for error type", "the SDK writes its exception's class; the provider's type is in no byte",
          lambda one: one.fact == "error_type" and one.ours is not None and str(one.theirs) not in _text(one)),
    Class("status unsaid", "the AI SDK tells no HTTP status",
          lambda one: one.fact == "failed_status" and one.ours is None and one.dialect == "vercel-ai-sdk"),
    Class("stream handed on", "Logfire's span of a stream ends when the stream begins; a log of its own tells the call",
          lambda one: one.fact == "kind" and one.dialect == "logfire" and one.ours == "chain"),
    Class("stream unsaid", "the SDK does not say that it streamed",
          lambda one: one.fact == "stream" and one.ours is False),
)  # fmt: skip


def class_of(one: Difference) -> str | None:
    return next((known.name for known in CLASSES if known.holds(one)), None)


# --- whole exports ----------------------------------------------------------------------------------------------------


def exports(folder: Path) -> Iterator[tuple[Mapping[str, Any], list[Document], otlp.Account]]:
    """(its line of the index, its spans, what was refused) of every recorded export of spans."""
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if told["path"].endswith("/traces"):
            headers = {name.lower(): value for name, value in told["headers"].items()}
            account = otlp.Account()
            posting = Posting(told["path"], headers, (folder / told["file"]).read_bytes(), 1, 1, datetime.now(UTC))
            yield told, list(otlp.documents(posting, account)), account
