"""The record of a call whose answer was not passed on: a row of kind `attempt` under its request, in no count."""

from __future__ import annotations

from gateway_app import headers
from gateway_app.calling import Attempt
from gateway_app.capture import Facts
from ingest_app import records, traceparent
from ingest_app.spool import Record
from lib.clock import uuid7
from llm.exchange import ATTEMPT, ATTEMPT_OF, Body, Exchange, Reading


def record(attempt: Attempt, request: Facts, *, is_withheld: bool) -> Record:
    """Whole, in one record: nobody waits for it. The request's body is its request's, but for the model.

    `is_withheld`: nothing of the answer's text is kept.
    """
    ready, came = attempt.prepared, headers.recorded(attempt.headers)
    kept = b"" if is_withheld else attempt.body
    return records.whole(Exchange(
        id=uuid7(attempt.began_at), organization_id=request.organization_id, requested_at=attempt.began_at,
        door="gateway", provider=ready.provider, status=attempt.recorded_status, method=request.method,
        url=ready.recorded_url, duration_ms=attempt.duration_ms, api_key_id=request.api_key_id,
        request=Body(size=attempt.sent_bytes, state="omitted"),
        response=Body(
            kept, attempt.headers.get("content-type", ""), size=len(attempt.body),
            state="omitted" if is_withheld else "kept",
        ),
        request_headers={ATTEMPT_OF: str(request.id)}, response_headers=came,
        parent_span_id=traceparent.span_id(request.id),
        reading=Reading(
            kind=ATTEMPT, request_model=ready.candidate.model or None, error_type=attempt.error_type,
            error_message=None if is_withheld else attempt.message, finish_reason=attempt.then,
        ),
    ))
