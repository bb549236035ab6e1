"""What stands in a row, said in plain words: its state, why its cost is unknown, what was odd about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from llm.exchange import (
    ATTEMPT,
    MODEL_KINDS,
    STATUS_CANCELLED,
    STATUS_INTERRUPTED,
    STATUS_THREAT,
    STATUS_TIMEOUT,
    STATUS_UNKNOWN,
)
from llm.problems import CODES
from requests_app.rows import RequestRow, is_error

STATES = {
    STATUS_TIMEOUT: ("warning", "Timed out: the provider did not answer in time"),
    STATUS_CANCELLED: ("warning", "Cancelled: the client went away before the reply ended"),
    STATUS_THREAT: ("error", "Blocked as a threat"),
    STATUS_INTERRUPTED: ("warning", "Interrupted: the gateway's process ended before the reply did"),
    STATUS_UNKNOWN: ("hollow", "Status not known"),
}
SHORT = {
    STATUS_TIMEOUT: "timed out", STATUS_CANCELLED: "cancelled", STATUS_THREAT: "blocked",
    STATUS_INTERRUPTED: "interrupted", STATUS_UNKNOWN: "unknown",
}  # fmt: skip
COST_REASONS = {
    "no_price": "no price is known for this model: an operator can add one",
    "no_usage": "the reply tells no token counts",
    "no_model": "the model is not known",
    "not_a_model_call": "this step calls no model",
    "failed": "the call failed, and a failed call is not charged",
}
STREAM_WITHOUT_USAGE = (
    "the reply tells no token counts: streams of this kind tell them where asked to, "
    'with "stream_options": {"include_usage": true}'
)
COST_SOURCES = {
    "price": "tokens × the price list's price on that day",
    "provider": "as the provider stated it in its reply",
    "client": "as the client stated it",
    "cached": "answered from the cache, so nobody was paid",
}
PROBLEMS = {
    **CODES,
    "interrupted": "The gateway's process ended before the reply did; this is what was captured.",
    "directive_unreadable": "A Helicone header or meta entry has a value that means nothing; it was left out.",
    "directive_cut": "A Helicone header or meta entry is too long; its beginning was kept.",
    "property_cut": "A property's key or value is too long; its beginning was kept.",
    "too_many_properties": "More properties were sent than a request can hold; the first were kept.",
    "time_clamped": "Its time lay in the future or too far back; it was moved to the nearest time allowed.",
    "time_unreadable": "A time could not be read; the time of arrival, or none, stands instead.",
    "times_swapped": "The end was before the start; the two were exchanged.",
    "status_unreadable": "The status told is no HTTP status.",
    "cost_unreadable": "The cost told is no amount in USD; it was left out.",
    "threat_found": "A security screen found a threat.",
    "moderation_flagged": "The moderation flagged the prompt, so the provider was not called.",
    "screen_failed": "A screen could not look at it, so it was not screened by that one.",
    "screen_missing": "A screen that was asked for is not set up, so it did not look.",
    "redacted": "Personal data or secrets were replaced before anything was kept.",
    "redaction_unsure": "This side could not be read well enough to be redacted, so nothing of it was kept.",
    "text_repaired": "The posted JSON held broken characters, or numbers JSON does not have; they were replaced.",
}


def contribute(codes: Mapping[str, str]) -> None:
    """Once, at start, by a room above that names problems of its own: code and sentence."""
    PROBLEMS.update(codes)


SAYS_KIND = frozenset({"counted_in_child", "promoted_agent"})
"""Problems whose detail is the kind a step had before."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the list."""

    row: RequestRow
    state: str
    """Class of its mark: ok, error, warning, cached, hollow."""
    words: str
    status: str
    is_new: bool = False

    @property
    def is_failed(self) -> bool:
        return is_error(self.row.status)

    @property
    def is_call(self) -> bool:
        """Whether it calls a model; any other row is a step around or beside calls."""
        return self.row.kind in MODEL_KINDS

    @property
    def title(self) -> str:
        """What a reader calls it: a call by its model, a step by its name."""
        row = self.row
        if self.is_call:
            return row.model or "Unknown model"
        if row.kind == ATTEMPT:
            return f"Attempt at {row.model or row.provider}"
        return row.name or row.model or f"Unnamed {row.kind}"

    @property
    def tokens_per_second(self) -> float | None:
        return tokens_per_second(self.row)

    @property
    def cost_reason(self) -> str:
        return cost_words(self.row)


def line(row: RequestRow, *, is_new: bool = False) -> Line:
    state, words = _state(row)
    status = STEP_STATUSES[row.status] if _has_no_status(row) else status_text(row.status)
    return Line(row, state, words, status, is_new=is_new)


STEP_STATUSES = {200: "ok", 500: "error"}
"""What a span's two outcomes stand as; it has no status of HTTP's unless it tells one."""


def _has_no_status(row: RequestRow) -> bool:
    return row.door == "otlp" and row.kind not in MODEL_KINDS and row.status in STEP_STATUSES


def _state(row: RequestRow) -> tuple[str, str]:
    if row.status in STATES:
        return STATES[row.status]
    words = f"{row.status} {phrase(row.status)}".strip()
    if _has_no_status(row):
        words = "Failed" if is_error(row.status) else "Done"
    if row.cached:
        return "cached", f"{words}, answered from cache"
    if not is_error(row.status):
        return "ok", words
    return "error", f"{words}: {row.error_message}" if row.error_message else words


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def status_text(status: int) -> str:
    return SHORT.get(status) or str(status)


def cost_words(row: RequestRow) -> str:
    """Why the cost is unknown, or how it was reached."""
    if row.cost_reason == "no_usage" and row.is_stream and row.dialect == "openai_chat":
        return STREAM_WITHOUT_USAGE
    return COST_REASONS.get(row.cost_reason) or COST_SOURCES.get(row.cost_reason) or row.cost_reason.replace("_", " ")


def tokens_per_second(row: RequestRow) -> float | None:
    """Output tokens over the time they came in: after the first one where that is known."""
    if not row.output_tokens or not row.duration_ms:
        return None
    took = row.duration_ms - (row.time_to_first_token_ms or 0)
    return row.output_tokens / took * 1000 if took > 0 else None


class Odd(NamedTuple):
    """A problem of a row."""

    code: str
    words: str


def problem(text: str) -> Odd:
    """A stored `code: detail`, as a sentence."""
    code = text.partition(": ")[0]
    return Odd(code, _sentence(text))


def _sentence(text: str) -> str:
    code, _, detail = text.partition(": ")
    words = PROBLEMS.get(code) or f"{code.replace('_', ' ').capitalize()}."
    if code in SAYS_KIND and detail:
        return f"{words} (Its SDK calls it {detail}.)"
    return f"{words} ({detail})" if detail else words


def fingerprint(rows: Sequence[RequestRow]) -> str:
    """Differs when any of the rows does, late ones and late facts included."""
    said = [(row.id, row.status, row.cost_nano_usd, row.output_tokens, row.amended) for row in rows]
    return hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()
