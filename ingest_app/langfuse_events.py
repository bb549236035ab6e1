"""Langfuse's own events as span documents, and its scores as late facts.

    trace-create                                    the root of its trace; an observation without parent hangs below it
    span|generation|event|agent|…-create, -update   the span of that id; an update may come before what it updates
    observation-create, -update                     the same, its kind told by `type`
    score-create                                    a score of an observation, or of a trace's root
    sdk-log                                         nothing

Ids that are no OpenTelemetry ids become such, always the same ones, and stand beside as attributes.
https://api.reference.langfuse.com/#tag/ingestion
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from ingest_app import directives, merging
from ingest_app.otlp_document import VERSION, Document, identifier, plain, slim
from ingest_app.posting import NotAccepted
from ingest_app.records import LARGEST_SCORE, Amendment, of_step
from lib import loose_json
from lib.clock import microseconds
from lib.frozen import dataclass

Told = Mapping[str, Any]
SCOPE: Final = {"name": "langfuse"}
_KINDS: Final = frozenset({
    "span", "generation", "event", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail",
    "observation",
})  # fmt: skip
_PLAIN_KINDS: Final = frozenset({"span", "observation"})
_OF_OBSERVATION: Final = {
    "input": "input", "output": "output", "model": "model.name", "modelParameters": "model.parameters",
    "level": "level", "statusMessage": "status_message", "promptName": "prompt.name", "promptVersion": "prompt.version",
    "completionStartTime": "completion_start_time", "costDetails": "cost_details",
}  # fmt: skip
_OF_TRACE: Final = {
    "input": "trace.input", "output": "trace.output", "tags": "trace.tags", "public": "trace.public",
    "name": "trace.name", "userId": "user.id", "sessionId": "session.id", "release": "release",
}  # fmt: skip
_OF_BOTH: Final = {"version": "version", "environment": "environment"}
_COUNTS: Final = {
    "input": "input", "output": "output", "total": "total", "promptTokens": "input", "completionTokens": "output",
    "totalTokens": "total",
}  # fmt: skip
_COSTS: Final = {"inputCost": "input", "outputCost": "output", "totalCost": "total"}
_TRUE: Final = {"true": 1, "false": 0}


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a batch."""

    type: str
    body: Told
    told_ns: int
    """When it was said, by its own clock."""

    @property
    def kind(self) -> str:
        return self.type.rpartition("-")[0]


def read(entry: Any, *, place: int, arrived_at: datetime) -> Event:
    """The entry at a place of its batch. Raises NotAccepted."""
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise NotAccepted('An event is an object: {"id", "type", "timestamp", "body"}.')
    kind, _, what = entry["type"].rpartition("-")
    is_known = (kind in _KINDS and what in ("create", "update")) or entry["type"] in _OTHERS
    if not is_known:
        raise NotAccepted(f"Events of the type {entry['type'][:50]!r} are not known here.")
    if not isinstance(entry.get("body"), dict):
        raise NotAccepted("An event's body is an object.")
    at = nanoseconds(entry.get("timestamp")) or microseconds(arrived_at) * 1000
    return Event(entry["type"], entry["body"], at + min(place, 999))


_OTHERS: Final = frozenset({"trace-create", "score-create", "sdk-log"})


# --- ids --------------------------------------------------------------------------------------------------------------


def text_id(value: Any) -> str:
    """An id as text; '' for none."""
    is_one = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip()[: directives.MAX_ID] if is_one else ""


def trace_id(name: str) -> str:
    """A trace's id as OpenTelemetry's: itself, a UUID without dashes, else a hash."""
    if found := identifier(name, 16) if len(name) == 32 else "":
        return found
    try:
        return UUID(name).hex
    except ValueError:
        return _hashed("trace", name, 16)


def span_id(name: str) -> str:
    return (identifier(name, 8) if len(name) == 16 else "") or _hashed("observation", name, 8)


def root_id(trace: str) -> str:
    """The span that stands for a whole Langfuse trace."""
    return _hashed("root", trace, 8)


def _hashed(what: str, name: str, size: int) -> str:
    return sha256(f"langfuse {what}:{name}".encode("utf-8", "replace")).hexdigest()[: size * 2]


# --- documents --------------------------------------------------------------------------------------------------------


def documents(events: Iterable[Event]) -> list[Document]:
    """One of each span the events tell of: traces and observations, in the order of their first event."""
    found: dict[tuple[str, str], list[Document]] = {}
    for event in events:
        if event.type == "trace-create":
            _add(found, _trace(event))
        elif event.kind in _KINDS:
            document = _observation(event)
            _add(found, document)
            _add(found, _seen_root(event, document))
    return [merging.merged(told) for told in found.values()]


def _add(found: dict[tuple[str, str], list[Document]], document: Document) -> None:
    found.setdefault((document["trace_id"], document["span_id"]), []).append(document)


def _trace(event: Event) -> Document:
    body = event.body
    name = text_id(body.get("id"))
    if not name:
        raise NotAccepted("A trace needs an id.")
    attributes = _named(body, _OF_TRACE, "langfuse.") | _named(body, _OF_BOTH, "langfuse.")
    attributes |= _metadata(body, "langfuse.trace.metadata")
    seen = {"langfuse.observation.type": "span", **_kept_id("langfuse.trace.id", name, trace_id(name))}
    return _document(event, {
        "trace_id": trace_id(name), "span_id": root_id(name), "name": _text(body.get("name")),
        "start_ns": nanoseconds(body.get("timestamp")),
    }, attributes, seen)  # fmt: skip


def _observation(event: Event) -> Document:
    body = event.body
    name = text_id(body.get("id"))
    if not name:
        raise NotAccepted("An observation needs an id.")
    trace = text_id(body.get("traceId")) or name
    parent = text_id(body.get("parentObservationId"))
    attributes = _named(body, _OF_OBSERVATION, "langfuse.observation.") | _named(body, _OF_BOTH, "langfuse.")
    attributes |= _metadata(body, "langfuse.observation.metadata") | _usage(body)
    kind = _kind(event)
    if kind not in _PLAIN_KINDS or event.type == "span-create":
        attributes["langfuse.observation.type"] = kind
    seen = {
        **_kept_id("langfuse.observation.id", name, span_id(name)),
        **_kept_id("langfuse.trace.id", trace, trace_id(trace)),
    }
    if kind == "span":
        seen["langfuse.observation.type"] = "span"
    return _document(event, {
        "trace_id": trace_id(trace), "span_id": span_id(name), "name": _text(body.get("name")),
        "parent_span_id": span_id(parent) if parent else "",
        "start_ns": nanoseconds(body.get("startTime")), "end_ns": nanoseconds(body.get("endTime")),
        "status": _status(body),
    }, attributes, seen | ({} if parent else {"parent": root_id(trace)}))  # fmt: skip


def _document(event: Event, fields: Mapping[str, Any], attributes: Mapping[str, Any], seen: dict[str, Any]) -> Document:
    """`seen` is what nobody told: any word beats it."""
    ids = {"v": VERSION, "trace_id": fields["trace_id"], "span_id": fields["span_id"], "kind": 1, "scope": SCOPE}
    said = slim({key: value for key, value in fields.items() if key not in ids})
    told = [*said, *(f"attributes.{key}" for key in attributes)]
    if parent := seen.pop("parent", None):
        said.setdefault("parent_span_id", parent)
    said.setdefault("start_ns", said.get("end_ns", event.told_ns))
    return {
        **ids, **said, "attributes": {**seen, **attributes}, "told": dict.fromkeys(told, event.told_ns),
    }  # fmt: skip


def _seen_root(event: Event, observation: Document) -> Document:
    """The trace an observation is in, as far as the observation shows it."""
    trace = text_id(event.body.get("traceId")) or text_id(event.body.get("id"))
    seen = {"langfuse.observation.type": "span", **_kept_id("langfuse.trace.id", trace, trace_id(trace))}
    return {
        "v": VERSION, "trace_id": observation["trace_id"], "span_id": root_id(trace), "kind": 1, "scope": SCOPE,
        "start_ns": observation["start_ns"], "end_ns": observation.get("end_ns", observation["start_ns"]),
        "attributes": seen, "told": {},
    }  # fmt: skip


def _kind(event: Event) -> str:
    if event.kind != "observation":
        return event.kind
    said = event.body.get("type")
    return said.lower() if isinstance(said, str) and said.lower() in _KINDS else "observation"


def _status(body: Told) -> Document:
    if body.get("level") != "ERROR":
        return {}
    return slim({"code": 2, "message": _text(body.get("statusMessage"))})


def _kept_id(key: str, name: str, made: str) -> dict[str, str]:
    return {key: name} if name != made else {}


def _named(body: Told, names: Mapping[str, str], prefix: str) -> dict[str, Any]:
    return {prefix + name: plain(value) for key, name in names.items() if (value := body.get(key)) is not None}


def _metadata(body: Told, prefix: str) -> dict[str, Any]:
    """Each entry for itself: an update adds to what was said before."""
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        return {f"{prefix}.{key}": plain(value) for key, value in metadata.items() if value is not None}
    return {} if metadata is None else {f"{prefix}.metadata": plain(metadata)}


def _usage(body: Told) -> dict[str, Any]:
    """Counts and cost; what is counted in other units than tokens stays apart, in its own words."""
    found: dict[str, Any] = {}
    usage, details = body.get("usage"), body.get("usageDetails")
    if isinstance(usage, dict):
        unit = usage.get("unit") or "TOKENS"
        counts = {_COUNTS[key]: value for key, value in usage.items() if key in _COUNTS and value is not None}
        costs = {name: usage[key] for key, name in _COSTS.items() if usage.get(key) is not None}
        found |= {"langfuse.observation.cost_details": costs} if costs and not body.get("costDetails") else {}
        if unit != "TOKENS":
            found["langfuse.observation.usage_in_units"] = plain(usage)
        elif not isinstance(details, dict) or not details:
            details = counts or usage
    if isinstance(details, dict) and details:
        found["langfuse.observation.usage_details"] = plain(details)
    return found


def _text(value: Any) -> str:
    return value[: directives.MAX_ID] if isinstance(value, str) else ""


def nanoseconds(value: Any) -> int | None:
    """A time in ISO 8601, without a zone in UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip()[:40])
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        at = microseconds(moment) * 1000
    except (ValueError, OverflowError):
        return None
    return at if at > 0 else None


# --- scores -----------------------------------------------------------------------------------------------------------


def score(body: Told, *, organization_id: int, told_at: datetime) -> Amendment:
    """A score as a late fact: a number, or a label, which is a property. Raises NotAccepted."""
    name = directives.cleaned(body["name"]) if isinstance(body.get("name"), str) else ""
    trace = text_id(body.get("traceId"))
    if not name or len(name) > directives.MAX_PROPERTY_KEY - len("score..comment"):
        raise NotAccepted("A score needs a name, of at most 180 characters.")
    if not trace:
        raise NotAccepted("A score needs a traceId: scores of sessions and of dataset runs are not kept here.")
    observation = text_id(body.get("observationId"))
    step = f"{trace_id(trace)}:{span_id(observation) if observation else ''}"
    value = _value(body)
    labels = {f"score.{name}".lower(): value} if isinstance(value, str) else {}
    if isinstance(body.get("comment"), str) and body["comment"]:
        labels[f"score.{name}.comment".lower()] = body["comment"]
    kept = {key: directives.cleaned(text)[: directives.MAX_PROPERTY_VALUE] for key, text in labels.items()}
    scores = None if isinstance(value, str) else {name: value}
    return Amendment(organization_id, of_step(step), told_at, kept or None, scores, step)


def _value(body: Told) -> float | str:
    value, kind = body.get("value"), body.get("dataType")
    if isinstance(value, str) and kind == "BOOLEAN" and value.lower() in _TRUE:
        return _TRUE[value.lower()]
    if isinstance(value, str) and kind == "NUMERIC":
        try:
            value = float(value)
        except ValueError:
            value = math.nan
    if isinstance(value, str) and directives.cleaned(value):
        return value
    if isinstance(value, bool | int | float) and math.isfinite(value) and abs(value) <= LARGEST_SCORE:
        return int(value) if float(value).is_integer() else value
    raise NotAccepted("A score's value is a number, a boolean, or a label.")


def loaded(body: bytes) -> Any:
    """The JSON of a posting. Raises NotAccepted."""
    try:
        return loose_json.loads(body)[0]
    except ValueError as error:
        raise NotAccepted(f"The body is not valid JSON: {error}.") from None
