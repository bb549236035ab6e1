"""Writing a trace as an SDK would export it: spans one under the other, then OTLP's JSON.

Ids follow from the trace's key, so that sending a trace again adds nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

PATH = "/v1/traces"
OK, ERROR = 1, 2


class Failed(Exception):
    """A step of a story that goes wrong: its span, and those it leaves on the way, end as errors."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


@dataclass(slots=True)
class Span:
    id: str
    parent: str
    name: str
    start: datetime
    end: datetime
    attributes: dict[str, Any]
    status: Mapping[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    links: Sequence[tuple[str, str]] = ()
    """(trace id, span id)."""

    def tell(self, **attributes: Any) -> None:
        """Attributes known only at its end; `__` in a name stands for a dot."""
        self.attributes |= {name.replace("__", "."): value for name, value in attributes.items()}


@dataclass(slots=True)
class Trace:
    """One run of an application; `at` moves on as its steps pass."""

    key: str
    at: datetime
    service: str
    scope: str
    """Name of the library that is said to have written it."""
    spans: list[Span] = field(default_factory=list)
    _open: list[Span] = field(default_factory=list)

    @property
    def id(self) -> str:
        return _hex(self.key, 32)

    @property
    def dice(self) -> random.Random:
        """Dice that fall the same for the same step."""
        return random.Random(f"{self.key}/{len(self.spans)}")  # noqa: S311 - nothing here is secret

    def busy(self, ms: float) -> None:
        """The step under way does something itself."""
        self.at += timedelta(milliseconds=round(ms * self.dice.lognormvariate(0, 0.3)) or 1)

    @contextmanager
    def step(
        self, name: str, attributes: Mapping[str, Any], *, links: Sequence[tuple[str, str]] = ()
    ) -> Iterator[Span]:
        """A span around whatever happens inside; a Failed that passes marks it and goes on outwards."""
        parent = self._open[-1].id if self._open else ""
        span = Span(_hex(f"{self.key}/{len(self.spans)}", 16), parent, name, self.at, self.at, {**attributes},
                    links=links)  # fmt: skip
        self.spans.append(span)
        self._open.append(span)
        try:
            yield span
        except Failed as failure:
            self._fail(span, failure)
            raise
        finally:
            self._open.pop()
            self.busy(3)
            span.end = self.at

    @contextmanager
    def side_by_side(self) -> Iterator[list[datetime]]:
        """Steps that begin together, each ended by `restart` with what this yields; the longest is waited for."""
        ends = [self.at]
        yield ends
        self.at = max(*ends, self.at)

    def restart(self, ends: list[datetime]) -> None:
        """The next of the steps side by side begins when the first did."""
        ends.append(self.at)
        self.at = ends[0] + timedelta(milliseconds=len(ends))

    def _fail(self, span: Span, failure: Failed) -> None:
        span.status = {"code": ERROR, "message": failure.message}
        span.attributes.setdefault("error.type", failure.kind)
        if span.id == self.spans[-1].id:
            said = {"exception.type": failure.kind, "exception.message": failure.message}
            span.events.append({"name": "exception", "timeUnixNano": _ns(self.at), "attributes": _pairs(said)})

    def export(self) -> bytes:
        """The body of an ExportTraceServiceRequest."""
        resource = {"service.name": self.service, "deployment.environment": "production"}
        return orjson.dumps({"resourceSpans": [{
            "resource": {"attributes": _pairs(resource)},
            "scopeSpans": [{"scope": {"name": self.scope, "version": "1.0"}, "spans": [*map(self._span, self.spans)]}],
        }]})  # fmt: skip

    def _span(self, span: Span) -> dict[str, Any]:
        return {
            "traceId": self.id, "spanId": span.id, "parentSpanId": span.parent, "name": span.name, "kind": 1,
            "startTimeUnixNano": _ns(span.start), "endTimeUnixNano": _ns(span.end),
            "attributes": _pairs(span.attributes), "status": span.status, "events": span.events,
            "links": [{"traceId": trace_id, "spanId": span_id} for trace_id, span_id in span.links],
        }  # fmt: skip


def trace_id(key: str) -> str:
    """Of the trace written under that key."""
    return _hex(key, 32)


def root_id(key: str) -> str:
    """Of the first span of that trace."""
    return _hex(f"{key}/0", 16)


def _hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _ns(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1e6) * 1000)


def _pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": value if isinstance(value, str) else orjson.dumps(value).decode()}
