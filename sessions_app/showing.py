"""Steps as a page: which of their trees the address asks for, the summary above it, or the chat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import QueryDict

from requests_app.filters import Node
from sessions_app import chat, drawing
from sessions_app.queries import SessionRow
from sessions_app.tree import Step, from_paths, from_spans, has_spans, split_path

FALLBACK_ROWS = 200
"""Nodes listed for a reader without script."""


def context(
    organization_id: int, asked: QueryDict, steps: Sequence[Step],
    *, of: Node, since: datetime, counted: SessionRow | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`?view=chat`, `?tree=paths`. `of` and `since` are the filter and the time that mean these steps. Raises TooSlow.

    Spans are the tree where there are some; where there are paths too, the reader may choose.
    """
    is_chat, is_traced = asked.get("view") == "chat", has_spans(steps)
    is_of_paths = not is_traced or (asked.get("tree") == "paths" and _has_paths(steps))
    tree = (from_paths if is_of_paths else from_spans)(steps) if steps else None
    found: dict[str, Any] = {
        "tree": tree, "summary": drawing.summary(steps, tree, counted), "view": "chat" if is_chat else "tree",
        "is_traced": not is_of_paths,
        "tabs": _tabs(is_traced and _has_paths(steps), is_chat=is_chat, is_of_paths=is_of_paths),
    }  # fmt: skip
    if is_chat:
        return found | {"chat": chat.read(organization_id, of, since=since, after=asked.get("after", ""))}
    if tree:
        found |= {"drawing": drawing.drawing(tree), "fallback": tree.nodes[1 : FALLBACK_ROWS + 1]}
    return found


def _has_paths(steps: Sequence[Step]) -> bool:
    return any(split_path(step.path) for step in steps)


def _tabs(has_both: bool, *, is_chat: bool, is_of_paths: bool) -> list[tuple[str, str, bool, str]]:
    """(words, address, whether it is this one, what it means)."""
    trees = [("Tree", "?", not is_chat, "")]
    if has_both:
        trees = [
            ("Spans", "?", not is_chat and not is_of_paths, "By who called whom: the parents the spans name"),
            ("Paths", "?tree=paths", not is_chat and is_of_paths, "By Helicone-Session-Path"),
        ]
    return [*trees, ("Chat", "?view=chat", is_chat, "")]
