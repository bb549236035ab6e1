"""Langfuse's public API as its SDKs write to it: batches of events, scores, and who one is.

    POST /api/public/ingestion   {"batch": [{"id", "type", "timestamp", "body"}]} → 207 {"successes", "errors"}
    POST /api/public/scores      one score → 200 {"id"}; a list of them → 202
    GET  /api/public/projects    the project of the keys: SDKs' auth_check
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from ingest_app import langfuse_events as events
from ingest_app import otlp
from ingest_app.directives import Directives
from ingest_app.langfuse_events import Event
from ingest_app.posting import Logged, NotAccepted, Posting, Taken, json_answer
from ingest_app.records import Amendment
from lib.clock import from_microseconds

INGESTION, SCORES, PROJECTS = "/api/public/ingestion", "/api/public/scores", "/api/public/projects"
PATHS: Final = {INGESTION: ("POST",), SCORES: ("POST",), PROJECTS: ("GET",)}
MOST_EVENTS: Final = 10_000
AHEAD: Final = timedelta(minutes=1)


def take(posting: Posting) -> Taken:
    """Raises NotAccepted."""
    try:
        return _TAKERS[posting.path](posting)
    except NotAccepted as reason:
        raise NotAccepted(str(reason), {"message": str(reason), "error": "InvalidRequestError"}) from None


def _batch(posting: Posting) -> Taken:
    told = events.loaded(posting.body)
    batch = told.get("batch") if isinstance(told, dict) else None
    if not isinstance(batch, list):
        raise NotAccepted('Post {"batch": [...]}, a list of events.')
    if len(batch) > MOST_EVENTS:
        raise NotAccepted(f"A batch holds at most {MOST_EVENTS} events. Send several.")
    read, amendments, errors = _read(batch, posting)
    logged = [Logged(otlp.exchange(document, posting), Directives()) for document in events.documents(read.values())]
    failed = {place for place, _ in errors}
    successes = [{"id": _id_of(entry), "status": 201} for place, entry in enumerate(batch) if place not in failed]
    refused = [
        {"id": _id_of(batch[place]), "status": 400, "message": reason, "error": reason} for place, reason in errors
    ]
    return Taken(logged, amendments, json_answer({"successes": successes, "errors": refused}, 207))


def _read(
    batch: Sequence[Any], posting: Posting
) -> tuple[dict[int, Event], list[Amendment], list[tuple[int, str]]]:
    """(events by place, late facts, places with what is wrong there): a bad event takes none beside it down."""
    read: dict[int, Event] = {}
    amendments: list[Amendment] = []
    errors: list[tuple[int, str]] = []
    for place, entry in enumerate(batch):
        try:
            event = events.read(entry, place=place, arrived_at=posting.arrived_at)
            if event.type == "score-create":
                amendments.append(_score(event.body, posting, told_ns=event.told_ns))
            else:
                events.documents([event])
                read[place] = event
        except NotAccepted as reason:
            errors.append((place, str(reason)))
    return read, amendments, errors


def _id_of(entry: Any) -> str:
    return events.text_id(entry.get("id")) if isinstance(entry, dict) else ""


def _scores(posting: Posting) -> Taken:
    told = events.loaded(posting.body)
    if isinstance(told, list):
        return _several_scores(told, posting)
    if not isinstance(told, dict):
        raise NotAccepted("A score is an object, or several are a list of objects.")
    answer = json_answer({"id": events.text_id(told.get("id")) or str(uuid4())})
    return Taken(amendments=[_score(told, posting)], answer=answer)


def _several_scores(bodies: Sequence[Any], posting: Posting) -> Taken:
    """202 where all were taken, else 207 with what is wrong with the others."""
    if len(bodies) > MOST_EVENTS:
        raise NotAccepted(f"At most {MOST_EVENTS} scores are taken at once. Send several lists.")
    amendments, errors = [], []
    for place, body in enumerate(bodies):
        try:
            amendments.append(_score(body, posting))
        except NotAccepted as reason:
            errors.append({"index": place, "message": str(reason)})
    if not errors:
        return Taken(amendments=amendments, answer=json_answer({"message": "Accepted"}, 202))
    counts = {"accepted": len(amendments), "rejected": len(errors), "errors": errors}
    return Taken(amendments=amendments, answer=json_answer(counts, 207))


def _score(body: Any, posting: Posting, *, told_ns: int | None = None) -> Amendment:
    """Raises NotAccepted."""
    if not isinstance(body, Mapping):
        raise NotAccepted("A score is an object.")
    told_ns = told_ns or events.nanoseconds(body.get("timestamp"))
    told_at = posting.arrived_at if told_ns is None else _moment(told_ns, posting.arrived_at)
    return events.score(body, organization_id=posting.organization_id, told_at=told_at)


def _moment(told_ns: int, arrived_at: datetime) -> datetime:
    """When it was said; no later than now, or it could never be said otherwise."""
    return min(from_microseconds(told_ns // 1000), arrived_at + AHEAD)


def _projects(posting: Posting) -> Taken:
    name = str(posting.organization_id)
    organization = {"id": name, "name": f"Organization {name}"}
    project = {"id": name, "name": "Helicone", "metadata": {}, "organization": organization}
    return Taken(answer=json_answer({"data": [project]}))


_TAKERS: Final = {INGESTION: _batch, SCORES: _scores, PROJECTS: _projects}
