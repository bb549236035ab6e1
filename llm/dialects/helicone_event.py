"""Steps that call no model, as Helicone's manual loggers post them: `_type` is tool, vector_db or data.

The Python logger writes `"_type": "unknown"` into every reply it logs; that says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading

_KINDS: Final = {"tool": "tool", "vector_db": "retriever", "data": "data"}
_BOOKKEEPING: Final = frozenset({"_type", "toolName", "operation"})
TOLD_BY: Final = frozenset({"_type"})


def score(call: Call) -> int:
    return 200 if loose.text(call.request.get("_type")) in _KINDS else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    return {"_type": "data", "result": list(events)}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return True


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    kind = loose.text(request.get("_type"))
    label = _label(kind, request)
    error = _error(body)
    return Reading(
        kind=_KINDS[kind],
        request_model=label,
        response_model=label,
        finish_reason=loose.name(body.get("status")),
        request_preview=preview.line(_asked(request)),
        response_preview=preview.line(error or _answered(body)),
        error_message=error,
    )


def _label(kind: str, request: Mapping[str, Any]) -> str:
    if kind == "vector_db":
        return kind
    return f"{kind}:{loose.text(request.get('toolName' if kind == 'tool' else 'name')) or 'unnamed'}"


def _asked(request: Mapping[str, Any]) -> str:
    for key in ("text", "query", "input"):
        if (value := request.get(key)) not in (None, "", [], {}):
            return value if isinstance(value, str) else loose.compact(value)
    return loose.compact(_rest(request))


def _answered(body: Mapping[str, Any]) -> str:
    for key in ("result", "results", "matches", "data", "message"):
        if (value := body.get(key)) not in (None, "", [], {}):
            return value if isinstance(value, str) else loose.compact(value)
    rest = _rest(body)
    return loose.compact(rest) if rest else ""


def _error(body: Mapping[str, Any]) -> str | None:
    if body.get("status") != "error":
        return None
    error = body.get("error")
    return loose.name(loose.mapping(error).get("message")) or loose.name(error) or loose.name(body.get("message"))


def _rest(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in _BOOKKEEPING}


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    label = _label(loose.text(request.get("_type")), request)
    body = loose.mapping(response)
    asked = Part("tool_call", text=loose.pretty(_rest(request)), name=label)
    answered = Part("tool_result", text=loose.pretty(_rest(body)), name=label, is_error=_error(body) is not None)
    return Conversation((Message("user", (asked,)),), (Message("tool", (answered,)),) if body else ())
