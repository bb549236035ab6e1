"""What Cohere's endpoints share: how they tell usage, and how citations are shown.

`tokens` is what the model read and wrote, with Cohere's own prompt around it; `billed_units` is what is charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm import loose, usage
from llm.conversation import Part
from llm.exchange import Usage


def told(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usage object: `usage` of v2's chat, `meta` everywhere else."""
    for key in ("usage", "meta"):
        if isinstance(sent := body.get(key), dict) and ("billed_units" in sent or "tokens" in sent):
            return sent
    return {}


def read(body: Mapping[str, Any]) -> Usage:
    """Usage of a reply; an endpoint that tells only what it bills has counted that."""
    sent = told(body)
    tokens, billed = loose.mapping(sent.get("tokens")), loose.mapping(sent.get("billed_units"))
    billed_input = _sum(billed, "input_tokens") or _sum(billed, "text_tokens", "image_tokens")
    billed_output = loose.count(billed.get("output_tokens"))
    asked, answered = loose.count(tokens.get("input_tokens")), loose.count(tokens.get("output_tokens"))
    return usage.whole(Usage(
        input_tokens=billed_input if asked is None else asked,
        output_tokens=billed_output if answered is None else answered,
        cache_read_tokens=loose.count(sent.get("cached_tokens")),
        input_image_tokens=loose.count(billed.get("image_tokens")),
        search_units=loose.count(billed.get("search_units")),
        billed_input_tokens=billed_input,
        billed_output_tokens=billed_output,
        sent=sent or None,
    ))


def _sum(billed: Mapping[str, Any], *keys: str) -> int | None:
    counts = [count for key in keys if (count := loose.count(billed.get(key))) is not None]
    return sum(counts) if counts else None


def citations(value: Any) -> list[Part]:
    return [Part("data", text=loose.pretty(item), name="citation") for item in loose.mappings(value)]


def documents(value: Any) -> list[Part]:
    """Documents handed over with a question: texts, or objects of texts."""
    items = value if isinstance(value, list) else []
    return [Part("text", text=item, name="document") if isinstance(item, str)
            else Part("data", text=loose.pretty(item), name="document") for item in items]
