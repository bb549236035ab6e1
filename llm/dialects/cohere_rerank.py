"""Cohere's rerank (https://docs.cohere.com/reference/rerank): documents ordered by a query, charged by searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import cohere_parts, loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading

_SETTINGS = ("top_n", "max_chunks_per_doc", "max_tokens_per_doc", "rank_fields", "return_documents", "priority")
TOLD_BY: Final = frozenset({"results"})


def score(call: Call) -> int:
    ranked = loose.first(call.sample.get("results"))
    if "relevance_score" in ranked and "meta" in call.sample:
        return 95
    return 60 if call.path.endswith(("/v1/rerank", "/v2/rerank")) and call.provider == "cohere" else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Ranks are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "results" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    return Reading(
        kind="rerank" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=cohere_parts.read(body),
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line(loose.text(request.get("query"))),
        response_preview=_response_preview(loose.mappings(body.get("results"))),
    )


def _response_preview(ranked: list[dict[str, Any]]) -> str:
    order = ", ".join(f"{item.get('index')} ({item.get('relevance_score')})" for item in ranked[:5])
    return preview.line(f"{len(ranked)} ranked: {order}") if ranked else ""


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    query = Part("text", text=loose.text(request.get("query")), name="query")
    documents = [Part("text", text=item, name=f"document {number}") if isinstance(item, str)
                 else Part("data", text=loose.pretty(item), name=f"document {number}")
                 for number, item in enumerate(loose.listing(request.get("documents")))]
    ranked = loose.mappings(loose.mapping(response).get("results"))
    return Conversation(
        messages=(Message("user", (query, *documents)),) if request else (),
        reply=(Message("assistant", (Part("data", text=loose.pretty(ranked), name="ranking"),)),) if ranked else (),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
