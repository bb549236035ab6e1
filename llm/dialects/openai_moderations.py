"""OpenAI moderations (https://platform.openai.com/docs/api-reference/moderations) and Mistral's: free, or by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

TOLD_BY: Final = frozenset({"results"})


def score(call: Call) -> int:
    first = loose.first(call.sample.get("results"))
    if "category_scores" in first or ("flagged" in first and "categories" in first):
        return 100
    return 70 if call.method == "POST" and call.path.endswith("/moderations") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Moderations are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "results" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = usage.told_by(body)
    return Reading(
        kind="moderation" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.openai(sent) if sent is not None else Usage(),
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line("\n".join(part.text for part in _asked(request))),
        response_preview=preview.line(_verdict(body)),
    )


def _asked(request: Mapping[str, Any]) -> list[Part]:
    """One text, several, or content parts; Mistral also takes a conversation, or several."""
    said = request.get("input")
    return [part for item in (said if isinstance(said, list) else [said]) for part in _pieces(item)]


def _pieces(item: Any) -> list[Part]:
    if isinstance(item, list):
        return [part for inner in item for part in _pieces(inner)]
    if isinstance(item, dict) and "role" in item:
        return openai_parts.content_parts(item.get("content"))
    return openai_parts.content_parts([item] if isinstance(item, dict) else item)


def _verdict(body: Mapping[str, Any]) -> str:
    results = loose.mappings(body.get("results"))
    found = {name for result in results for name, is_so in loose.mapping(result.get("categories")).items() if is_so}
    if found:
        return "flagged: " + ", ".join(sorted(found))
    return "not flagged" if results else ""


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body, asked = loose.mapping(response), tuple(_asked(request))
    data = Part("data", text=loose.pretty(body.get("results")), name="moderation")
    reply = Message("assistant", (Part("text", text=_verdict(body)), data))
    return Conversation((Message("user", asked),) if asked else (), (reply,) if _verdict(body) else ())
