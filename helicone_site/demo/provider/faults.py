"""Errors and delays on demand, asked for by a request's headers or by its model's name.

x-fake-status: 429          answer this status                       model "fail-429" does the same
x-fake-delay-ms: 500        wait before the first byte
x-fake-chunk-delay-ms: 20   wait before every event of a stream
x-fake-break-after: 5       break the connection after so many events
x-fake-retry-after: 2       `Retry-After` of a 429 or 503, seconds
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FAILING = re.compile(r"^fail-(\d{3})$")
LONGEST_DELAY_MS = 600_000

MESSAGES = {
    400: "We could not parse the JSON body of your request.",
    401: "Incorrect API key provided.",
    403: "Your key does not have access to this resource.",
    429: "Rate limit reached for requests per minute. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
    529: "Overloaded",
}


@dataclass(frozen=True, slots=True)
class Faults:
    status: int | None = None
    delay: float = 0.0
    chunk_delay: float = 0.0
    """Seconds."""
    break_after: int | None = None
    retry_after: int = 1

    @property
    def message(self) -> str:
        return MESSAGES.get(self.status or 0, f"The provider was asked to answer {self.status}.")


def faults(headers: Mapping[str, str], model: str) -> Faults:
    """What the request asks to go wrong; a number it cannot read counts as not asked."""
    failing = _FAILING.match(model)
    status = _number(headers, "x-fake-status") or (int(failing[1]) if failing else None)
    return Faults(
        status=status if status and 400 <= status <= 599 else None,
        delay=_seconds(headers, "x-fake-delay-ms"),
        chunk_delay=_seconds(headers, "x-fake-chunk-delay-ms"),
        break_after=_number(headers, "x-fake-break-after"),
        retry_after=_number(headers, "x-fake-retry-after") or 1,
    )


def _seconds(headers: Mapping[str, str], name: str) -> float:
    return min(_number(headers, name) or 0, LONGEST_DELAY_MS) / 1000


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isdecimal() else None
