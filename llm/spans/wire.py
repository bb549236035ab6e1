"""The provider's own request and reply, where an SDK packs them whole into attributes: read as they are on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lib.frozen import dataclass
from llm import dialects, loose
from llm.call import Call, Dialect
from llm.conversation import Conversation
from llm.exchange import Reading

SURE: Final = 60
"""Below, a dialect only guesses (`llm.call.Dialect.score`)."""
_NOT_KEYS: Final = frozenset({"args", "response", "parameters", "responseSchema", "response_schema"})
"""What stands under them is a user's, and keeps its names."""
_DEEPEST: Final = 12


@dataclass(frozen=True, slots=True)
class Wire:
    """Both bodies as JSON values, and what their dialect reads from them."""

    dialect: Dialect
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    reading: Reading

    def conversation(self) -> Conversation:
        return self.dialect.converse(self.request, self.response)


def of(request: Any, response: Any, provider: str) -> Wire | None:
    """None where the reply is not of a shape some dialect is sure of."""
    if not isinstance(response, dict) or not response:
        return None
    call = Call(provider=provider, request=_camel(request) if isinstance(request, dict) else {},
                response=_camel(response))  # fmt: skip
    chosen = dialects.choose(call)
    if chosen is None or chosen[0] == "otlp_span" or chosen[1].score(call) < SURE:
        return None
    return Wire(chosen[1], call.request, loose.mapping(call.response), chosen[1].read(call))


def _camel(body: dict[str, Any]) -> dict[str, Any]:
    """Gemini's body by the REST API's names: Python's SDKs dump theirs in snake case."""
    return _renamed(body, 0) if body.keys() & {"usage_metadata", "candidates", "contents"} else body


def _renamed(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [_renamed(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _camelled(key): item if key in _NOT_KEYS else _renamed(item, depth + 1)
        for key, item in value.items() if item is not None
    }  # fmt: skip


def _camelled(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
