"""However often a span is told, and in whatever order, its document stays bounded and is the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from ingest_app import langfuse_events, merging
from ingest_app.otlp_document import MAX_ATTRIBUTES, MAX_EVENTS

AT = datetime(2026, 11, 21, tzinfo=UTC)


def event(number: int) -> dict[str, Any]:
    return {"v": 1, "trace_id": "a" * 32, "span_id": "b" * 16, "events": [{"name": "said", "time_ns": number}]}


def test_a_span_told_a_thousand_times_more_than_is_kept_is_bounded_and_says_so():
    told = [event(number) for number in range(MAX_EVENTS + 1000)]
    found = merging.merged(told)
    assert [one["time_ns"] for one in found["events"]] == list(range(MAX_EVENTS))
    assert found["dropped"] == {"merged": 1}
    random.Random(3).shuffle(told)
    assert merging.merged(told) == found
    assert merging.merge(found, event(5000)) == found


def test_what_names_a_call_is_kept_before_metadata():
    metadata = {f"langfuse.observation.metadata.{n}": n for n in range(2 * MAX_ATTRIBUTES)}
    attributes = {**metadata, "langfuse.observation.output": "yes", "langfuse.observation.usage_details": {}}
    times = {f"attributes.{key}": 1 for key in metadata}
    found = merging.merged([{**event(1), "attributes": attributes, "told": times}])
    assert len(found["attributes"]) == MAX_ATTRIBUTES
    assert {"langfuse.observation.output", "langfuse.observation.usage_details"} <= found["attributes"].keys()
    assert found["told"].keys() <= {f"attributes.{key}" for key in found["attributes"]}


def test_of_what_is_too_long_together_the_one_that_ended_last_stands():
    open_one, ended = event(1), {**event(2), "end_ns": 9}
    found = merging.fullest([open_one, ended])
    assert found == merging.fullest([ended, open_one]) == merging.fullest([found, open_one])
    assert found == {**ended, "dropped": {"merged": 1}}


def test_a_batch_of_updates_merges_into_one_bounded_document():
    def update(number: int) -> langfuse_events.Event:
        body = {"id": "s", "traceId": "t", "metadata": {f"k{number}-{n}": n for n in range(500)}}
        entry = {"type": "span-update", "timestamp": f"2026-11-21T00:00:{number:02}Z", "body": body}
        return langfuse_events.read(entry, place=number, arrived_at=AT)

    [span, _] = langfuse_events.documents([update(number) for number in range(40)])
    assert len(span["attributes"]) == MAX_ATTRIBUTES
    assert len(span["told"]) <= MAX_ATTRIBUTES
