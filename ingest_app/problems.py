"""The closed list of what a door can find odd about a capture, beside what reading it finds (`llm/problems.py`)."""

from __future__ import annotations

from typing import Final

CODES: Final = {
    "bodies_awaited": "The request's and the reply's text are uploaded apart from this record, and have not come yet.",
    "directive_unreadable": "A Helicone header or meta entry has a value that means nothing; it was left out.",
    "directive_cut": "A Helicone header or meta entry is too long; its beginning was kept.",
    "property_cut": "A property's key or value is too long; its beginning was kept.",
    "too_many_properties": "More properties were sent than a request can hold; the first were kept.",
    "time_clamped": "The request's time is in the future or too far back; it was moved to the nearest time allowed.",
    "time_unreadable": "A time could not be read; the time of arrival, or none, stands instead.",
    "times_swapped": "The end was before the start; the two were exchanged.",
    "status_unreadable": "The status told is no HTTP status; it is kept as unknown.",
    "cost_unreadable": "The cost told is no amount in USD; it was left out.",
    "redacted": "Personal data or secrets were taken out before anything was kept: how many of which kind.",
    "redaction_unsure": "A side could not be read well enough to be redacted, so nothing of it was kept.",
    "text_repaired": "The posted JSON held broken characters or numbers JSON has not; they were replaced.",
}
