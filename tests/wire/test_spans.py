"""Spans as real SDKs exported them are read as their answer key has it, and each call counts once."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pytest
from django.conf import settings

from ingest_app.otlp_document import Document
from ingest_app.traces import Step, counts
from llm import render
from llm.exchange import MODEL_KINDS
from llm.spans import reading
from tests.wire import spans
from tests.wire.spans import CLASSES, class_of, differences, document_of, exports, recorded

FOLDER = Path(settings.CORPUS_DIR)
SPANS, RAW = FOLDER / "otel_spans.jsonl.gz", FOLDER / "otlp_raw"
pytestmark = pytest.mark.skipif(not SPANS.exists(), reason="recorded spans are not here (CORPUS_DIR)")


def test_every_span_is_read_as_its_key_has_it():
    found = [one for record in recorded(SPANS) for one in differences(record)]
    classes = Counter(class_of(one) for one in found)
    unexplained = [(one.id, one.kind, one.fact, one.ours, one.theirs) for one in found if class_of(one) is None]
    assert unexplained == []
    assert {known.name for known in CLASSES} == classes.keys(), "an exception is no longer needed"


def test_every_class_of_exceptions_is_explained_in_the_decisions():
    said = (Path(settings.BASE_DIR) / "docs/decisions/0009-spans.md").read_text(encoding="utf-8")
    assert [known.name for known in CLASSES if known.name not in said] == []


def test_every_span_has_bodies_and_a_conversation():
    for record in recorded(SPANS):
        data = orjson.dumps(document_of(record))
        request, reply = render.bodies(dialect="otlp_span", request=data, response=b"")
        assert orjson.dumps([request, reply])
        shown = render.shown(dialect="otlp_span", request=data, response=b"")
        assert shown.messages or shown.reply or not _says_something(record)


def _says_something(record: spans.Record) -> bool:
    attributes = document_of(record).get("attributes", {})
    return any("messages" in name or "input" in name.split(".")[-1:] for name in attributes)


def test_of_every_call_exactly_one_span_of_its_trace_counts():
    keys = {(Path(record["source_path"] or "").name, record["span"].get("spanId", "").lower()): record["truth"]
            for record in recorded(SPANS)}  # fmt: skip
    wrong = []
    for told, documents, account in exports(RAW):
        assert len(documents) == told.get("spans", len(documents))
        assert documents
        assert not account.refused
        calls, counted = defaultdict(set), Counter[str]()
        for trace_id, steps in _traces(documents).items():
            counted[trace_id] = sum(counts(steps).values())
            for step in steps:
                exchange_id = keys.get((told["file"], step.span_id), {}).get("exchange_id")
                calls[trace_id] |= {exchange_id} if exchange_id else set()
        wrong += [
            (told["file"], trace, found) for trace, found in calls.items() if found and counted[trace] != len(found)
        ]
    assert wrong == []


def test_a_trace_costs_what_its_calls_do():
    """No step but a model call has tokens of its own; what agents report stands beside."""
    for _, documents, _ in exports(RAW):
        for one in documents:
            read = reading.read(one)
            assert read.span is not None
            told = (read.usage.input_tokens, read.usage.output_tokens)
            assert (told == (None, None)) if read.kind not in MODEL_KINDS else read.span.reported is None


def _traces(documents: list[Document]) -> dict[str, list[Step]]:
    steps = defaultdict(list)
    for one in documents:
        read = reading.read(one)
        steps[one["trace_id"]].append(Step(
            one["span_id"], one.get("parent_span_id"), read.kind, "otlp", read.provider_response_id,
            len(read.usage.sent or ()),
        ))  # fmt: skip
    return steps
