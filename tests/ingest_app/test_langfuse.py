"""Langfuse's batches: events in any order, twice or in pieces, are the same trace; scores find what they are about."""

from __future__ import annotations

import base64
import json
import random
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings

from ingest_app import langfuse_events as events
from ingest_app import merging, records
from ingest_app.records import of_step
from ingest_app.spool import Entry
from llm.parse import parse
from tests.ingest_app.postings import KEY, NOW, Shelf, post
from tests.ingest_app.test_late_api import through as spooled
from tests.ingest_app.test_spans import db
from tests.ingest_app.test_traced_calls import through

__all__ = ["db"]
INGESTION, SCORES = "/api/public/ingestion", "/api/public/scores"
TRACE = "5f0c2a4e-1d7b-4c93-9a55-0a1b2c3d4e5f"


def event(number: int, kind: str, **body: Any) -> dict[str, Any]:
    return {"id": f"event-{number}", "type": kind, "timestamp": f"2026-11-18T11:59:{number:02}.500Z", "body": body}


BATCH = [
    event(1, "trace-create", id=TRACE, name="answer", userId="ada", sessionId="s-1", tags=["a", "b"],
          metadata={"tier": "gold"}, timestamp="2026-11-18T11:59:01Z"),
    event(2, "span-create", id="span-1", traceId=TRACE, name="retrieve", startTime="2026-11-18T11:59:02Z",
          input={"q": "fish"}),
    event(3, "generation-create", id="gen-1", traceId=TRACE, parentObservationId="span-1", name="llm",
          startTime="2026-11-18T11:59:03Z", model="gpt-4o-2024-08-06", modelParameters={"temperature": 0.5},
          input=[{"role": "user", "content": "What is a cod?"}], metadata={"step": 1}),
    event(4, "generation-update", id="gen-1", traceId=TRACE, endTime="2026-11-18T11:59:05Z", metadata={"last": True},
          completionStartTime="2026-11-18T11:59:03.250Z", output={"role": "assistant", "content": "A fish."},
          usage={"input": 200, "output": 5, "total": 205, "unit": "TOKENS", "totalCost": 0.25}),
    event(6, "span-update", id="span-1", traceId=TRACE, endTime="2026-11-18T11:59:06Z", output=["cod"]),
    event(7, "trace-create", id=TRACE, name="answers", output="A fish."),
    event(8, "sdk-log", log={"message": "hello"}),
]  # fmt: skip


def posted(batch: list[Any], **said: Any) -> tuple[dict[str, Any], Shelf]:
    shelf = Shelf()
    reply = post({"batch": batch}, path=INGESTION, shelf=shelf, **said)
    assert (reply.status, reply.headers["content-type"]) == (207, "application/json"), reply.body
    return orjson.loads(reply.body), shelf


def exchanges(*batches: list[Any]) -> list[Any]:
    return [exchange for batch in batches for exchange in posted(batch)[1].exchanges()]


def basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"pk-lf-1:{secret}".encode()).decode()


def test_every_event_is_answered_by_its_id():
    told, _ = posted(BATCH, key=None, authorization=basic(KEY))
    assert told == {"successes": [{"id": one["id"], "status": 201} for one in BATCH], "errors": []}


def test_a_bad_event_takes_none_beside_it_down():
    bad = [event(9, "dream-create", id="x"), "text", {"id": "e", "type": "span-create"}, event(9, "span-create"),
           event(9, "trace-create", id=None), event(9, "score-create", traceId=TRACE, name="x", value=[])]  # fmt: skip
    told, shelf = posted([BATCH[0], *bad, BATCH[2]])
    assert [one["id"] for one in told["successes"]] == ["event-1", "event-3"]
    assert [(one["id"], one["status"]) for one in told["errors"]] == [
        ("event-9", 400), ("", 400), ("e", 400), ("event-9", 400), ("event-9", 400), ("event-9", 400),
    ]  # fmt: skip
    assert all(one["message"] for one in told["errors"])
    assert len(shelf.records) == 2


@pytest.mark.parametrize("body", [b"[", b"[]", b'{"batch": 7}', b"{}"])
def test_what_is_no_batch_is_refused_in_langfuse_s_shape(body):
    reply = post(body, path=INGESTION)
    assert reply.status == 400
    assert orjson.loads(reply.body)["message"].endswith(".")


def test_a_wrong_key_is_a_401():
    assert post({"batch": []}, path=INGESTION, key=None, authorization=basic("sk-lf-2")).status == 401


def test_a_generation_reads_as_the_model_call_it_is():
    found = {one.span_id: one for one in exchanges(BATCH)}
    call = found[events.span_id("gen-1")]
    reading = parse(call)
    assert (call.trace_id, call.parent_span_id) == (TRACE.replace("-", ""), events.span_id("span-1"))
    assert (reading.kind, reading.response_model, call.duration_ms) == ("llm", "gpt-4o-2024-08-06", 2000)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (200, 5)
    assert reading.provider_cost_nano_usd == 250_000_000
    assert (reading.request_preview, reading.response_preview) == ("What is a cod?", "A fish.")
    assert reading.span is not None
    assert (reading.span.name, reading.span.time_to_first_token_ms) == ("llm", 250)
    assert {"step": "1", "last": "true"}.items() <= reading.span.properties.items()


def test_ids_that_are_otel_s_stay_and_others_become_such_for_ever():
    assert events.trace_id("2D711642b726b04401627ca9fbac32f5") == "2d711642b726b04401627ca9fbac32f5"
    assert events.trace_id(TRACE) == "5f0c2a4e1d7b4c939a550a1b2c3d4e5f"
    assert events.trace_id("my trace") == "e2266825a3addfdaf7b0c9e1609ca837"
    assert events.span_id("gen-1") == "a29b378d80090ac6"
    assert events.span_id("A48a3eb4c652ef5e") == "a48a3eb4c652ef5e"
    assert len({events.span_id("x"), events.trace_id("x")[:16], events.root_id("x")}) == 3


@pytest.mark.parametrize("seed", range(12))
def test_documents_merge_to_the_same_in_any_order_and_grouping(seed):
    chance = random.Random(seed)
    read = [events.read(one, place=0, arrived_at=NOW) for one in BATCH[:-1]]
    whole = {one["span_id"]: one for one in events.documents(read)}
    shuffled = chance.sample(read, len(read)) + chance.choices(read, k=3)
    merged: dict[str, dict[str, Any]] = {}
    while shuffled:
        taken = [shuffled.pop() for _ in range(min(len(shuffled), chance.randint(1, 4)))]
        for document in events.documents(taken):
            name = document["span_id"]
            merged[name] = merging.merge(document, merged[name]) if name in merged else document
    assert {name: flat(one) for name, one in merged.items()} == {name: flat(one) for name, one in whole.items()}


def flat(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)


# --- down the line ----------------------------------------------------------------------------------------------------


def rows(db: Any) -> Any:
    return db.execute(
        "SELECT span_id, parent_span_id, kind, name, session_id, end_user_id, input_tokens, cost_nano_usd, "
        "duration_ms, properties ->> 'tier', response_preview FROM llm_request ORDER BY span_id"
    ).fetchall()


SPAN, CALL, ROOT = events.span_id("span-1"), events.span_id("gen-1"), events.root_id(TRACE)
EXPECTED = sorted([
    (ROOT, None, "span", "answers", "s-1", "ada", None, None, 5000, "gold", "A fish."),
    (SPAN, ROOT, "span", "retrieve", "s-1", "ada", None, None, 4000, "gold", "cod"),
    (CALL, SPAN, "llm", "llm", "s-1", "ada", 200, 250_000_000, 2000, "gold", "A fish."),
])  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", [*permutations(range(3)), None])
def test_a_trace_told_in_batches_of_any_order_is_the_same(db, tmp_path, order):
    pieces = [BATCH[:2], BATCH[2:3], BATCH[3:]]
    told = exchanges(*(pieces[n] for n in order)) if order else exchanges(BATCH, BATCH[3:4], BATCH)
    through(tmp_path / "spool", told)
    found = sorted(rows(db))
    assert [row[:10] for row in found] == [row[:10] for row in EXPECTED]
    assert "cod" in found[[row[0] for row in found].index(SPAN)][10]


@pytest.mark.django_db(transaction=True)
def test_observations_whose_trace_nobody_made_hang_together_all_the_same(db, tmp_path):
    through(tmp_path / "spool", exchanges([BATCH[1], BATCH[2]]))
    assert [(row[0], row[1]) for row in sorted(rows(db))] == sorted([(ROOT, None), (SPAN, ROOT), (CALL, SPAN)])


# --- scores -----------------------------------------------------------------------------------------------------------


def facts(shelf: Shelf) -> list[Any]:
    return [records.read(Entry(one.kind, (1,), one.facts, b"", b"")) for one in shelf.records]


@pytest.mark.parametrize(("value", "scores", "properties"), [
    ({"value": 0.9}, {"quality": 0.9}, None),
    ({"value": 1, "dataType": "BOOLEAN"}, {"quality": 1}, None),
    ({"value": True}, {"quality": 1}, None),
    ({"value": "false", "dataType": "BOOLEAN"}, {"quality": 0}, None),
    ({"value": "0.5", "dataType": "NUMERIC"}, {"quality": 0.5}, None),
    ({"value": "Good", "dataType": "CATEGORICAL"}, None, {"score.quality": "Good"}),
    ({"value": 1, "comment": "well said"}, {"quality": 1}, {"score.quality.comment": "well said"}),
])  # fmt: skip
@pytest.mark.parametrize("path", [INGESTION, SCORES])
def test_a_score_is_a_late_fact_of_its_trace_or_observation(path, value, scores, properties):
    body = {"id": "a48a3eb4c652ef5e", "traceId": TRACE, "name": "quality", "observationId": "gen-1", **value}
    shelf = Shelf()
    said = {"batch": [event(1, "score-create", **body)]} if path == INGESTION else body
    reply = post(said, path=path, shelf=shelf)
    assert reply.status == (207 if path == INGESTION else 200)
    if path == SCORES:
        assert orjson.loads(reply.body) == {"id": "a48a3eb4c652ef5e"}
    (fact,) = facts(shelf)
    step = f"{TRACE.replace('-', '')}:{events.span_id('gen-1')}"
    assert (fact.organization_id, fact.step, fact.request_id) == (7, step, of_step(step))
    assert (fact.scores, fact.properties) == (scores, properties)


def test_a_list_of_scores_is_accepted_and_what_is_wrong_in_it_named():
    good, bad = {"traceId": TRACE, "name": "q", "value": 1}, {"sessionId": "s-1", "name": "q", "value": 1}
    reply = post([good, good], path=SCORES)
    assert (reply.status, orjson.loads(reply.body)) == (202, {"message": "Accepted"})
    shelf = Shelf()
    reply = post([good, bad, 7], path=SCORES, shelf=shelf)
    told = orjson.loads(reply.body)
    assert (reply.status, told["accepted"], told["rejected"], len(shelf.records)) == (207, 1, 2, 1)


@pytest.mark.django_db(transaction=True)
def test_a_trace_s_score_is_its_root_s(db, tmp_path):
    shelf = Shelf()
    post({"traceId": TRACE, "name": "quality", "value": 0.9}, path=SCORES, shelf=shelf)
    post({"batch": BATCH}, path=INGESTION, shelf=shelf)
    spooled(tmp_path / "spool", shelf.records)
    found = db.execute("SELECT span_id, scores FROM llm_request WHERE scores IS NOT NULL").fetchall()
    assert found == [(ROOT, {"quality": 0.9})]


def test_who_one_is_is_told_to_auth_check():
    reply = post(b"", path="/api/public/projects", method="GET")
    (project,) = orjson.loads(reply.body)["data"]
    assert (reply.status, project["id"]) == (200, "7")
    assert post(b"", path="/api/public/projects").status == 405


RAW = Path(settings.CORPUS_DIR) / "otlp_raw"


@pytest.mark.skipif(not RAW.is_dir(), reason="the corpus of recorded bodies is not here")
@pytest.mark.parametrize(("name", "path", "status"), [
    ("langfuse-v3-002.bin", INGESTION, 207), ("langfuse-v5-002.bin", SCORES, 202),
])  # fmt: skip
def test_what_its_sdks_really_post_is_taken(name, path, status):
    shelf = Shelf()
    assert post((RAW / name).read_bytes(), path=path, shelf=shelf).status == status
    (fact,) = facts(shelf)
    assert (fact.step, fact.scores) == ("2d711642b726b04401627ca9fbac32f5:", {"quality": 0.9})
