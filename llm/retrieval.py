"""What a search brought, document by document, in whichever shape its SDK tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lib.frozen import dataclass
from llm import loose

MOST_DOCUMENTS: Final = 200
_LISTS: Final = ("documents", "matches", "results", "hits", "chunks", "passages", "nodes", "data", "output")
_INSIDE: Final = ("document", "node", "_source")
_TEXTS: Final = ("content", "page_content", "text", "body", "passage")
_IDS: Final = ("id", "document_id", "doc_id", "_id", "chunk_id", "filename")
_SCORES: Final = ("score", "relevance_score", "similarity", "_score")


@dataclass(frozen=True, slots=True)
class Document:
    """One of the things found. `score` is as told: a likeness, mostly of 0 … 1, mostly the more the better."""

    text: str
    id: str = ""
    score: float | None = None


def documents(answered: Any) -> tuple[Document, ...]:
    """What was found, in its order; empty where no list can be made out."""
    found = answered
    if isinstance(answered, Mapping):
        found = next((answered[key] for key in _LISTS if isinstance(answered.get(key), list)), None)
    return tuple(map(_document, found[:MOST_DOCUMENTS])) if isinstance(found, list) else ()


def _document(item: Any) -> Document:
    if not isinstance(item, Mapping):
        return Document(item if isinstance(item, str) else loose.pretty(item))
    inner = next((item[key] for key in _INSIDE if isinstance(item.get(key), Mapping)), item)
    facts = {**inner, **item}
    text = next((inner[key] for key in _TEXTS if isinstance(inner.get(key), str) and inner[key]), None)
    return Document(
        loose.pretty(inner) if text is None else text,
        id=next((str(facts[key])[:200] for key in _IDS if facts.get(key) not in (None, "")), ""),
        score=next((value for key in _SCORES if (value := _number(facts.get(key))) is not None), None),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
