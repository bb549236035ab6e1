"""Scalar facts of a span: models, provider, times, cost, properties."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from llm import loose, providers, semconv
from llm.spans.span import Span, as_text, nano_usd, unpacked, unquoted
from llm.spans.wire import Wire

MAX_PROPERTY: Final = 1024
NOBODY_SAYS: Final = "custom"
"""Langfuse names no provider. Priced by the model's name alone, as what the log doors take without saying by whom."""
MAX_PROPERTIES: Final = 200
MAX_TEXT: Final = 512
"""Of a model's, a session's or a user's name."""
_PARAMETERS: Final = ("llm.invocation_parameters", "langfuse.observation.model.parameters")
_PACKED: Final = (
    *_PARAMETERS, "request_data", "input.value", "gcp.vertex.agent.llm_request", "mlflow.spanInputs",
    "braintrust.metadata",
)  # fmt: skip
"""What holds a model's name inside of it."""
_REPLIES: Final = ("gen_ai.output.messages", "genkit:output", "gen_ai.completion", "response_data")


def short(value: str | None) -> str | None:
    return value[:MAX_TEXT] if value else None


def request_model(span: Span, wire: Wire | None) -> str | None:
    asked = span.text(semconv.REQUEST_MODEL)
    if asked is None and wire is not None:
        asked = wire.reading.request_model
    return short(asked or _packed_model(span) or span.text(semconv.ANY_MODEL) or _genkit(span)[1])


def _genkit(span: Span) -> tuple[str, str]:
    """(provider, model) of Genkit's `googleai/gemini-2.5-flash`."""
    named, _, model = (span.text(("genkit:name",)) or "").partition("/")
    return (named, model) if model else ("", named)


def _packed_model(span: Span) -> str | None:
    for name in span.shape.present(_PACKED):
        packed = loose.mapping(span.value(name))
        if found := loose.name(packed.get("model")) or loose.name(packed.get("model_name")):
            return found
    return None


def response_model(span: Span, wire: Wire | None) -> str | None:
    return short(span.text(semconv.RESPONSE_MODEL) or (wire.reading.response_model if wire else None))


def response_id(span: Span, wire: Wire | None) -> str | None:
    return short(span.text(semconv.RESPONSE_ID) or (wire.reading.provider_response_id if wire else None))


def service_tier(span: Span, wire: Wire | None) -> str | None:
    said = span.text(semconv.SERVICE_TIER) or (wire.reading.service_tier if wire else None)
    if said:
        return short(said)
    for told in loose.mapping(span.value("ai.response.providerMetadata")).values():
        usage = loose.mapping(loose.mapping(told).get("usage"))
        if tier := loose.name(loose.mapping(told).get("serviceTier")) or loose.name(usage.get("service_tier")):
            return short(tier)
    return None


def finish_reason(span: Span, wire: Wire | None) -> str | None:
    if wire is not None and wire.reading.finish_reason:
        return wire.reading.finish_reason
    said = unpacked(span.first(semconv.FINISH_REASON))
    if isinstance(said, list):
        said = next((item for item in said if item), None)
    if isinstance(said, str):
        return short(said)
    return _packed_finish(span)


def _packed_finish(span: Span) -> str | None:
    for name in span.shape.present(_REPLIES):
        value = span.value(name)
        reply = loose.first(value) if isinstance(value, list) else loose.mapping(value)
        if said := loose.name(reply.get("finish_reason")) or loose.name(reply.get("finishReason")):
            return short(said)
    for event in span.events:
        if event.get("name") == "gen_ai.choice":
            told = loose.mapping(event.get("attributes"))
            told = {**loose.mapping(unpacked(told.get("gen_ai.event.content"))), **told}
            return short(as_text(told.get("finish_reason")))
    indexed = (span.attributes.get(f"{family}.0.finish_reason") for family in ("gen_ai.completion", "llm.completions"))
    return short(next((said for said in indexed if isinstance(said, str) and said), None))


def is_stream(span: Span, wire: Wire | None) -> bool:
    if span.first(semconv.IS_STREAM) is True or (wire is not None and wire.request.get("stream") is True):
        return True
    if any(loose.mapping(span.value(name)).get("stream") is True for name in span.shape.present(_STREAM_FLAGS)):
        return True
    if span.first(semconv.FIRST_TOKEN_SECONDS) is not None or span.first(semconv.FIRST_TOKEN_AT) is not None:
        return True  # whoever knows when the first chunk came has streamed
    named = (span.name, span.text(("ai.operationId", "operation.name")), span.text(("code.function.name",)))
    return any(_STREAMED.search(name) for name in named if name)


_STREAM_FLAGS: Final = ("request_data", "llm.invocation_parameters")
_STREAMED: Final = re.compile(r"[sS]tream(?: |$)|^streaming response ")


# --- provider ---------------------------------------------------------------------------------------------------------


def provider(span: Span) -> str:
    """Of a call: its slug as named, else as the host says, else the name as sent; `custom` where nobody says."""
    names = ((as_text(span.attributes[name]) or "").lower() for name in span.shape.present(semconv.PROVIDER))
    said = next((name for name in names if name and name not in semconv.FRAMEWORKS), "") or _genkit(span)[0].lower()
    told = (loose.text(span.attributes[name]) for name in span.shape.present(semconv.HOST))
    return _provider(said[:MAX_TEXT], tuple(host[:MAX_TEXT] for host in told if host)) or NOBODY_SAYS


@lru_cache(maxsize=1024)
def _provider(said: str, told: tuple[str, ...]) -> str:
    at = next((found for host in map(_hostname, told) if host and (found := providers.by_host(host))), None)
    for name in (said, said.partition(".")[0], said.replace("_", "-")):
        if name and (slug := _slugs().get(name)):
            return at.slug if at and at.slug.startswith(slug) else slug
    return at.slug if at else said


def _hostname(told: str) -> str | None:
    try:
        return urlsplit(told).hostname if "://" in told else told
    except ValueError:
        return None


@cache
def _slugs() -> Mapping[str, str]:
    own = {name: p.slug for p in providers.all_providers() for name in (p.slug, *p.otel_names)}
    return {**own, **semconv.PROVIDER_SLUGS}


# --- amounts and times ------------------------------------------------------------------------------------------------


def cost(span: Span) -> int | None:
    """In nano-USD. A total given as 0 beside tokens is no answer: llm.pricing passes it on."""
    details = loose.mapping(span.value("langfuse.observation.cost_details"))
    if details:
        parts = [n for key, value in details.items() if key != "total" and (n := nano_usd(value)) is not None]
        return nano_usd(details["total"]) if details.get("total") is not None else sum(parts) if parts else None
    if (told := nano_usd(span.first(semconv.COST_USD))) is not None:
        return told
    if (hidden := loose.mapping(span.value("hidden_params")).get("response_cost")) is not None:
        return nano_usd(hidden)
    sides = [nano_usd(span.attributes.get(f"gen_ai.usage.{side}_cost")) for side in ("input", "output")]
    return sum(side or 0 for side in sides) if any(side is not None for side in sides) else None


def first_token_ms(span: Span) -> int | None:
    if (seconds := span.first(semconv.FIRST_TOKEN_SECONDS)) is not None:
        return _whole(seconds, 1000)
    if (ms := span.first(semconv.FIRST_TOKEN_MS)) is not None:
        return _whole(ms, 1)
    chunks = (e for e in span.events if loose.text(e.get("name")) in semconv.FIRST_CHUNK_EVENTS)
    chunk = next(chunks, {}).get("time_ns")
    if isinstance(chunk, int) and span.start_ns is not None:
        return _whole((chunk - span.start_ns) / 1e6, 1)
    told = span.text(semconv.FIRST_TOKEN_AT)
    return _since_start(told.strip('"'), span) if told else None


def _whole(value: Any, factor: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value * factor < 2**31:
        return None
    return round(value * factor)


def _since_start(moment: str, span: Span) -> int | None:
    try:
        at = datetime.fromisoformat(moment[:40])
        return _whole(at.timestamp() * 1000 - span.start_ns / 1e6, 1) if span.start_ns else None
    except (ValueError, OverflowError, OSError):
        return None


# --- properties -------------------------------------------------------------------------------------------------------

_FACTS: Final = (
    ("environment", semconv.ENVIRONMENT), ("release", semconv.RELEASE), ("service", semconv.SERVICE),
)  # fmt: skip


def properties(span: Span) -> dict[str, str]:
    """Metadata and tags as text by key; what has a place of its own is left out."""
    found: dict[str, str] = {}
    for name in span.shape.present(semconv.METADATA):
        _take(found, loose.mapping(span.value(name)))
    for key, prefix in span.shape.under(semconv.METADATA_PREFIXES):
        value = span.attributes[key]
        # Langfuse 5 puts texts in quotes, its older ones do not.
        _take(found, {key[len(prefix) :]: unquoted(value) if prefix.startswith("langfuse.") else value})
    if tags := _tags(unpacked(span.anywhere(semconv.TAGS))):
        found.setdefault("tags", tags)
    for key, names in _FACTS:
        if said := span.text_anywhere(names):
            found.setdefault(key, said[:MAX_PROPERTY])
    return found


def _tags(said: Any) -> str:
    if isinstance(said, str):
        return said[:MAX_PROPERTY]
    return ", ".join(str(tag)[:MAX_PROPERTY] for tag in said[:100])[:MAX_PROPERTY] if isinstance(said, list) else ""


def _take(found: dict[str, str], said: Mapping[str, Any]) -> None:
    for key, value in said.items():
        if len(found) >= MAX_PROPERTIES:
            return
        if not key or key.lower() in semconv.NOT_PROPERTIES or key.startswith("Helicone-"):
            continue
        if value in (None, "", [], {}):
            continue
        found.setdefault(key[:200], (value if isinstance(value, str) else loose.compact(value))[:MAX_PROPERTY])
