"""What the drawer shows of a step beside its conversation: what a search found, and all that a span's document says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llm import loose, retrieval
from llm.exchange import MODEL_KINDS, Usage
from llm.retrieval import Document
from llm.spans import reading, showing
from llm.spans.span import unpacked
from requests_app import bodies
from requests_app.bodies import Bodies
from requests_app.rows import RequestRow

SPAN_DIALECT: Final = "otlp_span"
EVENT_DIALECT: Final = "helicone_event"
MOST_EVENTS: Final = 200
MOST_LINKS: Final = 100
LONGEST_DOCUMENT: Final = 4_000
LONGEST_STACK: Final = 20_000
TABS: Final = {"tool": "Tool", "retriever": "Search", "agent": "Agent", "event": "Event"}
"""What the first tab is called of steps that call no model; others are steps."""
_COUNTS: Final = (
    ("Input tokens", "input_tokens"), ("Output tokens", "output_tokens"), ("Cached input tokens", "cache_read_tokens"),
    ("Reasoning tokens", "reasoning_tokens"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    after_ms: float | None
    """From the start of its span."""
    attributes: Mapping[str, Any]
    stack: str = ""
    """An exception's, and its type and message as the attributes have them."""

    @property
    def is_exception(self) -> bool:
        return self.name == "exception"


@dataclass(frozen=True, slots=True)
class Link:
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A span's document as it is told, JSON within texts unfolded."""

    attributes: Mapping[str, Any]
    scope: Mapping[str, Any]
    resource: Mapping[str, Any]
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    is_open: bool
    told_parts: int
    """Events and links, for the tab's label."""


@dataclass(frozen=True, slots=True)
class Step:
    tab: str
    documents: tuple[Document, ...]
    """Of a search; each text cut to what a page holds."""
    query: str
    span: Span | None
    reported: tuple[tuple[str, int], ...]
    """Counts that a step around other steps reports of them: shown, and in no sum."""
    reported_nano_usd: int | None
    best_score: float

    @property
    def is_large(self) -> bool:
        return any(len(document.text) >= LONGEST_DOCUMENT for document in self.documents)


def step(row: RequestRow, found: Bodies) -> Step:
    """Of a row of any kind; what there is nothing of is empty."""
    document = bodies.json_of(found.request) if row.dialect == SPAN_DIALECT else None
    document = document if isinstance(document, dict) else None
    query, documents = _search(row, found, document) if row.kind == "retriever" else ("", ())
    reported, nano_usd = _reported(document) if document and row.kind not in MODEL_KINDS else (Usage(), None)
    return Step(
        tab="Conversation" if row.kind in MODEL_KINDS else TABS.get(row.kind, "Step"),
        documents=documents, query=query, span=_span(document) if document else None,
        reported=tuple((words, n) for words, name in _COUNTS if (n := getattr(reported, name)) is not None),
        reported_nano_usd=nano_usd,
        best_score=max((one.score for one in documents if one.score is not None), default=0.0),
    )  # fmt: skip


def _search(row: RequestRow, found: Bodies, document: Mapping[str, Any] | None) -> tuple[str, tuple[Document, ...]]:
    """What was looked for, and what was found."""
    if document is not None:
        asked, answered = showing.bodies(document, reading.read(document))
        sought, brought = asked.get("input"), answered.get("output")
    elif row.dialect == EVENT_DIALECT:
        sought, brought = bodies.json_of(found.request), bodies.json_of(found.response)
    else:
        return "", ()
    shown = tuple(Document(one.text[:LONGEST_DOCUMENT], one.id, one.score) for one in retrieval.documents(brought))
    return _query(sought)[:LONGEST_DOCUMENT], shown


def _query(sought: Any) -> str:
    if isinstance(sought, Mapping):
        named = (sought[key] for key in ("query", "text", "input", "question") if isinstance(sought.get(key), str))
        return next(named, loose.pretty(sought))
    return sought if isinstance(sought, str) else "" if sought is None else loose.pretty(sought)


def _reported(document: Mapping[str, Any]) -> tuple[Usage, int | None]:
    """What it says it used: as a step around others, or as the model call it was taken for by its SDK."""
    read = reading.read(document)
    if read.span is not None and read.span.reported is not None:
        return read.span.reported, read.span.reported_nano_usd
    return read.usage, read.provider_cost_nano_usd


def _span(document: Mapping[str, Any]) -> Span:
    start = document.get("start_ns")
    events = tuple(_events(document, start if isinstance(start, int) else None))
    links = tuple(
        Link(loose.text(link.get("trace_id")), loose.text(link.get("span_id")), loose.mapping(link.get("attributes")))
        for link in loose.mappings(document.get("links"))[:MOST_LINKS]
    )
    return Span(
        attributes=_unfolded(document.get("attributes")), scope=loose.mapping(document.get("scope")),
        resource=_unfolded(document.get("resource")), events=events, links=links,
        is_open=start is not None and document.get("end_ns") is None, told_parts=len(events) + len(links),
    )  # fmt: skip


def _events(document: Mapping[str, Any], start_ns: int | None) -> Iterator[Event]:
    for event in loose.mappings(document.get("events"))[:MOST_EVENTS]:
        attributes, at = _unfolded(event.get("attributes")), event.get("time_ns")
        stack = loose.text(attributes.pop("exception.stacktrace", ""))
        after = (at - start_ns) / 1e6 if isinstance(at, int) and start_ns is not None else None
        yield Event(loose.text(event.get("name")) or "event", after, attributes, stack[:LONGEST_STACK])


def _unfolded(attributes: Any) -> dict[str, Any]:
    return {key: unpacked(value) for key, value in sorted(loose.mapping(attributes).items())}
