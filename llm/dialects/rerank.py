"""Rerank as Voyage, Jina and their like speak it: documents ordered by a query, charged by `usage.total_tokens`.

Cohere's own, charged by searches, tells its units in `meta` and is another dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS = ("top_k", "top_n", "truncation", "return_documents")
TOLD_BY: Final = frozenset[str]()


def score(call: Call) -> int:
    if "meta" in call.sample:
        return 0
    if _is_scored(loose.first(call.sample.get("data"))) or _is_scored(loose.first(call.sample.get("results"))):
        return 90
    return 55 if call.path.endswith(("/rerank", "/reranking")) else 0


def _is_scored(item: Mapping[str, Any]) -> bool:
    return "relevance_score" in item and "index" in item


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Ranks are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "data" in body or "results" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage")
    return Reading(
        kind="rerank" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.all_input(loose.mapping(sent)) or Usage(),
        provider_response_id=loose.name(body.get("id")),
        provider_cost_nano_usd=usage.declared_cost(sent) if isinstance(sent, dict) else None,
        request_preview=preview.line(_document(request.get("query"))),
        response_preview=_response_preview(_ranked(body)),
    )


def _ranked(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return loose.mappings(body.get("data")) or loose.mappings(body.get("results"))


def _document(value: Any) -> str:
    return loose.text(value) or loose.text(loose.mapping(value).get("text"))


def _response_preview(ranked: list[dict[str, Any]]) -> str:
    order = ", ".join(f"{item.get('index')} ({item.get('relevance_score')})" for item in ranked[:5])
    return preview.line(f"{len(ranked)} ranked: {order}") if ranked else ""


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    query = Part("text", text=_document(request.get("query")), name="query")
    told = map(_document, loose.listing(request.get("documents")))
    documents = tuple(Part("text", text=text, name=f"document {number}") for number, text in enumerate(told) if text)
    ranked = _ranked(loose.mapping(response))
    reply = (Message("assistant", (Part("data", text=loose.pretty(ranked), name="ranking"),)),) if ranked else ()
    return Conversation(
        messages=(Message("user", (query, *documents)),) if request else (),
        reply=reply,
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
