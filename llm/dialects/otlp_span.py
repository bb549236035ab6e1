"""A span that came by OTLP: its document is the request, and there is no reply beside it (`llm/spans/` reads it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm.call import Call
from llm.conversation import Conversation
from llm.exchange import Reading
from llm.spans import reading, showing

TOLD_BY: Final = frozenset({"span_id"})


def score(call: Call) -> int:
    request = call.request
    return 300 if "span_id" in request and "trace_id" in request and request.get("v") == 1 else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    return {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return True


def read(call: Call) -> Reading:
    return reading.read(call.request)


def bodies(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(request, reply) as its call would have had them."""
    return showing.bodies(document, reading.read(document))


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    return showing.conversation(request)
